"""A member's data is deleted through one process and gone from another, which runs, or was killed and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bot.api.feed import Feed, Query
from bot.app import Application
from bot.storage.database import Database
from bot.storage.erasures import SqlErasures
from moderation.shards import Shards
from tests.bot.storage.conftest import postgres_url, postgres_user
from tests.bot.storage.test_forgetting import memory, rows
from tests.bot.voice.support import until
from tests.loopback.state import Channel, Member, Message
from tests.scenario import MODERATOR, conversation, open_bot
from tests.test_crash import World
from tests.test_shards import Country, country, half

__all__ = ["postgres_url", "postgres_user"]

pytestmark = pytest.mark.external

SAID = {line.text: line for line in conversation()}
PHRASE, OTHERS = "i hate you go and kill yourself", "kill yourself you worthless clown nobody wants you here"
FAR, NEAR = 0, 1
"""The shard of the process that is asked, and that of the process that heard the member."""


async def delete_through(at: Country, ben: Member) -> str:
    """Ben uses the command in the other server; what he is told."""
    guild = at.places[FAR].guild
    member, channel = at.discord.add_member(guild, ben.user), at.discord.add_text_channel(guild, "general")
    asked = await at.discord.slash(member, channel, "privacy delete-my-data", timeout=30.0)
    answer = await at.discord.click(member, asked, asked.components[0]["components"][0]["custom_id"])
    await at.discord.wait_for(lambda: "moment" not in answer.content, 90.0, what="the answer")
    return answer.content


def shown(cards: list[Message]) -> str:
    return "\n".join(f"{card.embeds} {[a.filename for a in card.attachments]}" for card in cards).replace("||", "").replace("**", "")


async def listens(at: Country, app: Application) -> Channel:
    """It is called in and has somewhere to put its cards."""
    place = at.places[NEAR]
    alerts = at.discord.add_text_channel(place.guild, "mod-alerts")
    settings = await app.services.guilds.settings(place.guild.id)
    await app.services.guilds.save_settings(replace(settings, alert_channel_id=alerts.id))
    await at.join(app, NEAR)
    return alerts


def feed_of(app: Application) -> Feed:
    feed = getattr(app.forgetting.places["listeners"], "__self__", None)
    assert isinstance(feed, Feed)
    return feed


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.aclose()


async def test_what_another_process_holds_is_gone_when_the_member_is_told_so(tmp_path: Path, postgres_url: str) -> None:
    async with country() as at, open_bot(at.discord, half(tmp_path, postgres_url, FAR)) as far, opened(postgres_url) as database:
        far.forgetting._patience = 90.0  # a busy machine takes its time
        ben, cleo = at.places[NEAR].speaker, at.discord.add_member(at.places[NEAR].guild, "cleo")
        async with open_bot(at.discord, half(tmp_path, postgres_url, NEAR)) as near:
            await at.discord.voice_join(cleo, at.places[NEAR].lobby)
            alerts = await listens(at, near)
            await near.services.privacy.opt_in(at.places[NEAR].guild.id, ben.id)
            with feed_of(near).listen(Query()) as backlog:
                await at.voice.human(ben.id).say(SAID[PHRASE].path)
                await at.voice.human(cleo.id).say(SAID[OTHERS].path)
                await at.discord.wait_for(lambda: len(at.discord.sent_in(alerts)) == 2, 60.0, what="the cards")
                await near.dispatcher.drained()
                await near.recorder.caught_up(30.0)
                for place in (memory(near), await rows(database), shown(at.discord.sent_in(alerts))):
                    assert PHRASE in place
                    assert str(ben.id) in place
                assert "Everything I kept about you is deleted." in await delete_through(at, ben)
                for place in (memory(near), memory(far), await rows(database)):
                    assert PHRASE not in place
                    assert str(ben.id) not in place
                assert near.services.privacy.standing(at.places[NEAR].guild.id, ben.id).chosen is None, "his consent is not remembered"
                await until(lambda: PHRASE not in shown(at.discord.sent_in(alerts)))
                assert str(ben.id) not in shown(at.discord.sent_in(alerts))
                await at.voice.human(cleo.id).say(SAID[OTHERS].path, speed=3.0)
                feed_of(near).close()
                told = str([message async for message in backlog])
                assert "worthless" in told
                assert PHRASE not in told
                assert str(ben.id) not in told
        found = await rows(database)
        assert str(ben.id) not in found, "its last words, at the shutdown, are not about him"
        assert "worthless" in found


@asynccontextmanager
async def in_need(url: str) -> AsyncIterator[None]:
    """Meanwhile the database takes no rows about what is said, and no alerts."""
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("LOCK TABLE segments, alerts, outbox IN EXCLUSIVE MODE")
        yield
        await other.rollback()


async def test_a_process_that_was_killed_forgets_before_it_replays(tmp_path: Path, postgres_url: str) -> None:
    async with country() as at, open_bot(at.discord, half(tmp_path, postgres_url, FAR)) as far, opened(postgres_url) as database:
        place = at.places[NEAR]
        alerts, moderator = (
            at.discord.add_text_channel(place.guild, "mod-alerts"),
            at.discord.add_member(place.guild, "mod", permissions=MODERATOR),
        )
        near = World(at.discord, at.voice, tmp_path, postgres_url, place.guild, place.lobby, alerts, moderator, place.speaker)
        near.settings = {"SHARD_COUNT": "2", "SHARD_IDS": str(NEAR)}
        journal = tmp_path / "data" / "journal.jsonl"
        await near.start()
        try:
            await near.listen()
            async with in_need(postgres_url):
                await near.say(PHRASE)
                await at.discord.wait_for(near.cards, 60.0, what="the card, posted from memory")
                held = (PHRASE, "AlertSettled")
                await at.discord.wait_for(
                    lambda: journal.exists() and all(h in journal.read_text() for h in held), 60.0, what="the journal"
                )
                await near.kill()
            far.forgetting._patience = 0.0
            assert "has not confirmed yet" in await delete_through(at, place.speaker)
            assert PHRASE in shown(near.cards())
            await near.start()
            await at.discord.wait_for(lambda: PHRASE not in shown(near.cards()), 60.0, what="the card to be edited")
            while await SqlErasures(database, Shards((NEAR,), 2)).ours():  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.1)
            assert not journal.exists()
            await near.stop()
        finally:
            if near.process is not None and near.process.returncode is None:
                await near.kill()
        found = await rows(database)
        assert PHRASE not in found
        assert str(place.speaker.id) not in found
        assert near.cards()[0].embeds[0]["title"] == "Removed"
