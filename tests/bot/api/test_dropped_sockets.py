"""Clients that come and go in every way leave nothing behind: no stream, recogniser, task or descriptor. `bench/sockets.py` has 10,000."""

import asyncio
import math
import os

import pytest

from bench.sockets import open_and_drop
from bot.api import live_socket
from bot.api.app import create_app, serve
from bot.api.streams import Streams
from bot.speech.vosk import VoskTranscriber
from moderation.scoring import TextScoring
from tests.scenario import MODEL

pytestmark = pytest.mark.integration


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def rest(streams: Streams, transcriber: VoskTranscriber, tasks: int, most: float = math.inf) -> None:
    """Wait until what was open has ended, a server's handlers a little after their clients, and `most` descriptors are left."""

    def busy() -> bool:
        left = streams.open_count or transcriber.stats().open or len(asyncio.all_tasks()) > tasks
        return bool(left) or descriptors() > most

    async with asyncio.timeout(60):
        while busy():  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.01)


async def test_sockets_opened_and_dropped_leave_nothing() -> None:
    transcriber = VoskTranscriber.load(MODEL, threads=2)
    streams = Streams(transcriber)
    app = create_app({}, token=None, max_body=1_000_000, routes=live_socket.routes(streams, TextScoring(None, None, 0.7)))
    async with serve(app, "127.0.0.1", 0) as port:
        tasks = len(asyncio.all_tasks())
        await open_and_drop(port, 20)
        await rest(streams, transcriber, tasks)
        before = descriptors()
        await open_and_drop(port, 180)
        await rest(streams, transcriber, tasks, before)
        assert (streams.open_count, streams.refused, transcriber.stats().open, transcriber.stats().failed) == (0, 0, 0, 0)
        assert len(asyncio.all_tasks()) == tasks
        assert transcriber.stats().seconds_decoded > 0
    await transcriber.aclose()
