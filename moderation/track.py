"""One speaker: frames → recogniser → segments → detectors → judge → sink.

    intake ─▶ run(): recogniser ─▶ hypothesis ─▶ segment ─▶ live detectors ─▶ verdict ─▶ alerting ─▶ events
                                                              └─▶ slower detectors, beside it, merged when they answer

A recogniser that fails is replaced and the track goes on; a detector that fails is noted in the verdict and the others go on.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace

from moderation.alerting import AlertEvent, Alerting
from moderation.errors import DetectorError, RecognizerFailed
from moderation.events import AlertRaised, SegmentFlagged, SegmentTranscribed, SpeakerHeard, TrackFailed
from moderation.intake import INBOX_SIZE, Intake, Tally
from moderation.models import AudioFrame, Detection, EndOfSpeech, Flag, Hypothesis, Session, TranscriptSegment, Verdict, Word
from moderation.policy import judge, merge
from moderation.ports import Detector, Recognizer, Sink, Transcriber
from moderation.settings import GuildSettings
from moderation.shedding import Shedding
from moderation.timeline import Timeline
from moderation.vad import VoiceGate

log = logging.getLogger(__name__)

STABLE_SECONDS = 0.24
"""A partial that stands unchanged for this much more audio counts as seen twice: Vosk decodes in steps of about 0.24 s."""


@dataclass(slots=True)
class Desk:
    """What every track of a session works with."""

    session: Session
    """Names another channel after the bot was moved."""
    transcriber: Transcriber
    detectors: Sequence[Detector]
    alerting: Alerting
    sink: Sink
    settings: Callable[[], GuildSettings]
    aside: Callable[[Coroutine[None, None, None]], Awaitable[bool]]
    """Runs something beside the tracks; False when too much runs already (the coroutine is closed then). A source that waits waits."""
    gate: Callable[[], VoiceGate] | None = None
    """Makes a speaker's gate; None: everything is decoded."""
    shedding: Shedding | None = None
    """What to leave out under overload; None where the source waits for the tracks."""


class Track:
    """One live speaker of a session."""

    def __init__(self, desk: Desk, tally: Tally, inbox_size: int = INBOX_SIZE) -> None:
        self._desk = desk
        self._tally = tally
        self.intake = Intake(desk.session.id, tally, inbox_size, desk.gate, desk.shedding)
        self._recognizer: Recognizer | None = None
        self._timeline = Timeline()
        self._utterance_start: float | None = None
        self._session = desk.session
        """As it was when the utterance began: in the channel where it is said."""
        self._failing = False
        self._standing: tuple[TranscriptSegment, Verdict] | None = None
        self._discarded = False
        self._forgotten = False

    def discard(self, *, forget: bool = False) -> float:
        """End the track without its last words: the speaker must not be heard. Seconds of speech that were waiting.

        `forget`: what slower detectors find in earlier sentences is dropped, too.
        """
        self._discarded = True
        self._forgotten = forget
        return self.intake.discard()

    async def run(self) -> None:
        """Work through the inbox until it is closed; then finish the last words and release the recogniser."""
        await self._desk.sink.emit(SpeakerHeard(self._desk.session, self._tally.speaker))
        try:
            async for item in self.intake:
                await self._take(item)
            if self._discarded:
                await self._close_utterance()
        finally:
            self.intake.end()
            await self._release()

    async def _take(self, item: AudioFrame | EndOfSpeech) -> None:
        try:
            hypothesis = await self._hear(item)
        except RecognizerFailed as error:
            await self._restart(error)
            return
        self._failing = False
        if self._discarded:
            return
        if hypothesis is not None and hypothesis.final:
            await self._final(hypothesis)
        elif hypothesis is not None:
            await self._partial(hypothesis)
        elif isinstance(item, EndOfSpeech):
            await self._close_utterance()
        elif self._standing is not None:
            await self._look_again(*self._standing)

    async def _hear(self, item: AudioFrame | EndOfSpeech) -> Hypothesis | None:
        if isinstance(item, EndOfSpeech):
            return await self._recognizer.finish() if self._recognizer else None
        if self._recognizer is None:
            self._recognizer = await self._desk.transcriber.open()
            self._timeline.restart()
        if self._utterance_start is None:
            self._utterance_start, self._session = item.start, self._desk.session
        self._timeline.advance(item.start, item.seconds, item.received_at)
        hypothesis = await self._recognizer.accept(item.pcm, partials=self.intake.wants_partials)
        if not item.concealed:
            self._tally.heard_seconds += item.seconds
        return hypothesis

    async def _restart(self, error: RecognizerFailed) -> None:
        """The frame is lost, the track is not: the next frame opens a new recogniser."""
        await self._release()
        if not self._failing:
            self._failing = True
            session = self._desk.session
            log.warning("recogniser failed, opening another", extra={"session_id": session.id, "code": error.code})
            await self._desk.sink.emit(TrackFailed(session, self._tally.speaker, error.code))
        await self._close_utterance()

    async def _release(self) -> None:
        recognizer, self._recognizer = self._recognizer, None
        if recognizer is not None:
            await recognizer.aclose()

    async def _partial(self, hypothesis: Hypothesis) -> None:
        start = self._timeline.media if self._utterance_start is None else self._utterance_start
        segment = self._segment(hypothesis.text, start, self._timeline.media, final=False)
        await self._desk.sink.emit(SegmentTranscribed(self._session, self._tally.speaker, segment))
        verdict = await self._inspect(self._session, segment, live=True)
        if self._discarded:
            return
        self._standing = (segment, verdict) if verdict.flags else None
        await self._emit([self._desk.alerting.partial(segment, verdict, self._session)])

    async def _look_again(self, segment: TranscriptSegment, verdict: Verdict) -> None:
        """Recognisers report a partial only when it changes; one that does not change is the more stable for it."""
        if self._timeline.media - segment.end >= STABLE_SECONDS:
            self._standing = None
            await self._emit([self._desk.alerting.partial(segment, verdict, self._session)])

    async def _final(self, hypothesis: Hypothesis) -> None:
        words = tuple(self._in_media_time(w) for w in hypothesis.words)
        start = words[0].start if words else self._utterance_start or self._timeline.media
        end = words[-1].end if words else self._timeline.media
        segment = replace(self._segment(hypothesis.text, start, end, final=True), words=words)
        session = self._session
        self._next_utterance()
        self._tally.segments += 1
        verdict = await self._inspect(session, segment, live=True)
        if self._discarded:
            return
        await self._desk.sink.emit(SegmentTranscribed(session, self._tally.speaker, segment, verdict))
        await self._conclude(session, segment, verdict)
        self._tally.flags += len(verdict.flags)
        if any(not d.live for d in self._desk.detectors) and not await self._desk.aside(self._second_opinion(session, segment, verdict)):
            unasked = {d.name: Detection.FAILED for d in self._desk.detectors if not d.live}
            await self._settle(session, segment, verdict, judge((), unasked, self._desk.settings()))

    async def _close_utterance(self) -> None:
        """The utterance ended without words: an early alert on it must not stand unanswered."""
        if self._utterance_start is None:
            return
        segment = self._segment("", self._utterance_start, self._timeline.media, final=True)
        self._next_utterance()
        await self._emit(self._desk.alerting.final(segment, Verdict(), self._session))

    async def _conclude(self, session: Session, segment: TranscriptSegment, verdict: Verdict) -> None:
        if verdict.flags:
            if self._desk.shedding:
                self._desk.shedding.found(self._desk.session.id, verdict.severity)
            await self._desk.sink.emit(SegmentFlagged(session, self._tally.speaker, segment, verdict))
        await self._emit(self._desk.alerting.final(segment, verdict, session))

    async def _second_opinion(self, session: Session, segment: TranscriptSegment, first: Verdict) -> None:
        await self._settle(session, segment, first, await self._inspect(session, segment, live=False))

    async def _settle(self, session: Session, segment: TranscriptSegment, first: Verdict, second: Verdict) -> None:
        """The slower detectors are done with a segment: what they found is added, and no card keeps saying that they are at work."""
        merged = merge(first, second, self._desk.settings())
        if self._forgotten:
            return
        if second.flags:
            self._tally.flags += len(second.flags)
            await self._conclude(session, segment, merged)
        else:
            await self._emit([self._desk.alerting.settled(segment, merged)])

    async def _inspect(self, session: Session, segment: TranscriptSegment, *, live: bool) -> Verdict:
        flags: list[Flag] = []
        states = {d.name: Detection.PENDING for d in self._desk.detectors}
        for detector in self._desk.detectors:
            if detector.live is not live:
                continue
            try:
                found = await detector.detect(session, segment)
                others = {f.detector: Detection.RAN for f in found if f.detector != detector.name}  # stood in for one that failed
                states |= {detector.name: Detection.FAILED if others else Detection.RAN, **others}
                flags += found
            except Exception as error:  # whatever is wrong with one detector, the others go on
                states[detector.name] = Detection.FAILED
                code = error.code if isinstance(error, DetectorError) else type(error).__name__
                log.warning("detector failed", extra={"session_id": segment.session_id, "detector": detector.name, "code": code})
        return judge(flags, states, self._desk.settings())

    async def _emit(self, events: Iterable[AlertEvent | None]) -> None:
        for event in events:
            if event is not None:
                self._tally.alerts += isinstance(event, AlertRaised)
                await self._desk.sink.emit(event)

    def _segment(self, text: str, start: float, end: float, *, final: bool) -> TranscriptSegment:
        return TranscriptSegment(
            session_id=self._desk.session.id,
            speaker_id=self._tally.speaker.id,
            utterance=self._tally.utterances,
            start=start,
            end=end,
            text=text,
            final=final,
            received_at=self._timeline.received_at(end),
        )

    def _next_utterance(self) -> None:
        self._tally.utterances += 1
        self._utterance_start = None
        self._standing = None

    def _in_media_time(self, word: Word) -> Word:
        return replace(word, start=self._timeline.to_media(word.start), end=self._timeline.to_media(word.end, end=True))
