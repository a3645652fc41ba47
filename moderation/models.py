"""The values of the core, in the order in which they flow. All are frozen; all times inside a session are media seconds.

Media seconds count from the session's start and come from RTP timestamps or sample counts, never from a wall clock.
`received_at` alone is a monotonic clock reading: it exists for latency figures and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from hashlib import sha256

SAMPLE_RATE = 16_000
"""Hz. The one sample rate inside the core: what speech recognisers are trained on. Every source converts at its door."""

SAMPLE_WIDTH = 2
"""Bytes per sample: signed 16-bit little-endian, mono."""

FRAME_SECONDS = 0.02
"""Seconds of audio in one ordinary frame: Discord's Opus packet."""

BYTES_PER_SECOND = SAMPLE_RATE * SAMPLE_WIDTH


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who may speak in a session."""

    id: int
    """Discord user id, or a number the source chose (files: 1, 2, …)."""
    name: str = ""
    """Display name, for moderators' eyes only: never logged."""


@dataclass(frozen=True, slots=True)
class Session:
    """One stay of the bot in one channel, or one replayed recording."""

    id: str
    guild_id: int
    """0 where there is no guild (files, HTTP)."""
    channel_id: int
    started_at: datetime
    """Wall time, UTC, of media second 0."""
    channel_name: str = ""
    """For moderators' eyes only: never logged."""


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A piece of one speaker's audio: 16 kHz, 16-bit, mono; usually 20 ms."""

    speaker_id: int
    start: float
    """Media seconds."""
    pcm: bytes
    """Signed 16-bit little-endian samples, shape (samples,)."""
    received_at: float = 0.0
    """Monotonic seconds at which its last packet arrived."""
    concealed: bool = False
    """Made up for a lost packet: fed to the recogniser, but not heard."""

    @property
    def seconds(self) -> float:
        """Length of the frame in seconds."""
        return len(self.pcm) / BYTES_PER_SECOND


@dataclass(frozen=True, slots=True)
class EndOfSpeech:
    """The speaker fell silent: Discord clients stop sending, so without it the last words would never be finished."""

    speaker_id: int
    at: float
    """Media seconds at which the last frame ended."""
    received_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SpeakerLeft:
    """The speaker is gone from the session: its track ends and its recogniser is released."""

    speaker_id: int


SourceItem = AudioFrame | EndOfSpeech | SpeakerLeft


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word."""

    text: str
    start: float
    """Seconds: in a `Hypothesis` from the recogniser's creation, in a `TranscriptSegment` media seconds."""
    end: float
    confidence: float
    """0..1, the recogniser's own."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recogniser believes it heard. Times count the audio fed since the recogniser was opened."""

    text: str
    final: bool
    words: tuple[Word, ...] = ()
    """Empty in partials: Vosk gives word times for finals only."""


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """A partial or final transcript of one utterance of one speaker."""

    session_id: str
    speaker_id: int
    utterance: int
    """Counts the speaker's utterances in this session from 0; partials and the final of one utterance share it."""
    start: float
    """Media seconds."""
    end: float
    text: str
    final: bool
    words: tuple[Word, ...] = ()
    received_at: float = 0.0
    """Monotonic seconds at which the audio up to `end` had arrived."""

    @property
    def id(self) -> str:
        """Stable identity of the utterance: partials, the final and the stored row share it."""
        return f"{self.session_id}:{self.speaker_id}:{self.utterance}"

    @property
    def confidence(self) -> float:
        """Mean word confidence, 0..1; 0.0 where the recogniser gave no words (partials)."""
        return sum(w.confidence for w in self.words) / len(self.words) if self.words else 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """Where something stands in a segment."""

    start_char: int
    """Offset into the segment's text."""
    end_char: int
    start: float
    """Media seconds."""
    end: float


@dataclass(frozen=True, slots=True)
class Flag:
    """One detector's finding in one segment. Never carries the matched term: the span says where it stands."""

    detector: str
    category: str
    severity: int
    """1 (mild) .. 10 (worst)."""
    score: float
    """0..1: how sure the detector is that this is abuse, given the words."""
    confidence: float
    """0..1: how sure the recogniser is of the words (lowest word confidence in the span). 1.0 where unknown (partials)."""
    span: Span


class Level(IntEnum):
    """What a verdict asks for; ordered."""

    NONE = 0
    REVIEW = 1
    """Somebody should look when there is time: weak evidence."""
    ALERT = 2
    """Moderators are told now."""


class Detection(StrEnum):
    """How a detector fared on a segment."""

    RAN = "ran"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the detectors' flags amount to. Merging verdicts of one segment is associative, commutative and idempotent."""

    level: Level = Level.NONE
    severity: int = 0
    """Highest severity among the flags, 0 when there are none."""
    score: float = 0.0
    """0..1."""
    confidence: float = 0.0
    """Highest word confidence among the flags that carry the level."""
    categories: tuple[str, ...] = ()
    """Sorted, unique."""
    flags: tuple[Flag, ...] = ()
    detectors: tuple[tuple[str, Detection], ...] = ()
    """(detector, how it fared), sorted by name."""


class AlertState(StrEnum):
    """Where an alert stands."""

    EARLY = "early"
    """Raised from a partial, before the sentence ended."""
    CONFIRMED = "confirmed"
    """The final transcript bears it out."""
    REVISED = "revised"
    """The final transcript says less (or other) than the early alert did."""
    WITHDRAWN = "withdrawn"
    """The final transcript does not bear it out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A segment and what the detectors made of it."""

    segment: TranscriptSegment
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Alert:
    """What moderators are told. The same `id` is edited, never repeated."""

    id: str
    session: Session
    speaker: Speaker
    segment: TranscriptSegment
    verdict: Verdict
    state: AlertState
    context: tuple[Finding, ...] = ()
    """Turns of all speakers around it, in time order, without its own findings."""
    grouped: tuple[Finding, ...] = ()
    """Further alerting segments of this speaker that fell into the cooldown, oldest first, bounded."""
    grouped_dropped: int = 0
    """How many more fell into the cooldown than `grouped` holds."""
    raised_at: float = 0.0
    """Monotonic seconds."""
    speakers: tuple[Speaker, ...] = ()
    """Names for the ids in `context`."""

    @property
    def reference(self) -> str:
        """Eight hex digits that people can quote."""
        return sha256(self.id.encode()).hexdigest()[:8]

    @property
    def evidence_span(self) -> tuple[float, float]:
        """(start, end) in media seconds of the speech that this alert is about."""
        segments = [f.segment for f in self.findings]
        return min(s.start for s in segments), max(s.end for s in segments)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The segment that raised it and those grouped with it."""
        return (Finding(self.segment, self.verdict), *self.grouped)

    @property
    def severity(self) -> int:
        """The worst of its findings, 0..10."""
        return max(f.verdict.severity for f in self.findings)

    @property
    def categories(self) -> tuple[str, ...]:
        """Of all its findings; sorted, unique."""
        return tuple(sorted({c for f in self.findings for c in f.verdict.categories}))


@dataclass(frozen=True, slots=True)
class Score:
    """A scorer's answer for one text."""

    score: float
    """0..1."""
    label: str
    """`flag` or `ok`."""
    categories: Mapping[str, float] = field(default_factory=dict)
    """Category → 0..1."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of one speaker's speech was heard."""

    speaker: Speaker
    spoken_seconds: float
    """Seconds of speech that packets arrived for or were known to be missing."""
    heard_seconds: float
    """Seconds that were listened to: by the recogniser, or by the voice gate, which found noise."""
    segments: int = 0
    flags: int = 0
    alerts: int = 0
    dropped: int = 0
    """Frames lost because this machine was too slow for them."""
    gated_seconds: float = 0.0
    """Of `heard_seconds`: noise between words on an open microphone, never decoded."""
    shed_seconds: float = 0.0
    """Left out because this machine was overloaded; not in `heard_seconds`."""
    shed_silence_seconds: float = 0.0
    """Sound made up for lost packets that was left out for the same reason."""
    shed_partials: int = 0
    """Pieces of audio without a partial transcript for the same reason; their words are in the finals."""

    @property
    def ratio(self) -> float:
        """Heard ÷ spoken, 1.0 where nothing was spoken."""
        return self.heard_seconds / self.spoken_seconds if self.spoken_seconds else 1.0
