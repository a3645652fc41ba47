"""One client's audio, handed in piece by piece and run through the pipeline: what HTTP and WebSocket streams are made of.

    feed(pcm) ─▶ HandFedSource ─▶ Pipeline ─▶ events ─▶ Transcription ─▶ tell(partial | segment)

Nothing of a stream leaves it: no alerts, no rows, no clips. When it ends, it is gone.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

from moderation.errors import SourceError
from moderation.events import Event, SegmentTranscribed, TrackFailed
from moderation.handfed import PIECE_SECONDS, STALL_SECONDS, HandFedSource
from moderation.models import Session, TranscriptSegment
from moderation.pipeline import Pipeline
from moderation.ports import Detector, Transcriber
from moderation.settings import GuildSettings
from moderation.vad import VoiceGate

log = logging.getLogger(__name__)

LAST_WORDS_SECONDS = 120.0
"""How long the end of a stream may take, however busy the machine is."""
LOOK_SECONDS = 0.02
"""How often the progress is looked at while somebody waits for it."""
MAX_SEGMENTS = 2000
"""Segments a stream remembers; the oldest goes, and `dropped` counts it."""

Tell = Callable[[TranscriptSegment], Awaitable[None]]
"""Is told of every partial and final."""
Warn = Callable[[str], Awaitable[None]]
"""Is told, in a sentence, why words will be missing."""

FAILED = "This stream has failed: words are missing, and it takes no more audio. Start another one."
UNHEARD = "A part of this audio could not be recognised: a recogniser failed, or too many streams and speakers want one. Words are missing."


class Transcription:
    """A running stream, and the sink of its own pipeline. `feed` it, then `finish` it or `aclose` it."""

    def __init__(
        self,
        transcriber: Transcriber,
        detectors: Sequence[Detector],
        *,
        tell: Tell | None = None,
        warn: Warn | None = None,
        gate: Callable[[], VoiceGate] | None = None,
        stall_seconds: float = STALL_SECONDS,
        end_seconds: float = LAST_WORDS_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts at once.

        Args:
            transcriber: gives the recogniser.
            detectors: as in `Pipeline`, as is `gate`.
            tell: is told of every partial and final.
            warn: is told, while the stream goes on, why words will be missing.
            gate: None decodes everything.
            stall_seconds: without any progress for so long, what waits to be recognised is given up.
            end_seconds: how long `finish` may take.
            clock: monotonic seconds.
        """
        session = Session(uuid4().hex, 0, 0, datetime.now(UTC))
        settings = GuildSettings(0)
        self.id = session.id
        self._source = HandFedSource(stall_seconds)
        self._pipeline = Pipeline(session, transcriber, detectors, self, lambda: settings, lossless=True, gate=gate)
        self._tell = tell
        self._warn = warn
        self._stall_seconds = stall_seconds
        self._end_seconds = end_seconds
        self._clock = clock
        self._segments: deque[TranscriptSegment] = deque(maxlen=MAX_SEGMENTS)
        self.partial = ""
        """What is being said."""
        self.dropped = 0
        """Segments that were too many to remember."""
        self.failed = False
        self.late_seconds = 0.0
        """Audio that was given up at the end because it took too long."""
        self._task = asyncio.create_task(self._run(), name="stream")

    async def feed(self, pcm: bytes) -> None:
        """Hand in whole 16 kHz mono samples; waits while the recogniser is far behind. Raises `SourceError` after a failure."""
        with self._unless_failed():
            await self._source.feed(pcm)

    async def pause(self) -> None:
        """Nothing comes at the moment: finish the sentence. Raises `SourceError` after a failure."""
        with self._unless_failed():
            await self._source.pause()

    async def heard(self) -> None:
        """Wait until all that was handed in has been worked on, or the stream has ended. Raises `SourceError` after a failure."""
        progress = _Progress(self._settled, self._stall_seconds, self._clock)
        while not self._task.done() and self._unsettled > PIECE_SECONDS / 2 and not progress.stalled:
            await asyncio.wait({self._task}, timeout=LOOK_SECONDS)
        self.failed = self.failed or progress.stalled
        self._check()

    async def finish(self) -> str:
        """No more audio: finish the last words, while there is progress and `end_seconds` are not over; the whole transcript.

        `missing` tells afterwards whether something was left out.
        """
        self._source.close()
        progress = _Progress(self._settled, self._stall_seconds, self._clock)
        while not self._task.done() and not progress.stalled and progress.seconds < self._end_seconds:
            await asyncio.wait({self._task}, timeout=LOOK_SECONDS)
        if not self._task.done():
            self.late_seconds = max(self._unsettled, PIECE_SECONDS)
            await self.aclose()
        return self.transcript

    async def aclose(self) -> None:
        """Stop at once, without the last words."""
        self._source.close()
        self.failed = self.failed or not self._task.done()
        self._task.cancel()
        await asyncio.wait({self._task})

    @property
    def missing(self) -> str:
        """What the transcript lacks at the end, in a sentence; empty when nothing is known to be missing."""
        if self.late_seconds:
            return f"Recognition was too slow: the last {self.late_seconds:.1f} seconds of audio were left out."
        if self.failed:
            return FAILED
        return f"The transcript was too long; segments left out at its beginning: {self.dropped}." if self.dropped else ""

    @property
    def segments(self) -> Sequence[TranscriptSegment]:
        """The finals, oldest first."""
        return tuple(self._segments)

    @property
    def transcript(self) -> str:
        """All finals."""
        return " ".join(s.text for s in self._segments)

    async def emit(self, event: Event) -> None:
        """What the pipeline says."""
        if isinstance(event, TrackFailed) and self._warn is not None:
            await self._warn(UNHEARD)
        if not isinstance(event, SegmentTranscribed):
            return
        segment = event.segment
        self.partial = "" if segment.final else segment.text
        if segment.final:
            self.dropped += len(self._segments) == MAX_SEGMENTS
            self._segments.append(segment)
        if self._tell is not None:
            await self._tell(segment)

    async def _run(self) -> None:
        try:
            await self._pipeline.run(self._source)
        except Exception as error:
            self.failed = True
            log.warning("a stream failed", extra={"session_id": self.id, "error": type(error).__name__})
        finally:
            self._source.close()

    @contextmanager
    def _unless_failed(self) -> Iterator[None]:
        self._check()
        try:
            yield
        except TimeoutError:
            self.failed = True
        self._check()

    def _check(self) -> None:
        if self.failed:
            raise SourceError(FAILED)

    def _settled(self) -> float:
        return self._pipeline.settled_seconds

    @property
    def _unsettled(self) -> float:
        return self._source.fed_seconds - self._settled()


class _Progress:
    """Whether something still grows."""

    def __init__(self, measure: Callable[[], float], patience: float, clock: Callable[[], float]) -> None:
        """`patience`: seconds."""
        self._measure = measure
        self._patience = patience
        self._clock = clock
        self._last = measure()
        self._started = self._moved = clock()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    @property
    def stalled(self) -> bool:
        """Whether it has not grown for longer than patience lasts."""
        now, value = self._clock(), self._measure()
        if value > self._last:
            self._last, self._moved = value, now
        return now - self._moved >= self._patience
