"""A heartbeat's round trip, where the answer comes before discord.py's thread has noted that it was sent."""

import asyncio
import time

import pytest
from discord.gateway import DiscordWebSocket, KeepAliveHandler

from bot.heartbeat import note_beats

pytestmark = pytest.mark.unit

INTERVAL = 41.25


class FakeLine:
    """Answers while the heartbeat is still being sent."""

    def __init__(self) -> None:
        self.ws = ws = DiscordWebSocket(self, loop=asyncio.get_running_loop())  # type: ignore[arg-type]
        ws.thread_id, ws._max_heartbeat_timeout = 0, 60.0
        self.beats = ws._keep_alive = KeepAliveHandler(ws=ws, interval=INTERVAL, shard_id=0)
        self.beats._last_send = time.perf_counter() - INTERVAL

    async def send_str(self, text: str) -> None:
        self.beats.ack()


async def test_the_time_since_the_heartbeat_before_is_no_round_trip() -> None:
    line = FakeLine()
    note_beats(line.ws)
    await line.ws.send_heartbeat({"op": 1, "d": None})
    assert line.ws.latency < INTERVAL / 2


async def test_discord_py_takes_it_for_one() -> None:
    line = FakeLine()
    await line.ws.send_heartbeat({"op": 1, "d": None})
    assert line.ws.latency > INTERVAL / 2, "once discord.py notes it in time, bot/heartbeat.py can go"
