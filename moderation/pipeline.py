"""The pipeline of one session: frames from a source in, events to a sink out. Start reading here.

    source ─▶ run() ─▶ one Track per speaker ─▶ sink

`run` opens a track when a speaker is first heard, ends it when they leave, and returns when the source ends and every
track has finished its last words. It owns the one TaskGroup in which they live.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence

from moderation.alerting import Alerting
from moderation.errors import SourceError
from moderation.intake import INBOX_SIZE, WAITING_SIZE, Tally
from moderation.models import Coverage, Session, SourceItem, Speaker, SpeakerLeft
from moderation.ports import AudioSource, Detector, Sink, Transcriber
from moderation.settings import GuildSettings
from moderation.shedding import Shed, Shedding
from moderation.track import Desk, Track
from moderation.vad import VoiceGate

MAX_ASIDE = 64
"""Slow detections in flight per session; one more is refused and counted."""


class Pipeline:
    """Runs one source through recognition, detection and judgement."""

    def __init__(
        self,
        session: Session,
        transcriber: Transcriber,
        detectors: Sequence[Detector],
        sink: Sink,
        settings: Callable[[], GuildSettings],
        *,
        lossless: bool = False,
        gate: Callable[[], VoiceGate] | None = None,
        shedding: Shedding | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lossless`: the source can wait (a file), so a busy track holds it back instead of dropping frames.

        `gate`: makes each speaker's voice gate, so that noise is not decoded; None decodes everything. `shedding`: what all
        live sessions share to bear overload; a source that can wait needs none.
        """
        self._session = session
        self._transcriber = transcriber
        self._detectors = detectors
        self._sink = sink
        self._settings = settings
        self._lossless = lossless
        self._gate = gate
        self._shedding = None if lossless else shedding
        self._clock = clock
        self._tracks: dict[int, Track] = {}
        self._tallies: dict[int, Tally] = {}
        self._source: AudioSource | None = None
        self._at: Desk | None = None
        self._alerting: Alerting | None = None
        self._first_utterance = 0
        """Where new speakers begin to count, so that no id of a forgotten utterance is used again."""
        self.refused_aside = 0
        """Slow detections refused because too many were in flight."""

    async def run(self, source: AudioSource) -> tuple[Coverage, ...]:
        """Run until the source ends; what each speaker came to.

        Raises `SourceError` when the source died, after every track has finished what it had.
        """
        self._source = source
        if self._shedding:
            self._shedding.opened(self._session.id)
        try:
            return await self._run(source)
        finally:
            if self._shedding:
                self._shedding.closed(self._session.id)

    async def _run(self, source: AudioSource) -> tuple[Coverage, ...]:
        failure: SourceError | None = None
        async with asyncio.TaskGroup() as group:
            desk = self._at = self._desk(source, group)
            try:
                async for item in source.frames():
                    await self._take(item, desk, group)
            except SourceError as error:
                failure = error
            for track in self._tracks.values():
                track.intake.close()
        if failure is not None:
            raise failure
        return self.coverage()

    def moved(self, session: Session) -> None:
        """The same session is in another channel now: what comes from here on names that one."""
        self._session = session
        if self._at is not None:
            self._at.session = self._at.alerting.session = session

    @property
    def shed(self) -> Shed:
        """What is left out now because the machine is overloaded."""
        return self._shedding.of(self._session.id) if self._shedding else Shed.NOTHING

    @property
    def waiting(self) -> int:
        """Items that wait in the inbox of whoever is furthest behind."""
        return max((track.intake.waiting for track in self._tracks.values()), default=0)

    @property
    def settled_seconds(self) -> float:
        """Audio of all speakers that nobody works on any more, whatever became of it. Never falls while nobody is forgotten."""
        return sum(tally.settled_seconds for tally in self._tallies.values())

    def coverage(self) -> tuple[Coverage, ...]:
        """What each speaker came to so far, by speaker id."""
        return tuple(self._coverage_of(tally) for _, tally in sorted(self._tallies.items()))

    def missed(self, speaker_id: int) -> None:
        """That speaker speaks and is not heard, maybe never was: they are in the coverage."""
        self._tally(speaker_id)

    def silence(self, speaker_id: int) -> None:
        """Drop what that speaker is saying: the audio that waits and the sentence that has begun. What comes later is heard anew."""
        track = self._tracks.pop(speaker_id, None)
        if track is not None:
            self._tally(speaker_id).excused_seconds += track.discard()

    def forget(self, speaker_id: int) -> int:
        """Drop everything about that speaker; how much. Should they go on speaking, they begin anew."""
        track = self._tracks.pop(speaker_id, None)
        if track is not None:
            track.discard(forget=True)
        tally = self._tallies.pop(speaker_id, None)
        if tally is not None:
            self._first_utterance = max(self._first_utterance, tally.utterances + 1)
        forgotten = self._alerting.forget(speaker_id) if self._alerting is not None else 0
        return forgotten + (tally is not None)

    async def _take(self, item: SourceItem, desk: Desk, group: asyncio.TaskGroup) -> None:
        if isinstance(item, SpeakerLeft):
            track = self._tracks.pop(item.speaker_id, None)
            if track is not None:
                track.intake.close()
            return
        track = self._tracks.get(item.speaker_id)
        if track is None:
            size = WAITING_SIZE if self._lossless else INBOX_SIZE
            track = self._tracks[item.speaker_id] = Track(desk, self._tally(item.speaker_id), size)
            group.create_task(track.run(), name=f"track {item.speaker_id}")
        if self._lossless:
            await track.intake.room()
        track.intake.put(item)

    def _desk(self, source: AudioSource, group: asyncio.TaskGroup) -> Desk:
        self._alerting = alerting = Alerting(self._session, self._settings, source.speaker, self._clock)

        room = asyncio.Semaphore(MAX_ASIDE)

        async def aside(work: Coroutine[None, None, None]) -> bool:
            if room.locked() and not self._lossless:
                self.refused_aside += 1
                work.close()
                return False
            await room.acquire()
            group.create_task(work, name="slow detection").add_done_callback(lambda done: room.release())
            return True

        return Desk(
            self._session, self._transcriber, self._detectors, alerting, self._sink, self._settings, aside, self._gate, self._shedding
        )

    def _tally(self, speaker_id: int) -> Tally:
        if speaker_id not in self._tallies:
            speaker = self._source.speaker(speaker_id) if self._source else Speaker(speaker_id)
            self._tallies[speaker_id] = Tally(speaker, utterances=self._first_utterance)
        return self._tallies[speaker_id]

    def _coverage_of(self, tally: Tally) -> Coverage:
        spoken = self._source.spoken_seconds(tally.speaker.id) if self._source else tally.heard_seconds
        spoken = max(spoken - tally.excused_seconds, tally.heard_seconds if tally.excused_seconds else 0.0)
        return Coverage(
            speaker=tally.speaker,
            spoken_seconds=spoken,
            heard_seconds=tally.heard_seconds,
            segments=tally.segments,
            flags=tally.flags,
            alerts=tally.alerts,
            dropped=tally.dropped,
            gated_seconds=tally.gated_seconds,
            shed_seconds=tally.shed_seconds,
            shed_silence_seconds=tally.shed_silence_seconds,
            shed_partials=tally.shed_partials,
        )
