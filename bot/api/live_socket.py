"""`WS /ws/voicechat/stream/`: the live transcript, and each segment's score."""

import asyncio
import logging
from collections import deque

from aiohttp import web

from bot.api.messages import FROM_CLIENT, FROM_STREAM
from bot.api.routes import Route
from bot.api.sockets import Client, Conversation
from bot.api.streams import Streams
from bot.api.websocket import accept
from moderation.inbox import Inbox, Overflow
from moderation.models import TranscriptSegment
from moderation.scoring import TextScore, TextScoring
from moderation.streams import MAX_SEGMENTS

log = logging.getLogger(__name__)

MAX_UNSCORED = 32
"""Segments that may wait for their score; the newest beyond that gets `score_error`."""
SCORES_SECONDS = 5.0
"""How long the scores of the last segments may take."""


def routes(streams: Streams, scoring: TextScoring) -> list[Route]:
    """The WebSocket's address."""

    async def stream(request: web.Request) -> web.WebSocketResponse:
        with streams.place():
            socket = await accept(request)
            await Conversation(socket, streams.open, lambda client: SegmentScores(client, scoring)).run()
        return socket

    about, path = "WebSocket: audio in, transcript and scores out.", "/ws/voicechat/stream/"
    return [Route("GET", path, stream, about, {101: []}, {400, 503}, tag="streams", tells=FROM_STREAM, hears=FROM_CLIENT)]


class SegmentScores:
    """Tells partials and segments at once, scores as they come."""

    def __init__(self, client: Client, scoring: TextScoring) -> None:
        self._client = client
        self._scoring = scoring
        self._said: deque[str] = deque(maxlen=MAX_SEGMENTS)
        self._waiting: Inbox[TranscriptSegment] = Inbox(MAX_UNSCORED, Overflow.DROP_NEWEST)
        self._task = asyncio.create_task(self._score_all(), name="stream scores")

    async def take(self, segment: TranscriptSegment) -> None:
        """Tell it."""
        if not segment.final:
            await self._client.say("partial", text=segment.text)
            return
        self._said.append(segment.text)
        await self._client.say("segment", segment_id=segment.id, text=segment.text)
        dropped = self._waiting.dropped
        self._waiting.put(segment)
        if self._waiting.dropped > dropped:
            await self._client.say("score_error", segment_id=segment.id, error="Too many segments wait for a score.")

    async def finish(self, transcript: str) -> None:
        """Wait for the last scores."""
        self._waiting.close()
        await asyncio.wait({self._task}, timeout=SCORES_SECONDS)
        if not self._task.done():
            await self._client.error("The scores of the last segments did not come in time; they are left out.")
        await self._client.say("final", transcript=transcript)

    async def aclose(self) -> None:
        """Nobody waits for the rest."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _score_all(self) -> None:
        async for segment in self._waiting:
            try:
                await self._score(segment)
            except Exception as error:  # one segment without a score is told; the others go on
                log.warning("scoring a stream's segment failed", extra={"session_id": segment.session_id, "error": type(error).__name__})
                await self._client.say("score_error", segment_id=segment.id, error="This segment could not be scored.")

    async def _score(self, segment: TranscriptSegment) -> None:
        scored = await self._scoring(segment.text)
        if scored.problem:
            await self._client.say("score_error", segment_id=segment.id, error=scored.problem)
        await self._client.say("score", segment_id=segment.id, text=segment.text, transcript=" ".join(self._said), **as_json(scored))


def as_json(scored: TextScore) -> dict[str, object]:
    """A score's fields. Matches say where, never what."""
    return {
        "label": scored.label,
        "score": scored.score,
        "score_0_1": scored.score,
        "severity": scored.severity,
        "flagged": scored.flagged,
        "category_scores": scored.categories,
        "matches": [
            {"category": m.category, "severity": m.severity, "start": m.start, "end": m.end, "redacted": True} for m in scored.matches
        ],
    }
