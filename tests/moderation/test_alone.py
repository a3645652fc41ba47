"""Leaving when everybody has left: of a watched channel moderators are told nothing, because the bot comes back by itself."""

import pytest

from moderation.watched_server import ALONE_SECONDS
from tests.moderation.town import A, C, town

pytestmark = pytest.mark.unit


async def test_a_watched_channel_that_empties_is_no_message() -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        for _ in range(3):
            at.presence.inside = {A: 1}
            await at.steps.look(2)
            assert at.where() == A
            at.presence.inside = {}
            await at.steps.look(int(ALONE_SECONDS) + 2)
            assert at.where() is None
        assert not at.told()
        assert not at.store.taken


async def test_another_channel_that_empties_is_one() -> None:
    async with town() as at:
        await at.sessions.start(7, C, "C")
        await at.steps.look(int(ALONE_SECONDS) + 2)
        (notice,) = at.told()
        assert "Nobody but bots" in notice.text


async def test_being_alone_counts_anew_in_each_session() -> None:
    async with town() as at:
        await at.sessions.start(7, C, "C")
        await at.steps.look(int(ALONE_SECONDS) - 10)
        await at.sessions.stop(7)
        await at.steps.look(30)
        await at.sessions.start(7, C, "C")
        await at.steps.look(int(ALONE_SECONDS) - 10)
        assert at.where() == C
