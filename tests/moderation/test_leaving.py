"""Sending the bot away while it joins."""

import asyncio

import pytest

from moderation.errors import JoinStopped
from moderation.sessions import SessionManager
from tests.fakes import FakeSink
from tests.fakes_live import FakeGateway
from tests.moderation.test_sessions import manager, until
from tests.moderation.town import A, B, town

pytestmark = pytest.mark.unit


async def joining(sessions: SessionManager, gateway: FakeGateway) -> "asyncio.Task[object]":
    gateway.open.clear()
    task: asyncio.Task[object] = asyncio.create_task(sessions.start(7, 8))
    async with asyncio.timeout(30):
        await until(lambda: bool(gateway.asked))
    return task


async def test_stop_ends_a_join_under_way() -> None:
    gateway, sink = FakeGateway(), FakeSink()
    async with manager(gateway, sink) as sessions:
        join = await joining(sessions, gateway)
        assert sessions.joining(7)
        assert await sessions.stop(7) is None
        gateway.open.set()
        with pytest.raises(JoinStopped):
            await join
        assert not gateway.calls
        assert (sessions.running(7), sessions.joining(7)) == (None, False)
        await sessions.start(7, 8)
    assert len(gateway.calls) == 1


async def test_who_no_longer_waits_for_a_join_ends_it() -> None:
    gateway = FakeGateway()
    async with manager(gateway, FakeSink()) as sessions:
        join = await joining(sessions, gateway)
        join.cancel()
        await asyncio.wait({join})
        assert not sessions.joining(7)


async def test_leaving_the_manager_ends_joins_too() -> None:
    gateway = FakeGateway()
    async with manager(gateway, FakeSink()) as sessions:
        join = await joining(sessions, gateway)
    with pytest.raises(JoinStopped):
        await join


async def test_sent_away_while_the_watch_enters_it_waits_until_everybody_has_left() -> None:
    async with town() as at:
        for channel in (A, B):
            await at.watch.watch(7, channel)
        at.presence.inside = {B: 1}
        await at.steps.look()
        at.gateway.open.clear()
        at.presence.inside = {A: 1, B: 1}
        looking = asyncio.create_task(at.steps.look())
        async with asyncio.timeout(30):
            await until(lambda: at.sessions.joining(7))
        await at.sessions.stop(7)
        at.gateway.open.set()
        await looking
        assert at.watch.report(7)[0].held
        assert A not in [call.fares.channel_id for call in at.gateway.calls]
