"""Facts the pipeline and the session manager emit, in the past tense. Whoever wants to react is a `Sink`."""

from dataclasses import dataclass, field
from datetime import datetime

from moderation.models import Alert, Coverage, Session, Speaker, TranscriptSegment, Verdict


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The bot listens: the members were told before."""

    session: Session


@dataclass(frozen=True, slots=True)
class SpeakerHeard:
    """First frame of a speaker in this session."""

    session: Session
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class SegmentTranscribed:
    """A partial or final transcript. Partials come often and may be shed."""

    session: Session
    speaker: Speaker
    segment: TranscriptSegment
    verdict: Verdict = field(default_factory=Verdict)
    """What the live detectors make of a final; empty for partials."""


@dataclass(frozen=True, slots=True)
class SegmentFlagged:
    """A final segment in which detectors found something, whatever the verdict's level. Comes again when a slower detector adds to it."""

    session: Session
    speaker: Speaker
    segment: TranscriptSegment
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """Moderators shall be told."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class AlertRevised:
    """The alert of the same id is confirmed, revised, withdrawn or has grown."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class TrackFailed:
    """One speaker's track failed and was restarted; the call goes on."""

    session: Session
    speaker: Speaker
    code: str
    """The error's stable code."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The bot no longer listens."""

    session: Session
    coverage: tuple[Coverage, ...]
    reason: str
    """`stopped`, `source-ended`, or an error's code."""


@dataclass(frozen=True, slots=True)
class SpeakerUnheard:
    """Somebody speaks and cannot be heard, in spite of a remedy that was tried."""

    session: Session
    speaker: Speaker
    """Id 0: it cannot be told who."""
    since: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class SpeakerHeardAgain:
    """Follows `SpeakerUnheard`: the speaker is heard again, or left."""

    session: Session
    speaker: Speaker
    since: datetime
    """UTC: when they could no longer be heard."""
    seconds: float
    """For how long."""


@dataclass(frozen=True, slots=True)
class SessionMoved:
    """A moderator moved the bot and the session went along; `session` names the channel it is in now."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionInterrupted:
    """A session ended and nobody had decided so: joining again is tried from now on."""

    session: Session
    reason: str
    """As in `SessionEnded`."""


@dataclass(frozen=True, slots=True)
class SessionResumed:
    """Follows `SessionInterrupted`: the bot is back, in a new session."""

    session: Session
    """The new one."""
    before: Session
    seconds: float
    """How long nobody was heard."""


@dataclass(frozen=True, slots=True)
class SessionAbandoned:
    """Follows `SessionInterrupted`: joining again is no longer tried."""

    session: Session
    reason: str
    """The last error's code, `stopped` when a moderator said so, or `switched` when another watched channel got the seat."""
    seconds: float


Event = (
    SessionStarted
    | SpeakerHeard
    | SegmentTranscribed
    | SegmentFlagged
    | AlertRaised
    | AlertRevised
    | TrackFailed
    | SessionEnded
    | SpeakerUnheard
    | SpeakerHeardAgain
    | SessionMoved
    | SessionInterrupted
    | SessionResumed
    | SessionAbandoned
)
