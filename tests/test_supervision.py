"""The whole bot in the loopback world: every way a call can end, who comes back, and what moderators read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import davey
import pytest

from bot.sources.discord import DiscordSource
from config.settings import Settings
from moderation.events import (
    Event,
    SegmentTranscribed,
    SessionEnded,
    SessionInterrupted,
    SessionMoved,
    SessionResumed,
    SpeakerHeardAgain,
)
from tests.loopback.discord import LoopbackDiscord
from tests.loopback.state import Message
from tests.loopback.voice.server import VoiceServer
from tests.scenario import MODEL, Stage, conversation, open_bot, open_stage

pytestmark = pytest.mark.integration

LINE = conversation()[0]


class FakeDiary:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def emit(self, event: Event) -> None:
        self.events.append(event)

    def count(self, *kinds: type[Event]) -> int:
        return sum(isinstance(event, kinds) for event in self.events)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        await opened.begin()
        yield opened


@pytest.fixture
def diary(stage: Stage) -> FakeDiary:
    diary = FakeDiary()
    stage.app.events.subscribe(diary)
    return diary


def source(stage: Stage) -> DiscordSource:
    running = stage.app.services.sessions.running(stage.guild.id)
    assert running is not None
    assert isinstance(running.source, DiscordSource)
    return running.source


def embed(message: Message) -> tuple[str, str]:
    (only,) = message.embeds
    return only["title"], only["description"]


async def is_heard(stage: Stage) -> None:
    """Somebody says a line, and it is transcribed; again, should the machine have stood still in the middle of it."""
    await stage.voice.settled(stage.lobby.id)
    human, segments, known = stage.voice.human(stage.members[LINE.speaker].id), stage.watcher.segments, len(stage.watcher.segments)
    async with asyncio.timeout(60):
        while LINE.text not in [segment.text for _, segment in segments[known:]]:
            before = len(segments)
            await human.say(LINE.path, speed=4.0)
            await stage.discord.wait_for(lambda: len(segments) > before, what="the line to be transcribed")  # noqa: B023


@pytest.mark.parametrize("code", [1000, 4021])
async def test_a_close_that_ends_the_connection_for_good_is_joined_again(stage: Stage, diary: FakeDiary, code: int) -> None:
    bot = stage.discord.bot_in(stage.guild.id)
    await stage.voice.close_client(guild_id=stage.guild.id, user_id=bot.id, code=code)
    await stage.discord.wait_for(lambda: diary.count(SessionResumed), what="the bot to be back")
    await is_heard(stage)
    assert not stage.cards()


@pytest.mark.parametrize("code", [4006, 4009, 4015])
async def test_other_closes_are_mended_inside_the_session(stage: Stage, diary: FakeDiary, code: int) -> None:
    bot = stage.discord.bot_in(stage.guild.id)
    before = source(stage)
    await stage.voice.close_client(guild_id=stage.guild.id, user_id=bot.id, code=code)
    await stage.discord.wait_for(lambda: before.health().reconnects and before.health().connected, what="the reconnect")
    await is_heard(stage)
    assert source(stage) is before
    assert not diary.count(SessionEnded)


async def test_a_kick_is_a_clean_end_and_moderators_are_told(stage: Stage, diary: FakeDiary) -> None:
    await stage.discord.voice_leave(stage.discord.bot_in(stage.guild.id))
    (card,) = await stage.discord.wait_for(stage.cards, what="the notice")
    title, text = embed(card)
    assert title == "I no longer listen"
    assert f"<#{stage.lobby.id}>" in text
    assert "Somebody disconnected me" in text
    assert diary.count(SessionEnded) == 1
    assert not diary.count(SessionInterrupted)
    assert len(stage.app.services.sessions) == 0


async def test_leave_stops_the_return(stage: Stage, diary: FakeDiary) -> None:
    stage.discord.voice_states.servers_down = True
    await stage.voice.close_client(guild_id=stage.guild.id, user_id=stage.discord.world.bot.id, code=1000)
    await stage.discord.wait_for(lambda: diary.count(SessionInterrupted))
    status = await stage.discord.slash(stage.moderator, stage.alerts, "voice status", timeout=30.0)
    assert "keep trying to return" in status.content
    reply = await stage.discord.slash(stage.moderator, stage.alerts, "voice leave", timeout=30.0)
    assert "no longer try" in reply.content
    assert stage.app.services.supervisor.returning(stage.guild.id) is None


async def test_lost_keys_are_noticed_and_mended(stage: Stage) -> None:
    """The bot's key store is emptied: it looks connected, packets come, nothing opens."""
    client = source(stage).connection
    assert client is not None
    await stage.voice.settled(stage.lobby.id)
    lost = davey.DaveSession(1, stage.discord.world.bot.id, stage.lobby.id)
    lost.set_external_sender(stage.voice.call(stage.lobby.id).dave.sender.package())
    client._connection.dave_session = lost
    human = stage.voice.human(stage.members[LINE.speaker].id)
    talking = asyncio.create_task(human.say(LINE.path.read_bytes()[44:] * 20))
    hears = source(stage)
    await stage.discord.wait_for(lambda: hears.health().recoveries, what="the re-key")
    opened = hears.statistics()[0][human.user_id].decrypted
    await stage.discord.wait_for(lambda: hears.statistics()[0][human.user_id].decrypted > opened, what="keys to be back")
    talking.cancel()
    assert not stage.cards(), "a re-key that helps at once is no message"


async def test_a_speaker_who_stays_unheard_is_told_of_by_name_and_again_when_heard(stage: Stage, diary: FakeDiary) -> None:
    await stage.voice.settled(stage.lobby.id)
    speaker = stage.members[LINE.speaker]
    human = stage.voice.human(speaker.id)
    audio = LINE.path.read_bytes()[44:]
    talking = asyncio.create_task(human.say(audio * 40, plain=True))
    (card,) = await stage.discord.wait_for(stage.cards, what="the notice")
    title, text = embed(card)
    assert "cannot hear" in title
    assert f"<@{speaker.id}>" in text
    talking.cancel()
    await asyncio.wait({talking})
    while not diary.count(SpeakerHeardAgain):  # a rejoin may be under way: what is said meanwhile is lost
        await human.say(LINE.path, speed=4.0)
    await stage.discord.wait_for(lambda: "heard again" in embed(stage.cards()[0])[0], what="the notice to be edited")
    await is_heard(stage)
    assert len(stage.cards()) == 1


async def test_a_deafened_bot_says_so(stage: Stage) -> None:
    bot = stage.discord.bot_in(stage.guild.id)
    stage.discord.server_mute(bot, deaf=True)
    (card,) = await stage.discord.wait_for(stage.cards, what="the notice")
    assert "Undeafen me" in embed(card)[1]
    stage.discord.server_mute(bot, deaf=False)
    await stage.discord.wait_for(lambda: "No longer" in embed(card)[0], what="the notice to be edited")


async def test_moved_by_a_moderator_the_session_names_its_new_channel(stage: Stage, diary: FakeDiary) -> None:
    garden = stage.discord.add_voice_channel(stage.guild, "Garden")
    await stage.discord.voice_move(stage.discord.bot_in(stage.guild.id), garden)
    await stage.discord.wait_for(lambda: diary.count(SessionMoved), what="the move")
    running = stage.app.services.sessions.running(stage.guild.id)
    assert running is not None
    assert (running.session.channel_id, running.session.channel_name) == (garden.id, "Garden")
    await stage.discord.wait_for(lambda: garden.status, what="the members there to be told")
    assert not diary.count(SessionEnded)
    speaker = stage.members[LINE.speaker]
    await stage.discord.voice_move(speaker, garden)
    await stage.voice.settled(garden.id, clients=1)
    await stage.discord.wait_for(lambda: source(stage).listening and source(stage).health().connected)
    await stage.voice.human(speaker.id).say(LINE.path, speed=4.0)
    said = await stage.discord.wait_for(lambda: [e for e in diary.events if isinstance(e, SegmentTranscribed)], what="the line")
    assert {e.session.channel_id for e in said} == {garden.id}
    await stage.finish()
    (ended,) = [e for e in diary.events if isinstance(e, SessionEnded)]
    assert ended.session.channel_id == garden.id


async def test_the_afk_channel_is_never_followed(stage: Stage, diary: FakeDiary) -> None:
    afk = stage.discord.add_voice_channel(stage.guild, "AFK")
    guild = stage.app.client.get_guild(stage.guild.id)
    assert guild is not None
    await stage.discord.wait_for(lambda: guild.get_channel(afk.id))
    guild._afk_channel_id = afk.id
    await stage.discord.voice_move(stage.discord.bot_in(stage.guild.id), afk)
    (card,) = await stage.discord.wait_for(stage.cards, what="the notice")
    assert "AFK" in embed(card)[1]
    assert diary.count(SessionEnded) == 1
    assert not diary.count(SessionInterrupted)
    assert not afk.status
    refused = await stage.discord.slash(stage.moderator, stage.alerts, "voice join", channel=afk, timeout=30.0)
    assert "AFK channel" in refused.embeds[0]["description"]


async def test_status_is_a_live_panel(stage: Stage) -> None:
    await stage.voice.settled(stage.lobby.id)
    reply = await stage.discord.slash(stage.moderator, stage.alerts, "voice status", timeout=30.0)
    assert reply.ephemeral
    names = [each["name"] for each in reply.embeds[0]["fields"]]
    assert names[:3] == ["All well", "Line", "Encryption"]
    await stage.finish()
    await stage.discord.wait_for(lambda: reply.embeds[0]["title"] == "Left", what="the panel to say that it is over")


async def test_watched_channels_are_joined_by_themselves(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        await stage.discord.wait_for(lambda: stage.app.services.watch.ready)
        reply = await stage.discord.slash(stage.moderator, stage.alerts, "voice watch", channel=stage.lobby, timeout=30.0)
        assert f"1. <#{stage.lobby.id}>" in reply.content
        await stage.discord.voice_join(stage.members[LINE.speaker], stage.lobby)
        await stage.discord.wait_for(lambda: stage.lobby.status, what="the bot to join by itself")
        await is_heard(stage)
        status = await stage.discord.slash(stage.moderator, stage.alerts, "voice status", timeout=30.0)
        (watched,) = [each["value"] for each in status.embeds[0]["fields"] if each["name"] == "Watched"]
        assert f"<#{stage.lobby.id}>: 1 there now" in watched
        reply = await stage.discord.slash(stage.moderator, stage.alerts, "voice unwatch", channel=stage.lobby, timeout=30.0)
        assert "no longer join" in reply.content


async def test_after_a_restart_the_bot_is_back_where_it_was(tmp_path: Path) -> None:
    async with LoopbackDiscord(VoiceServer(seed=7)) as discord:
        guild = discord.add_guild("Restart")
        lobby = discord.add_voice_channel(guild, "General")
        await discord.voice_join(discord.add_member(guild, "ada"), lobby)
        for start in range(2):
            settings = Settings(earshot_data_dir=tmp_path, vosk_model_path=str(MODEL), api_port=0)
            async with open_bot(discord, settings) as app:
                if start == 0:
                    await app.services.sessions.start(guild.id, lobby.id, "General")
                await discord.wait_for(lambda: app.services.sessions.running(guild.id), what="the session")
            assert not guild.voice_states.get(discord.world.bot.id)
