"""One client's audio, handed in piece by piece and run through the pipeline: what HTTP and WebSocket streams are made of.

    feed(pcm) ─▶ HandFedSource ─▶ Pipeline ─▶ events ─▶ Transcription ─▶ tell(partial | segment)

Nothing of a stream leaves it: no alerts, no rows, no clips. When it ends, it is gone.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from moderation.errors import SourceError
from moderation.events import Event, SegmentTranscribed
from moderation.inbox import Inbox, Overflow
from moderation.models import BYTES_PER_SECOND, AudioFrame, EndOfSpeech, Session, SourceItem, Speaker, TranscriptSegment
from moderation.pipeline import Pipeline
from moderation.ports import Detector, Transcriber
from moderation.settings import GuildSettings
from moderation.vad import VoiceGate

log = logging.getLogger(__name__)

PIECE_SECONDS = 0.1
"""Audio in one frame of a stream, at most."""
WAITING_SECONDS = 5.0
"""Audio that may wait to be recognised; then the client waits."""
MAX_SEGMENTS = 2000
"""Segments a stream remembers; the oldest goes, and `dropped` counts it."""

SPEAKER = Speaker(1)

Tell = Callable[[TranscriptSegment], Awaitable[None]]
"""Is told of every partial and final."""


class HandFedSource:
    """An `AudioSource` for one speaker whose audio is handed in."""

    def __init__(self) -> None:
        self._items: Inbox[SourceItem] = Inbox(int(WAITING_SECONDS / PIECE_SECONDS), Overflow.DROP_OLDEST)
        self._size = round(PIECE_SECONDS * BYTES_PER_SECOND)
        self._speaking = False
        self.fed_seconds = 0.0
        """Media seconds handed in so far."""

    async def feed(self, pcm: bytes) -> None:
        """Hand in 16 kHz mono samples, signed 16-bit little-endian; waits while `WAITING_SECONDS` are ahead of the recogniser."""
        for at in range(0, len(pcm), self._size):
            piece = pcm[at : at + self._size]
            await self._items.room()
            self._items.put(AudioFrame(SPEAKER.id, self.fed_seconds, piece, time.monotonic()))
            self.fed_seconds += len(piece) / BYTES_PER_SECOND
            self._speaking = True

    async def pause(self) -> None:
        """Nothing comes at the moment: what was said is finished."""
        if self._speaking:
            self._speaking = False
            await self._items.room()
            self._items.put(EndOfSpeech(SPEAKER.id, self.fed_seconds, time.monotonic()))

    def close(self) -> None:
        """Nothing comes any more."""
        self._items.close()

    async def frames(self) -> AsyncIterator[SourceItem]:
        """What was handed in, then the end."""
        async for item in self._items:
            yield item

    def speaker(self, speaker_id: int) -> Speaker:
        """There is one, without a name."""
        return SPEAKER

    def spoken_seconds(self, speaker_id: int) -> float:
        """All of it counts."""
        return self.fed_seconds

    async def aclose(self) -> None:
        """Stop at once."""
        self.close()


class Transcription:
    """A running stream, and the sink of its own pipeline. `feed` it, then `finish` it or `aclose` it."""

    def __init__(
        self,
        transcriber: Transcriber,
        detectors: Sequence[Detector],
        *,
        tell: Tell | None = None,
        gate: Callable[[], VoiceGate] | None = None,
    ) -> None:
        """Starts at once. `tell`: is told of every partial and final; `gate`: as in `Pipeline`."""
        session = Session(uuid4().hex, 0, 0, datetime.now(UTC))
        settings = GuildSettings(0)
        self.id = session.id
        self._source = HandFedSource()
        self._pipeline = Pipeline(session, transcriber, detectors, self, lambda: settings, lossless=True, gate=gate)
        self._tell = tell
        self._segments: deque[TranscriptSegment] = deque(maxlen=MAX_SEGMENTS)
        self.partial = ""
        """What is being said."""
        self.dropped = 0
        """Segments that were too many to remember."""
        self.failed = False
        self._task = asyncio.create_task(self._run(), name="stream")

    async def feed(self, pcm: bytes) -> None:
        """Hand in whole 16 kHz mono samples; waits while the recogniser is far behind. Raises `SourceError` after a failure."""
        if self.failed:
            raise SourceError("This stream has failed; start another one.")
        await self._source.feed(pcm)

    async def pause(self) -> None:
        """Nothing comes at the moment: finish the sentence."""
        await self._source.pause()

    async def heard(self) -> None:
        """Wait until all that was handed in has been through the recogniser, or the stream has ended."""
        while not self._task.done() and self._heard_seconds() < self._source.fed_seconds - PIECE_SECONDS / 2:
            await asyncio.wait({self._task}, timeout=0.02)

    async def finish(self) -> str:
        """No more audio: finish the last words; the whole transcript."""
        self._source.close()
        await asyncio.wait({self._task})
        return self.transcript

    async def aclose(self) -> None:
        """Stop at once, without the last words."""
        self._source.close()
        self._task.cancel()
        await asyncio.wait({self._task})

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

    def _heard_seconds(self) -> float:
        return sum(c.heard_seconds for c in self._pipeline.coverage())
