"""The main gateway's connection is lost in the middle of a call, in every way there is, while somebody speaks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.sources.discord import DiscordSource
from moderation.events import SessionEnded, SessionInterrupted, SessionResumed
from tests.scenario import Stage, conversation, open_stage
from tests.test_supervision import FakeDiary, is_heard, source
from tests.wer import CUT, wer

pytestmark = pytest.mark.integration

LINES = [line for line in conversation() if line.speaker == "Ben"][1:]
"""What one speaker says, as far as the small model understands every word of it undisturbed."""

SAID = " ".join(line.text for line in LINES)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        await opened.begin()
        await opened.voice.settled(opened.lobby.id)
        yield opened


@pytest.fixture
def diary(stage: Stage) -> FakeDiary:
    diary = FakeDiary()
    stage.app.events.subscribe(diary)
    return diary


async def speaks_through(stage: Stage, loss: Callable[[], Awaitable[None]], back: Callable[[], object]) -> None:
    """Ben says a line; the loss comes in the middle of it, the next lines follow at once; all of it is heard and transcribed."""
    human = stage.voice.human(stage.members["Ben"].id)
    talking = asyncio.create_task(human.say(LINES[0].path, speed=2.0))
    spoken = stage.spoken(human.user_id)
    await stage.discord.wait_for(lambda: stage.spoken(human.user_id) > spoken + 1.0, what="the middle of the line")
    await loss()
    await talking
    await stage.discord.wait_for(back, what="the gateway")
    for line in LINES[1:]:
        await human.say(line.path, speed=4.0)
    await stage.discord.wait_for(lambda: heard(stage, human.user_id) >= stage.spoken(human.user_id) - 1e-6, what="all that was sent")
    await stage.discord.wait_for(lambda: wer([SAID], [transcribed(stage)]) <= CUT, what="all words")


def heard(stage: Stage, user_id: int) -> float:
    """Seconds of speech that arrived and could be decoded."""
    return source(stage).statistics()[0][user_id].seconds_heard


def transcribed(stage: Stage) -> str:
    """All words; a machine that stands still may cut a line in two."""
    return " ".join(segment.text for _, segment in stage.watcher.segments)


def nothing_happened(stage: Stage, before: DiscordSource, diary: FakeDiary) -> None:
    """The same connection, the same session, and nobody was told anything."""
    health = before.health()
    assert source(stage) is before
    assert (health.reconnects, health.connected, health.listening, health.dropped) == (0, True, True, 0)
    assert not diary.count(SessionEnded)
    assert not [card for card in stage.cards() if card.embeds[0]["title"].startswith("I ")]


@pytest.mark.parametrize("loss", ["close 4000", "abort", "reconnect", "invalid but resumable"])
async def test_a_resume_in_the_middle_of_a_call_loses_no_word_and_rejoins_nothing(stage: Stage, diary: FakeDiary, loss: str) -> None:
    gateway, before = stage.discord.gateway, source(stage)

    async def lose() -> None:
        if loss.startswith("close"):
            await gateway.close(int(loss.split()[1]))
        elif loss == "abort":
            gateway.drop()
        elif loss == "reconnect":
            gateway.reconnect()
        else:
            await gateway.invalidate(resumable=True)

    await speaks_through(stage, lose, lambda: gateway.resumes and all(stage.app.client.connected().values()))
    assert (gateway.identifies, gateway.resumes) == (1, 1)
    nothing_happened(stage, before, diary)


async def test_a_gateway_that_cannot_be_reached_for_a_while_is_resumed_too(stage: Stage, diary: FakeDiary) -> None:
    gateway, before = stage.discord.gateway, source(stage)

    async def lose() -> None:
        gateway.unreachable = True
        gateway.drop()
        asked = stage.discord.resolver.asked.count("gateway-loopback.discord.gg")
        await stage.discord.wait_for(lambda: stage.discord.resolver.asked.count("gateway-loopback.discord.gg") > asked, what="an attempt")
        gateway.unreachable = False

    await speaks_through(stage, lose, lambda: gateway.resumes and all(stage.app.client.connected().values()))
    assert (gateway.identifies, gateway.resumes) == (1, 1)
    nothing_happened(stage, before, diary)


@pytest.mark.parametrize("loss", ["invalid", "refused"])
async def test_after_a_fresh_identify_the_bot_says_where_it_is_and_the_session_goes_on(stage: Stage, diary: FakeDiary, loss: str) -> None:
    """Discord ends the voice connections of a gateway session with it."""
    gateway, before = stage.discord.gateway, source(stage)
    if loss == "invalid":
        await gateway.invalidate()
    else:
        gateway.refuse_resumes = True
        gateway.drop()
    await stage.discord.wait_for(lambda: before.health().reconnects and before.health().connected, what="the voice connection")
    assert gateway.identifies == 2
    assert stage.guild.voice_states[stage.discord.world.bot.id].channel_id == stage.lobby.id
    await is_heard(stage)
    assert source(stage) is before
    assert not diary.count(SessionEnded)
    assert stage.lobby.status, "the members still see that the bot listens"
    ada = stage.discord.add_member(stage.guild, "newcomer")
    await stage.discord.voice_join(ada, stage.lobby)

    def known() -> bool:
        return before.channel is not None and ada.id in before.channel.voice_states

    await stage.discord.wait_for(known, what="the newcomer to be known to the source")


async def test_a_call_that_ends_while_the_gateway_is_away_is_joined_again_when_it_is_back(stage: Stage, diary: FakeDiary) -> None:
    gateway = stage.discord.gateway
    gateway.unreachable = True
    gateway.drop()
    await stage.discord.wait_for(lambda: not any(stage.app.client.connected().values()), what="the loss")
    await stage.voice.close_client(guild_id=stage.guild.id, user_id=stage.discord.world.bot.id, code=1000)
    await stage.discord.wait_for(lambda: diary.count(SessionInterrupted), what="the end")
    lost = stage.app.services.supervisor.returning(stage.guild.id)
    assert lost is not None
    await stage.discord.wait_for(lambda: lost.attempts, what="an attempt in vain")
    gateway.unreachable = False
    await stage.discord.wait_for(lambda: diary.count(SessionResumed), what="the bot to be back")
    await is_heard(stage)
