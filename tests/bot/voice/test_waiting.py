"""Waiting for the connection's state: discord.py announces it by an event that is gone again at once."""

import asyncio

import pytest
from discord.voice_state import ConnectionFlowState

from bot.voice.connection import EarshotConnection

pytestmark = pytest.mark.unit


def connection() -> EarshotConnection:
    """Only what waiting looks at."""
    made = EarshotConnection.__new__(EarshotConnection)
    made._state, made._state_event = ConnectionFlowState.connected, asyncio.Event()
    return made


async def test_a_state_whose_event_was_missed_is_noticed() -> None:
    waited = connection()
    waiting = asyncio.create_task(waited._wait_for_state(ConnectionFlowState.got_voice_server_update, timeout=30))
    await asyncio.sleep(0)
    waited._state = ConnectionFlowState.got_voice_server_update  # without its event
    await asyncio.wait_for(waiting, 60)


async def test_a_state_that_does_not_come_is_not_waited_for_longer_than_asked() -> None:
    with pytest.raises(TimeoutError):
        await connection()._wait_for_state(ConnectionFlowState.disconnected, timeout=0.1)
