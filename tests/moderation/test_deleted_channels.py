"""Watched channels that are deleted are watched no more."""

import pytest

from moderation.errors import NotFound
from tests.moderation.town import A, B, FakePresence, FakeWatchStore, town

pytestmark = pytest.mark.unit


async def test_a_deleted_channel_is_dropped() -> None:
    async with town() as at:
        for channel in (A, B):
            await at.watch.watch(7, channel)
        at.presence.deleted = {A}
        await at.steps.look()
        assert [each.channel_id for each in at.watch.report(7)] == [B]
        assert at.store.channels == {7: [B]}
        with pytest.raises(NotFound):
            await at.watch.unwatch(7, A)


async def test_one_that_was_deleted_while_the_bot_was_away_is_dropped_when_its_server_is_known() -> None:
    store, presence = FakeWatchStore(), FakePresence()
    store.channels, presence.deleted = {7: [A, B]}, {A}
    async with town(store, unknown={7}, presence=presence) as at:
        await at.steps.look(3)
        assert store.channels == {7: [A, B]}
        presence.unknown.clear()
        await at.steps.look()
        assert store.channels == {7: [B]}


async def test_a_database_that_is_away_keeps_it_until_the_next_start() -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        at.presence.deleted, at.store.away = {A}, True
        await at.steps.look(3)
        assert not at.watch.report(7)
