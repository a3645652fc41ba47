"""`POST /api/voicechat/transcribe/` and `/finalize/`: a transcript by plain requests, audio piece by piece or as a whole file."""

import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import BinaryIO, cast

from aiohttp import web
from pydantic import BaseModel, Field

from bot.api.bodies import Body
from bot.api.live_socket import as_json
from bot.api.named_streams import Named, NamedStreams
from bot.api.routes import Route, answer, body_of, query_of
from bot.api.streams import Streams
from bot.api.uploads import MEMORY_BYTES, RAW, decoded, holds_file, receive, resampled
from bot.sources.resample import MAX_RATE, MIN_RATE, Resampler
from moderation.errors import SourceError
from moderation.models import SAMPLE_RATE, TranscriptSegment
from moderation.scoring import TextScoring

IDLE_SECONDS = 60.0
"""A stream to which nothing comes for so long is forgotten."""


class Query(BaseModel):
    """Which stream, and what is sent."""

    stream_id: str = Field(min_length=1, max_length=100, description="Your own name for the stream; the first call opens it.")
    sample_rate: int = Field(SAMPLE_RATE, ge=MIN_RATE, le=MAX_RATE, description="Hz of PCM16 samples; a file says it itself.")


class Finalize(Body):
    """Ends a stream."""

    stream_id: str = Field(min_length=1, max_length=100)


class Scored(BaseModel):
    """A segment with its score."""

    segment_id: str
    text: str
    start: float = Field(description="Seconds from the stream's start.")
    end: float
    label: str
    score: float
    score_0_1: float
    severity: int
    flagged: bool
    category_scores: dict[str, float]
    matches: list[dict[str, str | int | bool]]
    error: str = Field("", description="Why a scorer beside the lexicon did not answer.")


class Heard(BaseModel):
    """What a piece of audio brought."""

    stream_id: str
    partial: str
    segments: list[Scored]


class Finished(BaseModel):
    """The whole stream."""

    stream_id: str
    transcript: str
    segments: list[Scored]
    error: str = Field("", description="Why words are missing; empty when none are known to be.")


class HttpStreams:
    """The streams that requests have opened."""

    def __init__(self, streams: Streams, scoring: TextScoring, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._named = NamedStreams(streams, IDLE_SECONDS, clock)
        self._scoring = scoring
        self.sweep, self.run = self._named.sweep, self._named.run

    async def transcribe(self, request: web.Request) -> web.Response:
        """Take a piece of audio, or a whole file."""
        query = query_of(request, Query)
        with self._named.awaited(query.stream_id), tempfile.SpooledTemporaryFile(MEMORY_BYTES) as spooled:
            file = cast("BinaryIO", spooled)
            size = await receive(request, file)
            async with self._named.opened(query.stream_id) as named:
                await self._feed_or_drop(request, query, named, file, size)
                segments, partial = named.new_segments(), named.stream.partial
        return answer(Heard(stream_id=query.stream_id, partial=partial, segments=await self._scored(segments)))

    async def finalize(self, request: web.Request) -> web.Response:
        """End a stream."""
        name = body_of(request, Finalize).stream_id
        async with self._named.ending(name) as named:
            if named.resampler is not None:
                with suppress(SourceError):  # `missing` tells it below
                    await named.stream.feed(named.resampler[1].flush())
            transcript = await named.stream.finish()
        error = " ".join(filter(None, (named.problem, named.stream.missing)))
        if error and not transcript:
            raise SourceError(error)
        return answer(Finished(stream_id=name, transcript=transcript, segments=await self._scored(named.stream.segments), error=error))

    async def _feed_or_drop(self, request: web.Request, query: Query, named: Named, file: BinaryIO, size: int) -> None:
        """What cannot be used opens no stream."""
        try:
            async with aclosing(_samples(query, request.content_type, named, file, size)) as pieces:
                async for pcm in pieces:
                    if request.transport is None:
                        raise SourceError("The client went away before its audio was recognised.")
                    await named.stream.feed(pcm)
            await named.stream.heard()
            if problem := named.new_problem():
                raise SourceError(problem)
            named.fed = True
        finally:
            if not named.fed:
                await self._named.drop(query.stream_id, named)

    async def _scored(self, segments: Sequence[TranscriptSegment]) -> list[Scored]:
        found = []
        for s in segments:
            score = await self._scoring(s.text)
            fields = {"segment_id": s.id, "text": s.text, "start": s.start, "end": s.end, "error": score.problem, **as_json(score)}
            found.append(Scored.model_validate(fields))
        return found


def routes(streams: HttpStreams) -> list[Route]:
    """Both addresses."""
    return [
        Route(
            "POST",
            "/api/voicechat/transcribe/",
            streams.transcribe,
            "Transcribe a piece of audio, or a whole file.",
            {200: [Heard]},
            {400, 503},
            query=Query,
            media=("audio/*", "video/*", *RAW),
            tag="streams",
        ),
        Route(
            "POST",
            "/api/voicechat/finalize/",
            streams.finalize,
            "End a stream and get all of it.",
            {200: [Finished]},
            {404, 503},
            body=Finalize,
            tag="streams",
        ),
    ]


async def _samples(query: Query, media: str, named: Named, file: BinaryIO, size: int) -> AsyncGenerator[bytes, None]:
    if holds_file(file, media, rate_given="sample_rate" in query.model_fields_set):
        pieces = decoded(file)
    else:
        if named.resampler is None or named.resampler[0] != query.sample_rate:
            named.resampler = (query.sample_rate, Resampler(query.sample_rate))
        pieces = resampled(file, size, named.resampler[1])
    async with aclosing(pieces):
        async for pcm in pieces:
            yield pcm
