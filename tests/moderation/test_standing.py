"""Messages that stand in the moderators' channel: whatever is in their way, they arrive in the end and end nothing else."""

import asyncio
from dataclasses import replace

import pytest

from moderation import standing
from moderation.errors import DeliveryFailed, StorageError, VoiceDisconnected, VoiceRemoved
from moderation.events import SessionEnded, SessionResumed
from moderation.health import CallHealth
from moderation.notices import Grade, Notice
from moderation.standing import StandingMessages
from tests.fakes_live import FakeBoard, FakeCall
from tests.moderation.test_supervisor import night, until

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "FIRST_PAUSE", 0.001)


@pytest.mark.parametrize(
    "failure",
    [StorageError("away"), DeliveryFailed("limited", retryable=True, retry_after=0.01), RuntimeError("nobody foresaw it")],
)
async def test_a_notice_that_fails_is_tried_again_and_ends_nothing(failure: Exception) -> None:
    async with night() as at:
        await at.sessions.start(1, 2, "Elsewhere")
        at.board.failures = [failure] * 3
        at.gateway.calls[0].fail(VoiceRemoved("kicked"))
        await until(at.told)
        assert [notice.guild_id for notice in at.told()] == [7]
        assert at.sessions.running(1) is not None


async def test_a_return_that_fails_in_a_way_nobody_foresaw_is_tried_again() -> None:
    async with night() as at:
        await at.sessions.start(1, 2, "Elsewhere")
        at.gateway.refusal = RuntimeError("nobody foresaw it")
        at.gateway.calls[0].fail(VoiceDisconnected("gone"))
        await until(at.told)
        at.gateway.refusal = None
        await until(lambda: at.count(SessionResumed))
        assert at.sessions.running(1) is not None


def notice(key: str, title: str) -> Notice:
    return Notice(key, 7, title, "text", Grade.TROUBLE)


class FakeBrokenCall(FakeCall):
    """Cannot say how it fares, and does not let go."""

    broken = True

    def health(self) -> CallHealth:
        raise RuntimeError("nobody foresaw it")

    async def aclose(self) -> None:
        await super().aclose()
        if self.broken:
            raise RuntimeError("nobody foresaw it")


async def test_a_call_that_is_broken_in_every_way_ends_no_other() -> None:
    async with night(looking=True) as at:
        at.gateway.make = FakeBrokenCall
        await at.sessions.start(1, 2, "Elsewhere")
        at.gateway.make = FakeCall
        at.call.fail(ValueError("broken"))
        await until(lambda: at.count(SessionEnded))
        await at.sessions.start(3, 4, "A third place")
        assert at.sessions.running(7) is not None
        for _ in range(20):
            await asyncio.sleep(0)
        assert await at.sessions.stop(7) is not None


async def test_what_waits_outlives_a_long_outage_and_only_the_newest_version_is_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "LONGEST_PAUSE", 0.001)
    board = FakeBoard(200)
    messages = StandingMessages(board)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        messages.show(notice("a", "first"), group)
        await until(lambda: len(board.failures) < 100)
        messages.show(notice("a", "second"), group)
        await until(lambda: not messages.waiting)
    assert [version.title for version in board.messages[1]][-1] == "second"
    assert len(board.messages) == 1


class FakeLostAnswer(FakeBoard):
    """The first post arrives, but its answer does not; a post of the same key is that message, as it was."""

    async def show(self, notice: Notice, message_id: int | None) -> int | None:
        if message_id is None and self.messages:
            return 1
        number = await super().show(notice, message_id)
        if message_id is None:
            raise TimeoutError
        return number


async def test_a_post_whose_answer_was_lost_is_brought_up_to_date() -> None:
    board = FakeLostAnswer()
    messages = StandingMessages(board)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        messages.show(notice("a", "first"), group)
        await until(lambda: board.messages)
        messages.show(notice("a", "second"), group)
        await until(lambda: not messages.waiting)
    assert [version.title for version in board.messages[1]] == ["first", "second"]


async def test_a_refusal_for_good_is_no_reason_to_try_again() -> None:
    board = FakeBoard()
    board.failures, messages = [DeliveryFailed("refused")], StandingMessages(board)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        messages.show(notice("a", "first"), group)
        await until(lambda: not messages.waiting)
    assert (messages.dropped, board.messages) == (1, {})


async def test_too_many_that_wait_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "MAX_STANDING", 3)
    board = FakeBoard(10)
    messages = StandingMessages(board)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for key in "abcde":
            messages.show(notice(key, key), group)
        assert (messages.waiting, messages.dropped) == (3, 2)
        await until(lambda: not messages.waiting)
    assert sorted(version[-1].title for version in board.messages.values()) == ["c", "d", "e"]


async def test_who_deletes_their_data_is_not_named_by_what_waits() -> None:
    board = FakeBoard(10)
    messages = StandingMessages(board)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        messages.show(replace(notice("a", "title"), text="<@5> and <@6>", names=frozenset({5, 6})), group)
        assert messages.forget(5, group) == ["a"]
        assert not messages.forget(5, group)
        await until(lambda: not messages.waiting)
    assert (board.messages[1][0].text, board.messages[1][0].names) == ("a member and <@6>", frozenset({6}))
