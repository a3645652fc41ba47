"""Returning to a lost call while a moderator sends the bot somewhere as well."""

import asyncio

import pytest

from moderation.errors import VoiceDisconnected, VoiceUnavailable
from moderation.events import SessionInterrupted, SessionResumed
from tests.moderation.test_supervisor import night, until

pytestmark = pytest.mark.unit


async def test_a_join_by_hand_that_fails_does_not_end_the_return() -> None:
    async with night() as at:
        at.gateway.open.clear()
        at.gateway.refused = {9: VoiceUnavailable("full")}
        at.call.fail(VoiceDisconnected("gone"))
        await until(lambda: at.sessions.running(7) is None)
        by_hand = asyncio.create_task(at.sessions.start(7, 9, "Other"))
        await until(lambda: at.count(SessionInterrupted))
        await until(lambda: (lost := at.supervisor.returning(7)) and lost.attempts > 1)
        assert not at.count(SessionResumed)
        at.gateway.open.set()
        with pytest.raises(VoiceUnavailable):
            await by_hand
        await until(lambda: at.count(SessionResumed))
        (resumed,) = at.count(SessionResumed)
        assert resumed.session.channel_id == 8
