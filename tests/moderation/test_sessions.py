"""The session manager: one session a guild, clean stops, faults that stay inside one session."""

import asyncio
from collections.abc import Callable

import pytest

from moderation.broadcast import Broadcast
from moderation.errors import NotAllowed, VoiceDisconnected, VoiceUnavailable
from moderation.events import Event, SessionEnded, SessionStarted
from moderation.models import Session
from moderation.pipeline import Pipeline
from moderation.ports import Sink
from moderation.sessions import SessionManager
from moderation.settings import GuildSettings
from tests.fakes import FakeSink, FakeTranscriber
from tests.fakes_live import FakeGateway

pytestmark = pytest.mark.unit


def manager(gateway: FakeGateway, sink: Sink) -> SessionManager:
    settings = GuildSettings(7)

    async def pipeline(session: Session) -> Pipeline:
        return Pipeline(session, FakeTranscriber(), (), sink, lambda: settings)

    return SessionManager(gateway, pipeline, sink)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the manager has no event for it; each turn lets its tasks run
        await asyncio.sleep(0)


async def test_start_and_stop() -> None:
    gateway, sink = FakeGateway(), FakeSink()
    async with manager(gateway, sink) as sessions:
        session = await sessions.start(7, 8, "General")
        assert sessions.running(7)
        coverage = await sessions.stop(7)
        assert coverage is not None
        assert coverage[0].heard_seconds == pytest.approx(0.02)
        assert sessions.running(7) is None
        assert await sessions.stop(7) is None
    assert gateway.calls[0].closed
    ended = [e for e in sink.events if isinstance(e, SessionEnded)]
    assert [(e.session.id, e.reason) for e in ended] == [(session.id, "stopped")]
    assert isinstance(sink.events[0], SessionStarted)


async def test_a_guild_has_one_session_even_when_two_ask_at_once() -> None:
    async with manager(FakeGateway(), FakeSink()) as sessions:
        results = await asyncio.gather(sessions.start(7, 8), sessions.start(7, 9), return_exceptions=True)
        assert [isinstance(r, NotAllowed) for r in results] == [False, True]
        with pytest.raises(NotAllowed, match="<#8>"):
            await sessions.start(7, 9)
        await sessions.start(1, 2)
        assert len(sessions) == 2


async def test_a_refused_join_leaves_nothing_behind() -> None:
    gateway, sink = FakeGateway(VoiceUnavailable("full")), FakeSink()
    async with manager(gateway, sink) as sessions:
        with pytest.raises(VoiceUnavailable):
            await sessions.start(7, 8)
        gateway.refusal = None
        await sessions.start(7, 8)


@pytest.mark.parametrize(("error", "reason"), [(VoiceDisconnected("gone"), "voice-disconnected"), (ValueError("broken"), "internal-error")])
async def test_a_session_that_dies_is_ended_and_the_others_live(error: Exception, reason: str) -> None:
    gateway, sink = FakeGateway(), FakeSink()
    async with manager(gateway, sink) as sessions:
        await sessions.start(7, 8)
        await sessions.start(1, 2)
        gateway.calls[0].fail(error)
        await until(lambda: sessions.running(7) is None)
        assert sessions.running(1) is not None
        assert [e.reason for e in sink.events if isinstance(e, SessionEnded)] == [reason]
        await sessions.start(7, 8)


async def test_leaving_the_manager_stops_every_session() -> None:
    gateway, sink = FakeGateway(), FakeSink()
    async with manager(gateway, sink) as sessions:
        await sessions.start(7, 8)
        await sessions.start(1, 2)
    assert all(c.closed for c in gateway.calls)
    assert [e.reason for e in sink.events if isinstance(e, SessionEnded)] == ["shutdown", "shutdown"]


async def test_a_failing_subscriber_does_not_keep_events_from_the_others() -> None:
    class FakeBroken:
        async def emit(self, event: Event) -> None:
            raise ValueError(event)

    good = FakeSink()
    broadcast = Broadcast(FakeBroken())
    broadcast.subscribe(good)
    async with manager(FakeGateway(), broadcast) as sessions:
        await sessions.start(7, 8)
    assert broadcast.failures == len(good.events) > 0
    broadcast.unsubscribe(good)
    broadcast.unsubscribe(good)
