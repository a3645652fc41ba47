"""Which watched channel gets the one seat, when the bot leaves by itself, and what is counted."""

import asyncio
from datetime import timedelta

import pytest

from moderation.errors import NotAllowed, NotFound, VoiceDisconnected, VoiceRemoved, VoiceUnavailable
from moderation.minutes import SAVE_SECONDS
from moderation.seats import Seat, choose
from moderation.watched_server import ALONE_SECONDS
from moderation.watching import MAX_WATCHED
from tests.moderation.town import START, A, B, C, FakeWatchStore, town

pytestmark = pytest.mark.unit


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
        await at.steps.look(30)
        assert at.gateway.asked == [A] * 5, "after 0, 1, 2, 4, 8 and 16 s"
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
