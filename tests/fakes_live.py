"""Stand-ins for live calls and for the moderators' channel."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from moderation.errors import DeliveryFailed
from moderation.health import CallHealth
from moderation.models import AudioFrame, Session, SourceItem, Speaker
from moderation.notices import Notice
from moderation.shedding import CALM, PATIENCE, RISE, Shed, Shedding
from tests.fakes import FakeSource

WELL = CallHealth(
    connected=True,
    latency=0.02,
    dave_version=1,
    dave_epoch=3,
    privacy_code="123451234512345123451234512345",
    reconnects=0,
    recoveries=0,
    deaf=False,
    queued=0,
    dropped=0,
    listening=True,
    channel_id=8,
    channel_name="General",
    received=99,
    lost=1,
    server_deafened=False,
)
"""A call without trouble, in channel 8."""


ELSEWHERE = "elsewhere"


def shared_machine() -> Shedding:
    """What is left out, on a machine that another call shares."""
    shedding = Shedding()
    shedding.opened(ELSEWHERE)
    return shedding


def overload(shedding: Shedding) -> None:
    """It becomes too slow for both calls: the newer one is left out."""
    while shedding.level is not Shed.CHANNEL:
        shedding.report(ELSEWHERE, 1, RISE[-1], PATIENCE)


def relax(shedding: Shedding) -> None:
    """It is fast enough again."""
    while shedding.level is not Shed.NOTHING:
        shedding.report(ELSEWHERE, 1, 0.0, CALM)


class FakeCall:
    """A live source: goes on until closed, or until it is told to fail."""

    def __init__(self) -> None:
        self.closed, self.over = False, asyncio.Event()
        self.failure: Exception | None = None
        self.fares = WELL

    async def frames(self) -> AsyncIterator[SourceItem]:
        yield AudioFrame(1, 0.0, b"a" * 640)
        await self.over.wait()
        if self.failure:
            raise self.failure

    def speaker(self, speaker_id: int) -> Speaker:
        return Speaker(speaker_id)

    def spoken_seconds(self, speaker_id: int) -> float:
        return 0.02 * speaker_id

    def health(self) -> CallHealth:
        return self.fares

    async def aclose(self) -> None:
        self.closed = True
        self.over.set()

    def fail(self, error: Exception) -> None:
        self.failure = error
        self.over.set()


class FakeLiveSource(FakeSource):
    """A list of items that is said to come from a call."""

    def health(self) -> CallHealth:
        return WELL


class FakeGateway:
    """Joins at once, or refuses; while `open` is not set, it takes its time."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal, self.calls = refusal, list[FakeCall]()
        self.refused: dict[int, Exception] = {}
        self.slow: dict[int, asyncio.Event] = {}
        self.asked: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.make: Callable[[], FakeCall] = FakeCall

    async def join(self, session: Session) -> FakeCall:
        self.asked.append(session.channel_id)
        await self.slow.get(session.channel_id, self.open).wait()
        await asyncio.sleep(0)
        if refusal := self.refused.get(session.channel_id, self.refusal):
            raise refusal
        self.calls.append(self.make())
        self.calls[-1].fares = replace(WELL, channel_id=session.channel_id, channel_name=session.channel_name)
        return self.calls[-1]


class FakeBoard:
    """Remembers every version of every message, by message id; refuses as often as told."""

    def __init__(self, refusals: int = 0) -> None:
        self.messages = dict[int, list[Notice]]()
        self.failures: list[Exception] = [DeliveryFailed("away", retryable=True)] * refusals

    async def show(self, notice: Notice, message_id: int | None) -> int | None:
        if self.failures:
            raise self.failures.pop(0)
        number = message_id or len(self.messages) + 1
        self.messages.setdefault(number, []).append(notice)
        return number
