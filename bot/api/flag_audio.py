"""`WS /ws/flag-audio/`: the running transcript, scored as a whole while it grows."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from bot.api.messages import FROM_CLIENT, FROM_FLAG_AUDIO
from bot.api.routes import Route
from bot.api.sockets import Client, Conversation
from bot.api.streams import Streams
from bot.api.websocket import accept
from moderation.errors import ModerationError
from moderation.models import TranscriptSegment

log = logging.getLogger(__name__)

MAX_SCORED = 5_000
"""Characters of the transcript's end that are scored."""
LAST_SECONDS = 10.0
"""How long the last score may take."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What a transcript comes to."""

    score: float
    """0..1."""
    flagged: bool
    response: object
    """As the endpoint gave it."""


NOTHING_SAID = Rating(0.0, flagged=False, response=None)
"""What an empty transcript comes to; nobody is asked."""
Rate = Callable[[str], Awaitable[Rating]]
"""Rates a text; raises a `ModerationError` where it cannot."""


def routes(streams: Streams, rate: Rate, threshold: float, every: float) -> list[Route]:
    """The WebSocket's address. `every`: seconds between two scores, at least."""

    async def stream(request: web.Request) -> web.WebSocketResponse:
        with streams.place():
            socket = await accept(request)
            await Conversation(socket, streams.open, lambda client: TranscriptScores(client, rate, threshold, every)).run()
        return socket

    about = "WebSocket: audio in, the transcript's score out."
    return [Route("GET", "/ws/flag-audio/", stream, about, {101: []}, {400, 503}, tag="streams", tells=FROM_FLAG_AUDIO, hears=FROM_CLIENT)]


class TranscriptScores:
    """Scores the transcript whenever it has grown, but not more often than asked."""

    def __init__(self, client: Client, rate: Rate, threshold: float, every: float) -> None:
        self._client = client
        self._rate = rate
        self._threshold = threshold
        self._every = every
        self._said: deque[str] = deque()
        self._partial = ""
        self._grown = asyncio.Event()
        self._scored = ""
        self._task = asyncio.create_task(self._score_on(), name="transcript scores")

    async def take(self, segment: TranscriptSegment) -> None:
        """Tell it, and have it scored when it is time."""
        if segment.final:
            self._said.append(segment.text)
            while sum(map(len, self._said)) > MAX_SCORED and len(self._said) > 1:
                self._said.popleft()
        self._partial = "" if segment.final else segment.text
        kind = {"segment_id": segment.id} if segment.final else {}
        await self._client.say("segment" if segment.final else "partial", text=segment.text, **kind)
        self._grown.set()

    async def finish(self, transcript: str) -> None:
        """The last score."""
        self._task.cancel()
        await asyncio.wait({self._task})
        self._partial = ""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._score(final=True)
        except TimeoutError:
            await self._client.error("The last score did not come in time.")

    async def aclose(self) -> None:
        """Nobody waits for more."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _score_on(self) -> None:
        while True:
            await self._grown.wait()
            self._grown.clear()
            started = time.monotonic()
            await self._score(final=False)
            await asyncio.sleep(max(0.0, self._every - (time.monotonic() - started)))

    async def _score(self, *, final: bool) -> None:
        text = " ".join(filter(None, (*self._said, self._partial)))[-MAX_SCORED:]
        if not final and text in {"", self._scored}:
            return
        try:
            rating = await self._rate(text) if text else NOTHING_SAID
            await self._client.say(
                "score", score=rating.score, flagged=rating.flagged, threshold=self._threshold, final=final, response=rating.response
            )
        except ModerationError as error:
            await self._client.error(str(error))
            return
        except Exception as error:  # the next one is tried all the same
            log.warning("scoring a stream's transcript failed", extra={"error": type(error).__name__})
            await self._client.error("The transcript could not be scored.")
            return
        self._scored = text
