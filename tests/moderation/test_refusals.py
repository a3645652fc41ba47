"""Watched channels that cannot be entered: another one is covered meanwhile, a call that works is kept, and moderators read why."""

import asyncio
from datetime import timedelta

import pytest

from moderation.errors import NotAllowed, VoiceDisconnected, VoiceUnavailable
from moderation.notices import Grade
from moderation.refusals import FIRST_REST, LONGEST_REST, Refusals
from moderation.seats import Obstacle
from tests.moderation.town import START, A, B, C, Town, town

pytestmark = pytest.mark.unit

FULL = Obstacle("It is full.", lasting=False)


async def watching(at: Town, *channels: int) -> None:
    for channel in channels:
        await at.watch.watch(7, channel)


def joined(at: Town) -> list[int]:
    return [call.fares.channel_id for call in at.gateway.calls]


async def test_a_call_is_not_left_for_a_channel_that_is_full() -> None:
    async with town() as at:
        await watching(at, A, B)
        at.presence.inside, at.presence.obstacles = {B: 1}, {A: FULL}
        await at.steps.look()
        at.presence.inside = {A: 1, B: 1}
        await at.steps.look(600)
        assert joined(at) == [B]
        (report, _) = at.watch.report(7)
        assert report.refused_why == "It is full."
        (notice,) = at.told()
        assert (notice.grade, "It is full." in notice.text, f"<#{A}>" in notice.text) == (Grade.TROUBLE, True, True)
        at.presence.obstacles = {}
        await at.steps.look(61)
        assert (joined(at), at.watch.report(7)[0].refused_since) == ([B, A], None)
        (notice,) = at.told()
        assert notice.grade is Grade.MENDED


async def test_the_next_channel_is_covered_instead() -> None:
    async with town() as at:
        await watching(at, A, B)
        at.presence.inside, at.gateway.refused = {A: 1, B: 1}, {A: VoiceUnavailable("It is closed.")}
        await at.steps.look(3)
        assert at.where() == B
        await at.steps.look(50)
        assert joined(at) == [B]


@pytest.mark.parametrize("failure", [VoiceUnavailable("Discord did not let me in."), RuntimeError("nobody foresaw it")])
async def test_after_a_switch_that_failed_it_goes_back_and_stays_for_a_while(failure: Exception) -> None:
    async with town() as at:
        await watching(at, A, B)
        at.presence.inside, at.gateway.refused = {B: 1}, {A: failure}
        await at.steps.look()
        at.presence.inside = {A: 1, B: 1}
        await at.steps.look()
        assert (at.where(), joined(at)) == (B, [B, B])
        (notice,) = at.told()
        assert notice.grade is Grade.TROUBLE
        at.gateway.refused = {}
        await at.steps.look(int(FIRST_REST.total_seconds()) - 5)
        assert at.where() == B
        await at.steps.look(6)
        assert at.where() == A
        assert at.told()[0].grade is Grade.MENDED


async def test_a_call_that_cannot_be_returned_to_keeps_it_from_no_other_channel() -> None:
    async with town() as at:
        await watching(at, A, B)
        at.presence.inside = {A: 1, B: 1}
        await at.steps.look(2)
        at.gateway.refused = {A: VoiceUnavailable("It is full.")}
        at.gateway.calls[-1].fail(VoiceDisconnected("gone"))
        async with asyncio.timeout(30):
            while at.where() != B:
                await at.steps.look()
        assert not at.watch.report(7)[0].held
        at.gateway.refused = {}
        await at.steps.look(int(FIRST_REST.total_seconds()) + 2)
        assert at.where() == A


async def test_a_channel_that_is_left_by_its_people_is_told_of_no_more() -> None:
    async with town() as at:
        await watching(at, A)
        at.presence.inside, at.presence.obstacles = {A: 1}, {A: FULL}
        await at.steps.look(10)
        at.presence.inside = {}
        await at.steps.look()
        (notice,) = at.told()
        assert notice.grade is Grade.ENDED
        assert at.watch.report(7)[0].refused_since is None
        at.presence.inside = {A: 1}
        await at.steps.look(10)
        await at.watch.unwatch(7, A)
        await at.steps.look()
        assert [notice.grade for notice in at.told()] == [Grade.ENDED, Grade.ENDED]


async def test_a_channel_that_it_may_not_enter_is_not_watched() -> None:
    async with town() as at:
        at.presence.obstacles = {A: Obstacle("Give me Connect.", lasting=True), B: FULL}
        with pytest.raises(NotAllowed, match="Give me Connect"):
            await at.watch.watch(7, A)
        assert await at.watch.watch(7, B) == (B,)


def test_rests_double_to_an_hour_and_end_with_success() -> None:
    refusals, now, rests = Refusals(), START, list[timedelta]()
    for _ in range(8):
        refusals.add(C, "why", now, tried=True)
        until = now
        while C in refusals.waiting(until, in_call=True):
            until += timedelta(seconds=1)
        rests.append(until - now)
        now = until
    assert rests == [FIRST_REST * 2**n for n in range(6)] + [LONGEST_REST] * 2
    refusals.drop(C, entered=True)
    refusals.add(C, "why", now)
    assert C not in refusals.waiting(now + timedelta(seconds=1), in_call=True)
