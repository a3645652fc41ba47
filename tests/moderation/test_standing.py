"""Messages that stand in the moderators' channel: whatever is in their way, they arrive in the end and end nothing else."""

import asyncio

import pytest

from moderation import standing
from moderation.errors import DeliveryFailed, StorageError, VoiceDisconnected, VoiceRemoved
from moderation.events import SessionEnded, SessionResumed
from moderation.health import CallHealth
from tests.fakes_live import FakeCall
from tests.moderation.test_supervisor import night, until

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PAUSE_SECONDS", 0.001)


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
