"""The slash commands as people use them: real client, real sockets, right and wrong input."""

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moderation.models import AlertState
from tests.loopback.interaction_data import NotPermitted
from tests.loopback.permissions import Permission
from tests.loopback.replies import Reply
from tests.scenario import Stage, conversation, open_stage

pytestmark = pytest.mark.integration


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        yield opened


async def use(stage: Stage, command: str, **options: object) -> Reply:
    return await stage.discord.slash(stage.moderator, stage.alerts, command, timeout=30.0, **options)  # type: ignore[arg-type]


def seen(reply: Reply) -> str:
    """All that the person reads."""
    assert reply.ephemeral, "answers to moderators are for their eyes only"
    return reply.content + json.dumps(reply.embeds, ensure_ascii=False)


async def test_join_without_a_channel_takes_the_callers(stage: Stage) -> None:
    assert "join a voice channel first" in seen(await use(stage, "voice join"))
    await stage.discord.voice_join(stage.moderator, stage.lobby)
    text = seen(await use(stage, "voice join"))
    assert f"<#{stage.lobby.id}>" in text
    assert "/alerts channel" in text


async def test_join_twice_and_leave_twice(stage: Stage) -> None:
    await use(stage, "voice join", channel=stage.lobby)
    assert "already" in seen(await use(stage, "voice join", channel=stage.lobby))
    assert "Left" in seen(await use(stage, "voice leave"))
    assert "not in a voice channel" in seen(await use(stage, "voice leave"))


async def test_a_channel_that_cannot_be_entered_says_what_to_do(stage: Stage) -> None:
    stage.discord.overwrite(stage.lobby, stage.guild, deny=Permission.CONNECT)
    stage.discord.overwrite(stage.lobby, stage.discord.bot_role(stage.guild), deny=Permission.CONNECT)
    assert "Connect" in seen(await use(stage, "voice join", channel=stage.lobby))


async def test_status_before_during_and_with_speech(stage: Stage) -> None:
    assert "not listening" in seen(await use(stage, "voice status"))
    await stage.begin()
    assert "nobody has spoken yet" in seen(await use(stage, "voice status"))
    line = conversation()[0]
    await stage.voice.human(stage.members[line.speaker].id).say(line.path, speed=math.inf)
    await stage.settle()
    text = seen(await use(stage, "voice status"))
    assert line.speaker in text
    assert "100%" in text


async def test_alerts_need_a_channel_and_permissions(stage: Stage) -> None:
    assert "/alerts channel" in seen(await use(stage, "alerts test"))
    secret = stage.discord.add_text_channel(stage.guild, "secret")
    stage.discord.overwrite(secret, stage.discord.bot_role(stage.guild), deny=Permission.ATTACH_FILES | Permission.EMBED_LINKS)
    text = seen(await use(stage, "alerts channel", channel=secret))
    assert "Embed Links" in text
    assert "Attach Files" in text


async def test_a_test_card_lands_in_the_alert_channel(stage: Stage) -> None:
    assert "Everybody can read" in seen(await use(stage, "alerts channel", channel=stage.alerts))
    await use(stage, "alerts test")
    (card,) = stage.cards()
    assert "test card" in card.embeds[0]["description"]


async def test_lexicon_add_try_list_remove(stage: Stage) -> None:
    assert "would not flag" in seen(await use(stage, "lexicon test", text="you absolute walnut"))
    await use(stage, "lexicon add", term="walnut", category="insult", severity=5)
    text = seen(await use(stage, "lexicon test", text="you absolute walnut"))
    assert "would alert" in text
    assert "||**walnut**||" in text
    assert "walnut" in seen(await use(stage, "lexicon list"))
    choices = await stage.discord.autocomplete(stage.moderator, stage.alerts, "lexicon remove", "term", "wal")
    assert [c["value"] for c in choices] == ["walnut"]
    await use(stage, "lexicon remove", term="walnut")
    assert "no terms of its own" in seen(await use(stage, "lexicon list"))
    assert "no such term" in seen(await use(stage, "lexicon remove", term="walnut"))


async def test_wrong_terms_are_refused_and_said_why(stage: Stage) -> None:
    assert "letter or digit" in seen(await use(stage, "lexicon add", term="!!!"))
    assert "one page" in seen(await use(stage, "lexicon add", term="fine")) + seen(await use(stage, "lexicon list", page=9))


async def test_a_term_added_during_a_session_is_used_at_once_and_an_allowed_one_no_longer_flags(stage: Stage) -> None:
    await stage.begin()
    await use(stage, "lexicon add", term="great round", category="insult", severity=8)
    await use(stage, "lexicon add", term="shut up you pathetic loser", kind="allow")
    for line in conversation():
        if line.text in ("nice shot that was a great round", "shut up you pathetic loser"):
            await stage.voice.human(stage.members[line.speaker].id).say(line.path)
    await stage.settle()
    assert stage.alerted() == {"nice shot that was a great round"}
    assert all(a.state is AlertState.CONFIRMED for a in stage.watcher.alerts.values())


async def test_predict_scores_a_text_for_the_asker_alone_and_does_not_repeat_it(stage: Stage) -> None:
    text = seen(await use(stage, "predict text", text="you are a worthless idiot"))
    assert "Would be flagged" in text
    assert "embedded" in text
    assert "worthless" not in text
    assert "Would not be flagged" in seen(await use(stage, "predict text", text="good evening everybody"))
    assert "The text is empty" in seen(await use(stage, "predict text", text="   "))


async def test_members_may_not_use_moderators_commands(stage: Stage) -> None:
    for command in ("voice join", "alerts test", "lexicon list", "predict text"):
        with pytest.raises(NotPermitted):
            await stage.discord.slash(stage.members["Ada"], stage.alerts, command)


async def test_no_two_commands_share_a_name_and_all_are_described(stage: Stage) -> None:
    names = [c.qualified_name for c in stage.app.client.tree.walk_commands()]
    assert len(names) == len(set(names)) > 8
    assert all(c.description and c.description != "…" for c in stage.app.client.tree.walk_commands())
