"""Servers do not wait for each other: neither for one that is slow to enter, nor for one that is broken."""

import asyncio

import pytest

from moderation.watched_server import MAX_AT_ONCE
from tests.moderation.test_sessions import until
from tests.moderation.town import A, B, FakePresence, town

pytestmark = pytest.mark.unit


async def test_a_slow_join_holds_up_no_other_server() -> None:
    async with town() as at:
        at.gateway.slow[A] = asyncio.Event()
        await at.watch.watch(7, A)
        await at.watch.watch(8, B)
        at.presence.inside = {A: 1}
        await at.steps.look(3)
        at.presence.inside = {A: 1, B: 1}
        await at.steps.look()
        assert at.sessions.running(8) is not None
        assert at.gateway.asked == [A, B], "one join a server at a time"
        at.gateway.slow[A].set()
        await at.steps.look()
        assert at.where() == A


async def test_so_many_join_at_once_and_the_others_follow() -> None:
    async with town() as at:
        at.gateway.open.clear()
        servers = range(100, 100 + MAX_AT_ONCE + 5)
        for server in servers:
            await at.watch.watch(server, server)
        at.presence.inside = dict.fromkeys(servers, 1)
        await at.steps.look(3)
        assert len(at.gateway.asked) == MAX_AT_ONCE
        at.gateway.open.set()
        async with asyncio.timeout(30):
            await until(lambda: len(at.sessions) == len(servers))


class FakeBrokenPresence(FakePresence):
    """Fails for one channel."""

    def people(self, guild_id: int, channel_id: int) -> int:
        if channel_id == A:
            raise RuntimeError("nobody foresaw it")
        return super().people(guild_id, channel_id)


async def test_a_broken_server_holds_up_no_other() -> None:
    async with town(presence=FakeBrokenPresence()) as at:
        await at.watch.watch(7, A)
        await at.watch.watch(8, B)
        at.presence.inside = {B: 1}
        await at.steps.look(2)
        assert at.sessions.running(8) is not None
