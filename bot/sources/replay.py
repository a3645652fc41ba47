"""Recorded files as a source: each file is one speaker's audio, several files are one session."""

import asyncio
import heapq
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bot.sources.files import decode
from moderation.errors import UndecodableAudio
from moderation.models import BYTES_PER_SECOND, FRAME_SECONDS, AudioFrame, EndOfSpeech, SourceItem, Speaker, SpeakerLeft

BATCH = 50
"""Items decoded in one go on a thread: a second of one speaker's audio."""
FRAME_BYTES = int(FRAME_SECONDS * BYTES_PER_SECOND)


class Recording(NamedTuple):
    """One file of one speaker."""

    speaker: Speaker
    path: Path
    offset: float = 0.0
    """Media seconds at which it starts; later when the speaker's previous file is still playing then."""


class _Timed(NamedTuple):
    at: float
    """Media seconds that order the items."""
    item: SourceItem | None
    """None where a file begins: it is opened only when the session gets there."""


class ReplaySource:
    """Plays files in media-time order, as fast as they are consumed. Implements `moderation.ports.AudioSource`.

    A file ends with `EndOfSpeech`, a speaker's last file with `SpeakerLeft`. Silence inside a recording is audio: unlike Discord,
    a file has samples for it, and the recogniser's own endpointer ends utterances there.
    """

    def __init__(
        self,
        recordings: Sequence[tuple[Speaker, Path, float]],
        *,
        realtime: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`recordings`: (speaker, path, offset in seconds), best `Recording`s. `realtime`: no faster than it was spoken."""
        self._recordings = [Recording(*r) for r in recordings]
        self.realtime = realtime
        self._clock = clock
        self._speakers = {r.speaker.id: r.speaker for r in self._recordings}
        self._spoken: dict[int, int] = dict.fromkeys(self._speakers, 0)
        self._reading = threading.Lock()
        self._closed = asyncio.Event()
        self.problems: list[UndecodableAudio] = []
        """Files that could not be decoded, or not to their end; the others play on."""

    async def frames(self) -> AsyncIterator[SourceItem]:
        """All speakers' frames of 20 ms, merged by media time. The last frame of a file may be shorter."""
        started = self._clock()
        items = self._merged()
        try:
            while batch := await asyncio.to_thread(self._read, items):
                for at, item in batch:
                    if self.realtime:
                        await self._wait(started + at - self._clock())
                    if self._closed.is_set():
                        return
                    yield self._stamped(item)
        finally:
            with self._reading:  # a cancelled read may still run
                items.close()

    def speaker(self, speaker_id: int) -> Speaker:
        """Who that is."""
        return self._speakers.get(speaker_id, Speaker(speaker_id))

    def spoken_seconds(self, speaker_id: int) -> float:
        """Seconds of the speaker's audio played so far."""
        return self._spoken.get(speaker_id, 0) / BYTES_PER_SECOND

    @property
    def played_seconds(self) -> float:
        """Seconds of all speakers' audio played so far, for a progress bar."""
        return sum(self._spoken.values()) / BYTES_PER_SECOND

    async def aclose(self) -> None:
        """Stop; `frames` ends at its next item and closes the files. Idempotent."""
        self.stop()

    def stop(self) -> None:
        """What `aclose` does, for signal handlers."""
        self._closed.set()

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), seconds)

    def _stamped(self, item: SourceItem) -> SourceItem:
        if isinstance(item, SpeakerLeft):
            return item
        if isinstance(item, AudioFrame):
            self._spoken[item.speaker_id] += len(item.pcm)
        return replace(item, received_at=self._clock())

    def _read(self, items: Iterator[tuple[float, SourceItem]]) -> list[tuple[float, SourceItem]]:
        with self._reading:
            return [] if self._closed.is_set() else list(islice(items, BATCH))

    def _merged(self) -> Generator[tuple[float, SourceItem], None, None]:
        tracks: dict[int, list[Recording]] = {}
        for recording in sorted(self._recordings, key=lambda r: r.offset):
            tracks.setdefault(recording.speaker.id, []).append(recording)
        for timed in heapq.merge(*(self._track(i, files) for i, files in tracks.items()), key=lambda t: t.at):
            if timed.item is not None:
                yield timed.at, timed.item

    def _track(self, speaker_id: int, recordings: Sequence[Recording]) -> Iterator[_Timed]:
        end = 0.0
        for recording in recordings:
            start = end = max(end, recording.offset)
            yield _Timed(start, None)
            try:
                for number, pcm in enumerate(_frames(decode(recording.path))):
                    at = start + number * FRAME_SECONDS
                    end = at + len(pcm) / BYTES_PER_SECOND
                    yield _Timed(at, AudioFrame(speaker_id, at, pcm))
            except UndecodableAudio as error:
                self.problems.append(error)
            if end > start:
                yield _Timed(end, EndOfSpeech(speaker_id, end))
        yield _Timed(end, SpeakerLeft(speaker_id))


def _frames(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same audio in frames of 20 ms; the last may be shorter, also where the audio breaks off."""
    held = bytearray()
    broken: UndecodableAudio | None = None
    try:
        for piece in pieces:
            held += piece
            whole = len(held) - len(held) % FRAME_BYTES
            for at in range(0, whole, FRAME_BYTES):
                yield bytes(held[at : at + FRAME_BYTES])
            del held[:whole]
    except UndecodableAudio as error:
        broken = error
    if held:
        yield bytes(held)
    if broken is not None:
        raise broken
