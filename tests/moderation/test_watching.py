"""Which watched channel gets the one seat, when the bot leaves by itself, and what is counted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from moderation.broadcast import Broadcast
from moderation.errors import NotAllowed, NotFound, VoiceDisconnected, VoiceRemoved, VoiceUnavailable
from moderation.minutes import SAVE_SECONDS
from moderation.models import Session
from moderation.pipeline import Pipeline
from moderation.seats import Seat, Watched, choose
from moderation.sessions import SessionManager
from moderation.settings import GuildSettings
from moderation.supervisor import Supervisor
from moderation.watching import ALONE_SECONDS, MAX_WATCHED, Watch
from tests.fakes import FakeTranscriber
from tests.fakes_live import FakeBoard, FakeGateway

pytestmark = pytest.mark.unit

START = datetime(2030, 1, 1, tzinfo=UTC)
A, B, C = 81, 82, 83


@pytest.mark.parametrize(
    ("people", "held", "current", "wanted"),
    [
        ({}, set(), None, None),
        ({B: 1}, set(), None, B),
        ({A: 1, B: 9}, set(), None, A),
        ({A: 1, B: 9}, {A}, None, B),
        ({A: 1, B: 9}, set(), B, A),
        ({A: 1, B: 9}, {A}, B, B),
        ({A: 1, B: 9}, set(), A, A),
        ({B: 9}, set(), A, B),
        ({}, set(), A, A),
        ({A: 1, C: 1}, set(), C, C),
    ],
)
def test_the_first_channel_with_people_gets_the_seat(
    people: dict[int, int], held: set[int], current: int | None, wanted: int | None
) -> None:
    assert choose([A, B], people, held, current) == wanted


class FakePresence:
    """People by channel."""

    def __init__(self) -> None:
        self.inside: dict[int, int] = {}
        self.unknown: set[int] = set()

    def ready(self) -> bool:
        return True

    def knows(self, guild_id: int) -> bool:
        return guild_id not in self.unknown

    def people(self, guild_id: int, channel_id: int) -> int:
        return self.inside.get(channel_id, 0)

    def name(self, guild_id: int, channel_id: int) -> str:
        return f"channel {channel_id}"


class FakeWatchStore:
    """Keeps both tables in memory."""

    def __init__(self) -> None:
        self.channels: dict[int, list[int]] = {}
        self.counts: dict[int, Watched] = {}
        self.taken: dict[int, Seat] = {}

    async def watched(self) -> Sequence[Watched]:
        return [self.counts.get(channel, Watched(guild, channel)) for guild, order in self.channels.items() for channel in order]

    async def set_watched(self, guild_id: int, channels: Sequence[int]) -> None:
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

    def where(self) -> int | None:
        running = self.sessions.running(7)
        return running.session.channel_id if running is not None else None


@contextlib.asynccontextmanager
async def town(store: FakeWatchStore | None = None, start: datetime = START, unknown: Collection[int] = ()) -> AsyncIterator[Town]:
    gateway, presence, steps, store = FakeGateway(), FakePresence(), FakeSteps(start), store or FakeWatchStore()
    presence.unknown |= set(unknown)
    events, settings = Broadcast(), GuildSettings(7)

    async def pipeline(session: Session) -> Pipeline:
        return Pipeline(session, FakeTranscriber(), (), events, lambda: settings)

    async def soon(seconds: float) -> None:
        await asyncio.sleep(0.001 * min(seconds, 1))

    async with SessionManager(gateway, pipeline, events) as sessions:
        supervisor = Supervisor(sessions, FakeBoard(), events, sleep=soon)
        watch = Watch(sessions, supervisor, presence, store, now=lambda: steps.now, sleep=steps.sleep)
        events.subscribe(supervisor)
        events.subscribe(watch)
        tasks = {asyncio.create_task(supervisor.run()), asyncio.create_task(watch.run())}
        await asyncio.sleep(0.01)
        yield Town(sessions, gateway, presence, store, steps, supervisor, watch)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_it_joins_when_people_come_and_goes_to_the_more_important_channel() -> None:
    async with town() as at:
        assert await at.watch.watch(7, B) == (B,)
        assert await at.watch.watch(7, A, 1) == (A, B)
        await at.steps.look()
        assert at.where() is None
        at.presence.inside = {B: 2}
        await at.steps.look()
        assert at.where() == B
        at.presence.inside = {A: 1, B: 2}
        await at.steps.look()
        assert at.where() == A
        at.presence.inside = {B: 2}
        await at.steps.look()
        assert at.where() == B


async def test_minutes_without_anybody_listening_are_counted() -> None:
    async with town() as at:
        for channel in (A, B):
            await at.watch.watch(7, channel)
        at.presence.inside = {A: 1, B: 2}
        await at.steps.look(61)
        a, b = at.watch.report(7)
        assert (a.uncovered_seconds, b.uncovered_seconds, b.people) == (1.0, 61.0, 2)


async def test_what_was_counted_outlives_a_restart_and_the_time_between_is_told_apart() -> None:
    store = FakeWatchStore()
    async with town(store) as at:
        for channel in (A, B):
            await at.watch.watch(7, channel)
        at.presence.inside = {A: 1, B: 2}
        await at.steps.look(61)
    assert {c: (w.uncovered_seconds, w.counted_since, w.counted_until) for c, w in store.counts.items()} == {
        A: (1.0, START, START + timedelta(seconds=61)),
        B: (61.0, START, START + timedelta(seconds=61)),
    }
    async with town(store, start=START + timedelta(seconds=661)) as at:
        at.presence.inside = {A: 1, B: 2}
        await at.steps.look(10)
        b = at.watch.report(7)[1]
        assert (b.uncovered_seconds, b.down_seconds, b.since) == (71.0, 600.0, START)
        await at.watch.unwatch(7, B)
        await at.watch.watch(7, B)
        assert at.watch.report(7)[1].uncovered_seconds == 0.0


async def test_a_crash_loses_at_most_a_minute_of_the_counts() -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        await at.watch.watch(7, B)
        at.presence.inside = {A: 1, B: 2}
        await at.steps.look(int(SAVE_SECONDS) + 1)
        assert at.store.counts[B].uncovered_seconds >= SAVE_SECONDS - 1


async def test_a_moderators_own_choice_is_not_left_for_a_watched_channel() -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        at.presence.inside = {C: 1}
        await at.sessions.start(7, C, "C")
        at.presence.inside = {A: 1, C: 1}
        await at.steps.look(3)
        assert at.where() == C


@pytest.mark.parametrize("kicked", [False, True])
async def test_sent_away_it_waits_until_everybody_has_left(kicked: bool) -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        at.presence.inside = {A: 1}
        await at.steps.look()
        if kicked:
            at.gateway.calls[-1].fail(VoiceRemoved("kicked"))
        else:
            await at.sessions.stop(7)
        await at.steps.look(5)
        assert at.where() is None
        assert at.watch.report(7)[0].held
        at.presence.inside = {}
        await at.steps.look()
        at.presence.inside = {A: 1}
        await at.steps.look()
        assert at.where() == A


async def test_alone_it_leaves_after_a_while() -> None:
    async with town() as at:
        at.presence.inside = {C: 1}
        await at.sessions.start(7, C, "C")
        await at.steps.look(5)
        at.presence.inside = {}
        await at.steps.look(int(ALONE_SECONDS))
        assert at.where() == C
        await at.steps.look(2)
        assert at.where() is None
        assert not at.store.taken


async def test_a_channel_that_cannot_be_entered_is_tried_ever_more_rarely() -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        at.presence.inside, at.gateway.refusal = {A: 1}, VoiceUnavailable("full")
        tries: list[int] = []
        original = at.sessions._joining

        class Counting(set[int]):
            def add(self, element: int) -> None:
                tries.append(element)
                super().add(element)

        at.sessions._joining = Counting(original)
        await at.steps.look(30)
        assert len(tries) == 5, "after 0, 1, 2, 4, 8 and 16 s"
        at.gateway.refusal = None
        await at.steps.look(40)
        assert at.where() == A


async def test_a_restart_brings_it_back_and_a_decision_does_not() -> None:
    store = FakeWatchStore()
    async with town(store) as at:
        at.presence.inside = {C: 1}
        await at.sessions.start(7, C, "C")
        await at.steps.look()
    assert store.taken == {7: Seat(7, C, "C")}
    async with town(store) as at:
        at.presence.inside = {C: 1}
        async with asyncio.timeout(60):
            while at.where() != C:  # noqa: ASYNC110 - it comes by itself
                await asyncio.sleep(0.001)
        await at.sessions.stop(7)
    assert not store.taken


async def test_a_lost_call_is_the_supervisors_affair() -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        at.presence.inside = {A: 1}
        await at.steps.look()
        at.gateway.calls[-1].fail(VoiceDisconnected("gone"))
        async with asyncio.timeout(60):
            while len(at.gateway.calls) < 2:  # noqa: ASYNC110 - it comes by itself
                await asyncio.sleep(0.001)
        await at.steps.look(3)
        assert len(at.gateway.calls) == 2
        assert at.where() == A


async def test_the_order_can_be_changed_and_has_an_end() -> None:
    async with town() as at:
        for channel in (A, B, C):
            await at.watch.watch(7, channel)
        assert await at.watch.watch(7, C, 1) == (C, A, B)
        assert await at.watch.watch(7, A) == (C, A, B)
        await at.watch.unwatch(7, C)
        assert at.store.channels == {7: [A, B]}
        with pytest.raises(NotFound):
            await at.watch.unwatch(7, C)
        for channel in range(100, 100 + MAX_WATCHED - 2):
            await at.watch.watch(7, channel)
        with pytest.raises(NotAllowed):
            await at.watch.watch(7, 999)


async def test_seats_of_servers_that_come_later_are_taken_when_they_are_there() -> None:
    """Shards come one after another; one may be away for long."""
    store = FakeWatchStore()
    store.taken[7] = Seat(7, A)
    async with town(store, unknown={7}) as at:
        await at.steps.look(2)
        assert (at.where(), at.supervisor.returning(7), store.taken[7]) == (None, None, Seat(7, A))
        at.presence.unknown.clear()
        await at.steps.look()
        async with asyncio.timeout(60):
            while at.where() != A:  # noqa: ASYNC110 - the return is a task of its own
                await asyncio.sleep(0.001)
