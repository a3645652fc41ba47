"""A server with watched channels, in which time moves when it is told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from moderation.broadcast import Broadcast
from moderation.errors import StorageError
from moderation.models import Session
from moderation.notices import Notice
from moderation.pipeline import Pipeline
from moderation.seats import Obstacle, Seat, Watched
from moderation.sessions import SessionManager
from moderation.settings import GuildSettings
from moderation.shedding import Shedding
from moderation.supervisor import Supervisor
from moderation.watching import Watch
from tests.fakes import FakeTranscriber
from tests.fakes_live import FakeBoard, FakeGateway, shared_machine

START = datetime(2030, 1, 1, tzinfo=UTC)
A, B, C = 81, 82, 83


class FakePresence:
    """People by channel."""

    def __init__(self) -> None:
        self.inside: dict[int, int] = {}
        self.unknown: set[int] = set()
        self.deleted: set[int] = set()
        self.obstacles: dict[int, Obstacle] = {}

    def ready(self) -> bool:
        return True

    def knows(self, guild_id: int) -> bool:
        return guild_id not in self.unknown

    def people(self, guild_id: int, channel_id: int) -> int:
        return self.inside.get(channel_id, 0)

    def name(self, guild_id: int, channel_id: int) -> str:
        return "" if channel_id in self.deleted else f"channel {channel_id}"

    def obstacle(self, guild_id: int, channel_id: int) -> Obstacle | None:
        return self.obstacles.get(channel_id)


class FakeWatchStore:
    """Keeps both tables in memory."""

    def __init__(self) -> None:
        self.channels: dict[int, list[int]] = {}
        self.away = False
        self.counts: dict[int, Watched] = {}
        self.taken: dict[int, Seat] = {}

    async def watched(self) -> Sequence[Watched]:
        return [self.counts.get(channel, Watched(guild, channel)) for guild, order in self.channels.items() for channel in order]

    async def set_watched(self, guild_id: int, channels: Sequence[int]) -> None:
        if self.away:
            raise StorageError("away")
        self.channels[guild_id] = list(channels)

    async def save_counts(self, channels: Sequence[Watched]) -> None:
        self.counts = {each.channel_id: each for each in channels}

    async def seats(self) -> Sequence[Seat]:
        return list(self.taken.values())

    async def take_seat(self, seat: Seat) -> None:
        self.taken[seat.guild_id] = seat

    async def give_up_seat(self, guild_id: int) -> None:
        self.taken.pop(guild_id, None)


class FakeSteps:
    """A clock that moves a second when the watch is told to look; others sleep for ever."""

    def __init__(self, start: datetime) -> None:
        self.now, self._turn, self._done = start, asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self._done.release()
        await self._turn.acquire()

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self._done.acquire()
            self.now += timedelta(seconds=1)
            self._turn.release()
            while self._done.locked():  # noqa: ASYNC110 - the look has no event for its end
                await asyncio.sleep(0)
            for _ in range(20):  # sessions end and begin in tasks of their own
                await asyncio.sleep(0)


@dataclass
class Town:
    sessions: SessionManager
    gateway: FakeGateway
    presence: FakePresence
    store: FakeWatchStore
    steps: FakeSteps
    supervisor: Supervisor
    watch: Watch
    board: FakeBoard
    shedding: Shedding

    def where(self) -> int | None:
        running = self.sessions.running(7)
        return running.session.channel_id if running is not None else None

    def told(self) -> list[Notice]:
        """Each message as it stands."""
        return [versions[-1] for versions in self.board.messages.values()]


@contextlib.asynccontextmanager
async def town(
    store: FakeWatchStore | None = None, start: datetime = START, unknown: Collection[int] = (), presence: FakePresence | None = None
) -> AsyncIterator[Town]:
    board, shedding = FakeBoard(), shared_machine()
    gateway, presence, steps, store = FakeGateway(), presence or FakePresence(), FakeSteps(start), store or FakeWatchStore()
    presence.unknown |= set(unknown)
    events, settings = Broadcast(), GuildSettings(7)

    async def pipeline(session: Session) -> Pipeline:
        return Pipeline(session, FakeTranscriber(), (), events, lambda: settings, shedding=shedding)

    async def soon(seconds: float) -> None:
        await asyncio.sleep(0.001 * min(seconds, 1))

    async with SessionManager(gateway, pipeline, events) as sessions:
        supervisor = Supervisor(sessions, board, events, now=lambda: steps.now, sleep=soon)
        watch = Watch(sessions, supervisor, presence, store, now=lambda: steps.now, sleep=steps.sleep)
        events.subscribe(supervisor)
        events.subscribe(watch)
        tasks = {asyncio.create_task(supervisor.run()), asyncio.create_task(watch.run())}
        await asyncio.sleep(0.01)
        yield Town(sessions, gateway, presence, store, steps, supervisor, watch, board, shedding)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
