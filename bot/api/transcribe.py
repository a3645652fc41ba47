"""`POST /api/voicechat/transcribe/` and `/finalize/`: a transcript by plain requests, audio piece by piece or as a whole file."""

import asyncio
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from aiohttp import web
from pydantic import BaseModel, Field

from bot.api.bodies import MAX_BODY, Body
from bot.api.live_socket import as_json
from bot.api.routes import Role, Route, answer, body_of, query_of
from bot.api.streams import Streams
from bot.sources.files import decode
from bot.sources.resample import MAX_RATE, MIN_RATE, Resampler
from moderation.errors import InvalidInput, ModerationError, NotFound
from moderation.models import SAMPLE_RATE, TranscriptSegment
from moderation.scoring import TextScoring
from moderation.streams import Transcription

IDLE_SECONDS = 60.0
"""A stream to which nothing comes for so long is forgotten."""
UPLOAD_SECONDS = 120.0
"""How long a body may take to arrive."""
MEMORY_BYTES = 1_000_000
"""Of a body that may be in memory; more goes to a temporary file."""
RAW = ("application/octet-stream", "audio/l16", "audio/pcm", "audio/raw", "application/x-www-form-urlencoded")
"""Media types that say nothing about a file: samples, unless the first bytes are a known file's."""
_FILES = (b"RIFF", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"FORM", b"\x00\x00\x00\x1cftyp", b"\x00\x00\x00\x20ftyp")


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


@dataclass(slots=True)
class _Open:
    stream: Transcription
    used_at: float
    told: int = 0
    fed: bool = False
    """Whether anything usable came."""
    resampler: tuple[int, Resampler] | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


class HttpStreams:
    """The streams that requests have opened, by the clients' names for them."""

    def __init__(self, streams: Streams, scoring: TextScoring, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._streams = streams
        self._scoring = scoring
        self._clock = clock
        self._open: OrderedDict[str, _Open] = OrderedDict()

    async def transcribe(self, request: web.Request) -> web.Response:
        """Take a piece of audio, or a whole file."""
        query = query_of(request, Query)
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as spooled:
            file = cast("BinaryIO", spooled)
            if not await _receive(request, file):
                raise InvalidInput("The body is empty; send PCM16 mono samples, or a WAV, Ogg, MP3 or FLAC file.")
            opened = self._get(query.stream_id)
            async with opened.busy:
                await self._feed_or_drop(opened, file, query, request.content_type)
                await opened.stream.heard()
                opened.used_at = self._clock()
                segments = opened.stream.segments[opened.told :]
                opened.told += len(segments)
        return answer(Heard(stream_id=query.stream_id, partial=opened.stream.partial, segments=await self._scored(segments)))

    async def finalize(self, request: web.Request) -> web.Response:
        """End a stream."""
        name = body_of(request, Finalize).stream_id
        opened = self._open.pop(name, None)
        if opened is None:
            raise NotFound("There is no such stream; it has ended, or nothing came to it for a minute.")
        try:
            async with opened.busy:
                if opened.resampler is not None:
                    await opened.stream.feed(opened.resampler[1].flush())
                transcript = await opened.stream.finish()
        finally:
            self._streams.give_back()
        return answer(Finished(stream_id=name, transcript=transcript, segments=await self._scored(opened.stream.segments)))

    async def sweep(self) -> None:
        """Forget the streams that are idle."""
        for name, opened in list(self._open.items()):
            if self._clock() - opened.used_at >= IDLE_SECONDS and not opened.busy.locked():
                await self._drop(name)

    async def run(self) -> None:
        """Sweep again and again; at the end, drop all."""
        try:
            while True:
                await asyncio.sleep(IDLE_SECONDS / 6)
                await self.sweep()
        finally:
            for name in list(self._open):
                await self._drop(name)

    def _get(self, name: str) -> _Open:
        if name not in self._open:
            self._streams.take_place()
            self._open[name] = _Open(self._streams.open(), self._clock())
        return self._open[name]

    async def _drop(self, name: str) -> None:
        opened = self._open.pop(name)
        self._streams.give_back()
        await opened.stream.aclose()

    async def _feed_or_drop(self, opened: _Open, file: BinaryIO, query: Query, media: str) -> None:
        """What cannot be used opens no stream."""
        try:
            await self._feed(opened, file, query, media)
        except ModerationError:
            if not opened.fed:
                await self._drop(query.stream_id)
            raise
        opened.fed = True

    async def _feed(self, opened: _Open, file: BinaryIO, query: Query, media: str) -> None:
        start = file.read(12)
        file.seek(0)
        if media not in RAW or start.startswith(_FILES):
            async for pcm in _pieces(decode(file, "The file")):
                await opened.stream.feed(pcm)
            return
        if opened.resampler is None or opened.resampler[0] != query.sample_rate:
            opened.resampler = (query.sample_rate, Resampler(query.sample_rate))
        while piece := file.read(MEMORY_BYTES):
            await opened.stream.feed(opened.resampler[1](piece))

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
            Role.OPERATE,
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
            {404},
            Role.OPERATE,
            body=Finalize,
            tag="streams",
        ),
    ]


async def _receive(request: web.Request, file: BinaryIO) -> int:
    """The body into the file; how many bytes. aiohttp itself limits the size only of what it reads whole."""
    size, limit = 0, request.app[MAX_BODY]
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in request.content.iter_chunked(65_536):
                size += len(chunk)
                if size > limit:
                    raise web.HTTPRequestEntityTooLarge(limit, size)
                await asyncio.to_thread(file.write, chunk) if size > MEMORY_BYTES else file.write(chunk)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    file.seek(0)
    return size


async def _pieces(decoded: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (pcm := await asyncio.to_thread(next, decoded, b"")) != b"":
        yield pcm
