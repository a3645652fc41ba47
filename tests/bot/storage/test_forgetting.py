"""The contract of deletion: after it, neither the words nor the id of a member are anywhere, on SQLite and on PostgreSQL."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import select

from bot.app import Application
from bot.redaction import Redactor
from bot.storage.alerts import SqlAlertStore
from bot.storage.database import Database
from bot.storage.guilds import SqlGuildStore
from bot.storage.notices import SqlNoticeMentions
from bot.storage.redactions import SqlRedactions
from bot.storage.retention import SqlRetention
from bot.storage.tables import metadata
from moderation.models import Speaker
from moderation.notices import Missed, not_heard
from tests.bot.storage.values import ADA, BEN, GUILD, NOON, alert, segment, session
from tests.bot.voice.support import until
from tests.loopback.faults import Fault
from tests.scenario import Stage, conversation, open_stage

PHRASE = "i hate you go and kill yourself"
OTHERS = "kill yourself you worthless clown nobody wants you here"
CONNECTION = ("bot.voice", "bot.sources")
"""Who is in the call now is the connection's business; it holds no words, and ends with the call."""


def texts(value: object, seen: set[int]) -> Iterator[str]:
    """All strings and numbers that can be reached from a value through our own objects."""
    if isinstance(value, str | int):
        yield str(value)
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset | deque):
        parts = list(value)
    elif type(value).__module__.startswith(("bot.", "moderation.")) and not type(value).__module__.startswith(CONNECTION):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        parts = [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in slots)]
    else:
        return
    for part in parts:
        yield from texts(part, seen)


async def rows(database: Database) -> str:
    async with database.read() as connection:
        return "\n".join([f"{t.name} {row}" for t in metadata.sorted_tables for row in await connection.execute(select(t))])


def memory(app: Application) -> str:
    owners = [getattr(forget, "__self__", None) for forget in app.forgetting.places.values()]
    return "\n".join(texts(owners, set()))


def cards(stage: Stage) -> str:
    return "\n".join(f"{card.embeds} {[a.filename for a in card.attachments]}" for card in stage.cards()).translate(
        {ord(c): None for c in "|*"}
    )


async def conversation_of_two(stage: Stage) -> None:
    await stage.begin()
    for line in conversation():
        if line.text in (PHRASE, OTHERS):
            await stage.voice.human(stage.members[line.speaker].id).say(line.path)
    await stage.settle()


async def is_told_that_somebody_was_not_heard(stage: Stage, user_id: int) -> None:
    """A notice of an outage that is over, which names a member."""
    running = stage.app.services.sessions.running(stage.guild.id)
    assert running is not None
    missed = Missed(Speaker(user_id), running.session.started_at, running.session.started_at)
    before = len(stage.cards())
    stage.app.services.supervisor.tell(not_heard(running.session, [missed], f"{running.session.id} unheard 0"))
    await until(lambda: len(stage.cards()) > before)


async def confirm(stage: Stage, name: str, button: int = 0) -> str:
    member = stage.members[name]
    asked = await stage.discord.slash(member, stage.alerts, "privacy delete-my-data")
    assert asked.ephemeral
    custom_id = asked.components[0]["components"][button]["custom_id"]
    answer = await stage.discord.click(member, asked, custom_id)
    await until(lambda: "moment" not in answer.content)
    assert not answer.components
    return answer.content


WEBHOOK = {"earshot_webhook_url": "http://127.0.0.1:9/nobody", "earshot_webhook_secret": SecretStr("a key of enough characters")}
"""Nobody answers there: what was to be sent waits in the outbox."""


async def test_nothing_of_a_member_is_left_anywhere(url: str, tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data", database_url=url, more=WEBHOOK) as stage:
        ben = str(stage.members["Ben"].id)
        await stage.discord.slash(stage.members["Ben"], stage.alerts, "privacy opt-in")
        await conversation_of_two(stage)
        database = await Database.open(url)
        await is_told_that_somebody_was_not_heard(stage, int(ben))
        for place in (await rows(database), memory(stage.app), cards(stage)):
            assert PHRASE in place
            assert ben in place
        assert "webhook_outbox" in await rows(database)
        export = await stage.discord.slash(stage.members["Ben"], stage.alerts, "privacy export")
        assert export.ephemeral
        assert [row["text"] for row in json.loads(export.attachments[0].data)["transcript"]] == [PHRASE]
        assert "kept" not in await confirm(stage, "Ben", button=1)
        assert PHRASE in await rows(database)
        assert "is deleted" in await confirm(stage, "Ben")
        await until(lambda: PHRASE not in cards(stage) and ben not in cards(stage))
        for place in (await rows(database), memory(stage.app), cards(stage)):
            assert PHRASE not in place
            assert ben not in place
        first, second, notice = stage.cards()
        assert notice.embeds[0]["title"] == "Removed"
        assert first.embeds[0]["title"] == "Removed"
        assert not first.attachments
        assert "Removed at the request" in str(second.embeds[0]["fields"])
        assert "worthless" in second.embeds[0]["description"], "what others said stays"
        assert second.attachments
        assert "worthless" in await rows(database)
        await database.aclose()


async def test_cards_that_discord_refuses_to_edit_are_tried_again_and_old_channels_are_remembered(url: str, tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data", database_url=url) as stage:
        await conversation_of_two(stage)
        elsewhere = stage.discord.add_text_channel(stage.guild, "new-alerts")
        await stage.discord.slash(stage.moderator, stage.alerts, "alerts channel", channel=elsewhere)
        stage.discord.faults.append(Fault("PATCH", r"/messages/\d+$", status=403, times=2))
        redactor = getattr(stage.app.forgetting.places["posted cards"], "__self__", None)
        assert isinstance(redactor, Redactor)
        await confirm(stage, "Ben")
        await until(lambda: redactor.failed == 2)
        assert await redactor.round() is False
        assert str(stage.members["Ben"].id) not in cards(stage)
        assert redactor.edited == 2


async def test_the_cards_that_quote_somebody_are_noted_before_their_rows_go(database: Database) -> None:
    alerts, redactions = SqlAlertStore(database), SqlRedactions(database)
    guilds = SqlGuildStore(database)
    for channel in (11, 12):
        await guilds.save_settings(replace(await guilds.settings(GUILD), alert_channel_id=channel))
    await alerts.save_alert(alert(session(), segment(ADA)), 1)
    await alerts.save_alert(alert(session(), segment(BEN), context=[segment(ADA)]), 2)
    await alerts.save_alert(alert(session(), segment(BEN, 1)), 3)
    await alerts.save_alert(alert(session(), segment(ADA, 2)), None)
    assert await redactions.forget(ADA) == 2
    await redactions.failed(1)
    assert [(c.message_id, c.whole, set(c.channels)) for c in await redactions.pending(9)] == [(2, False, {11, 12}), (1, True, {11, 12})]
    assert len(await redactions.pending(1)) == 1
    await redactions.done(1)
    assert await redactions.waiting() == 1


async def test_notices_that_name_somebody_are_noted_and_go_with_their_age(database: Database) -> None:
    mentions, redactions = SqlNoticeMentions(database), SqlRedactions(database)
    await mentions.name(GUILD, 1, {ADA, BEN}, NOON)
    await mentions.name(GUILD, 2, {ADA}, NOON)
    await mentions.name(GUILD, 2, {BEN}, NOON)  # edited: Ada is heard again and goes off it
    await mentions.name(GUILD, 3, set(), NOON)
    assert await redactions.forget(ADA) == 1
    assert [(c.message_id, c.whole) for c in await redactions.pending(9)] == [(1, True)]
    assert await mentions.forget(ADA) == 1
    assert str(ADA) not in await rows(database)
    await SqlRetention(database).sweep(NOON + timedelta(days=30), 30)
    assert await mentions.forget(BEN) == 2
    await mentions.name(GUILD, 2, {BEN}, NOON)
    await SqlRetention(database).sweep(NOON + timedelta(days=30, seconds=1), 30)
    assert await mentions.forget(BEN) == 0
