"""Several shards: in one process, and in several processes on one database."""

import asyncio
import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import bot.committing
from bot.api.health import Status
from bot.app import Application
from bot.commands.run import serve
from bot.folder import only_process_in
from bot.probes import gateway
from bot.storage.database import Database
from bot.storage.sessions import SqlSessionStore
from config.settings import Settings
from moderation.errors import StorageError
from moderation.events import Event, SegmentTranscribed, SessionEnded
from tests.bot.storage.conftest import postgres_url, postgres_user
from tests.loopback.discord import LoopbackDiscord
from tests.loopback.resolver import connector
from tests.loopback.snowflake import shard_of
from tests.loopback.state import Channel, Guild, Member
from tests.loopback.voice.server import VoiceServer
from tests.scenario import MODEL, conversation, open_bot
from tests.wer import CUT, wer

__all__ = ["postgres_url", "postgres_user"]

LINES = [line for line in conversation() if line.speaker == "Ben"][1:]
SAID = " ".join(line.text for line in LINES)


class FakeEars:
    """A sink: what was transcribed, and which sessions ended, by server."""

    def __init__(self) -> None:
        self.heard: dict[int, list[str]] = {}
        self.ended: list[int] = []

    def words(self, guild_id: int) -> str:
        """All of them."""
        return " ".join(self.heard.get(guild_id, ()))

    async def emit(self, event: Event) -> None:
        if isinstance(event, SegmentTranscribed) and event.segment.final:
            self.heard.setdefault(event.session.guild_id, []).append(event.segment.text)
        elif isinstance(event, SessionEnded):
            self.ended.append(event.session.guild_id)


@dataclass(slots=True)
class Place:
    """A server with somebody in its voice channel."""

    guild: Guild
    lobby: Channel
    speaker: Member


@dataclass(slots=True)
class Country:
    """A server on each shard."""

    discord: LoopbackDiscord
    voice: VoiceServer
    places: dict[int, Place]

    async def join(self, app: Application, *shards: int) -> FakeEars:
        """The bot listens in those shards' channels."""
        ears = FakeEars()
        app.events.subscribe(ears)
        for shard in shards:
            place = self.places[shard]
            await app.services.sessions.start(place.guild.id, place.lobby.id, "General")
            await self.voice.settled(place.lobby.id)
        return ears

    async def speak(self, shard: int) -> None:
        """Three lines."""
        for line in LINES:
            await self.voice.human(self.places[shard].speaker.id).say(line.path, speed=3.0)

    async def heard(self, ears: FakeEars, *shards: int) -> None:
        """Wait until all that was said there is transcribed."""
        ids = [self.places[shard].guild.id for shard in shards]
        await self.discord.wait_for(lambda: all(wer([SAID], [ears.words(i)]) <= CUT for i in ids), what="what was said")


@asynccontextmanager
async def country(shards: int = 2) -> AsyncIterator[Country]:
    voice = VoiceServer(seed=7)
    async with LoopbackDiscord(voice, shards=shards) as world:
        places: dict[int, Place] = {}
        while len(places) < shards:
            guild = world.add_guild("Server")
            lobby, speaker = world.add_voice_channel(guild, "General"), world.add_member(guild, "ben")
            await world.voice_join(speaker, lobby)
            places[shard_of(guild.id, shards)] = Place(guild, lobby, speaker)
        yield Country(world, voice, places)


def settings(folder: Path, **more: Any) -> Settings:  # noqa: ANN401 (whatever settings there are)
    return Settings(earshot_data_dir=folder, vosk_model_path=str(MODEL), api_port=0, **more)


@pytest.mark.integration
async def test_two_shards_of_one_process_are_heard_at_the_same_time(tmp_path: Path) -> None:
    async with country() as at, open_bot(at.discord, settings(tmp_path)) as app:
        ears = await at.join(app, 0, 1)
        await asyncio.gather(at.speak(0), at.speak(1))
        await at.heard(ears, 0, 1)
        assert sorted(s.shard for s in at.discord.gateway.sessions.values()) == [(0, 2), (1, 2)]
        found = gateway(app.client)
        assert (found.status, found.detail.endswith("shards 0, 1 of 2")) == (Status.OK, True)


@pytest.mark.integration
@pytest.mark.parametrize("way", ["resume", "fresh identify"])
async def test_one_shard_reconnects_while_both_shards_calls_go_on(tmp_path: Path, way: str) -> None:
    async with country() as at, open_bot(at.discord, settings(tmp_path)) as app:
        ears, levers = await at.join(app, 0, 1), at.discord.gateway
        lose: Callable[[], Awaitable[None]] = (
            (lambda: levers.close(4000, shard=1)) if way == "resume" else lambda: levers.invalidate(shard=1)
        )
        other = asyncio.create_task(at.speak(0))
        if way == "resume":  # its own call goes on, too
            own = asyncio.create_task(at.speak(1))
            await lose()
            await own
        else:
            await lose()
        running = app.services.sessions.running(at.places[1].guild.id)
        assert running is not None
        await at.discord.wait_for(lambda: levers.resumes or levers.identifies == 3, what="the shard")
        await at.discord.wait_for(lambda: all(app.client.connected().values()) and running.source.health().connected)
        if way != "resume":
            await at.discord.wait_for(lambda: running.source.health().reconnects, what="its voice connection")
            await at.voice.settled(at.places[1].lobby.id)
            await at.speak(1)
        await other
        await at.heard(ears, 0, 1)
        assert (levers.identifies, levers.resumes) == ((2, 1) if way == "resume" else (3, 0))
        assert not ears.ended


@pytest.mark.integration
async def test_a_shard_that_is_down_is_degraded_by_name_and_counted(tmp_path: Path) -> None:
    async with country() as at, open_bot(at.discord, settings(tmp_path)) as app:
        at.discord.gateway.unreachable = True
        at.discord.gateway.drop(shard=1)
        await at.discord.wait_for(lambda: not app.client.connected()[1], what="the loss")
        found = gateway(app.client)
        assert (found.status, found.detail.startswith("shard 1 of 2 not connected")) == (Status.DEGRADED, True)
        at.discord.gateway.drop()
        await at.discord.wait_for(lambda: not app.client.connected()[0], what="the other loss")
        assert gateway(app.client).status is Status.DOWN
        at.discord.gateway.unreachable = False
        await at.discord.wait_for(lambda: gateway(app.client).status is Status.OK, what="both to be back")
        assert at.discord.gateway.identifies == 2, "both resumed"


@pytest.mark.integration
async def test_shards_that_identify_too_early_are_told_so_and_come_in_turn(tmp_path: Path) -> None:
    async with country() as at:
        levers = at.discord.gateway
        levers.identify_seconds = math.inf

        async def relent() -> None:
            await at.discord.wait_for(lambda: levers.identifies > 1, what="the second shard, too early")
            levers.identify_seconds = 0.0

        relenting = asyncio.create_task(relent())
        async with open_bot(at.discord, settings(tmp_path)) as app:
            await relenting
            assert app.client.connected() == {0: True, 1: True}
            assert levers.identifies > 2


def half(tmp_path: Path, url: str, shard: int) -> Settings:
    return settings(tmp_path / str(shard), shard_count=2, shard_ids=(shard,), database_url=SecretStr(url))


@pytest.mark.external
async def test_two_processes_share_a_database_and_leave_each_others_sessions_alone(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.committing, "PATIENCE_SECONDS", 30.0)  # else a busy machine writes the end of a session a process later
    async with country() as at, open_bot(at.discord, half(tmp_path, postgres_url, 0)) as first:
        ears = await at.join(first, 0)
        seat = at.places[0].guild.id
        await at.discord.wait_for(lambda: seat in first.services.watch._seats._saved, what="the seat to be saved")
        for start in range(2):  # the second process starts, and starts again, while the first listens
            async with open_bot(at.discord, half(tmp_path, postgres_url, 1)) as second:
                assert [g.id for g in second.client.guilds] == [at.places[1].guild.id]
                if start == 0:
                    others = await at.join(second, 1)
                    await asyncio.gather(at.speak(0), at.speak(1))
                    await at.heard(ears, 0)
                    await at.heard(others, 1)
                running = functools.partial(second.services.sessions.running, at.places[1].guild.id)
                await at.discord.wait_for(running, what="its seat")
                assert second.services.sessions.running(seat) is None
                assert second.services.supervisor.returning(seat) is None
        async with stored_in(postgres_url) as rows:
            (stored,) = await rows.recent_sessions(seat)
            assert stored.ended_at is None, "the session that the other process runs goes on"
            (before,) = [s for s in await rows.recent_sessions(at.places[1].guild.id) if s.segments]
            assert before.end_reason == "shutdown"
        assert set(others.heard) == {at.places[1].guild.id}
        assert not ears.ended
        registered = [r for r in at.discord.requests if r.method == "PUT" and r.path.endswith("/commands")]
        assert len(registered) == 1, "one process registers the commands"


@asynccontextmanager
async def stored_in(url: str) -> AsyncIterator[SqlSessionStore]:
    database = await Database.open(url)
    yield SqlSessionStore(database)
    await database.aclose()


@pytest.mark.integration
async def test_one_data_folder_is_one_processs(tmp_path: Path) -> None:
    with only_process_in(tmp_path), pytest.raises(StorageError, match="EARSHOT_DATA_DIR"), only_process_in(tmp_path):
        pytest.fail("two processes had it")
    with only_process_in(tmp_path):
        pass


@pytest.mark.integration
async def test_too_few_shards_are_told_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with country() as at:
        at.discord.gateway.guilds_per_shard = 1
        code = await serve(settings(tmp_path, shard_count=1, discord_token=SecretStr(at.discord.token)), connector(at.discord))
        assert code == 78
        assert "SHARD_COUNT: Discord wants more shards" in capsys.readouterr().err
