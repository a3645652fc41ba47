"""The sessions' events as they are sent, for the documentation; `feed_messages` writes them, and tests hold them against this.

Ids are text: JavaScript's numbers are too short for them.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """Base of what events are made of; fields are only ever added."""

    model_config = ConfigDict(extra="forbid")


class CallInfo(Part):
    """A call that the bot is in."""

    id: str
    guild_id: str
    channel_id: str
    channel_name: str
    started_at: datetime


class SpeakerInfo(Part):
    """A member."""

    id: str
    name: str = Field(description="As the server shows it.")


class SegmentInfo(Part):
    """A sentence, or what has been heard of it so far."""

    id: str
    speaker_id: str
    start: float = Field(description="Seconds from the call's start.")
    end: float
    text: str
    final: bool = Field(description="Whether the sentence is over.")
    confidence: float


class SpanInfo(Part):
    """Where something was found."""

    start: int = Field(description="Characters from the text's start.")
    end: int
    category: str
    severity: int
    detector: str


class VerdictInfo(Part):
    """What the detectors made of a segment."""

    level: str = Field(description="`none`, `review` or `alert`.")
    severity: int
    score: float
    categories: list[str]
    detectors: dict[str, str] = Field(description="Detector → how it fared.")
    spans: list[SpanInfo]


class AlertInfo(Part):
    """An alert as it stands."""

    id: str = Field(description="The same when it is confirmed, revised, withdrawn or grows.")
    reference: str = Field(description="What moderators see of it.")
    state: Literal["early", "confirmed", "revised", "withdrawn"]
    speaker: SpeakerInfo
    severity: int
    categories: list[str]
    segment: SegmentInfo
    verdict: VerdictInfo
    grouped: int = Field(description="Further findings that it stands for.")


class CoverageInfo(Part):
    """How much of a speaker was heard."""

    speaker: SpeakerInfo
    spoken_seconds: float
    heard_seconds: float
    coverage: float = Field(ge=0, le=1)
    segments: int
    flags: int
    alerts: int
    dropped: int = Field(description="Frames lost because this machine was too slow.")


class CallState(Part):
    """How a call fares."""

    session: CallInfo
    connected: bool
    listening: bool
    deafened: bool
    loss: float = Field(description="Share of packets, 0..1.")
    dave_epoch: int | None
    left_out: str = Field(description="What overload leaves out; `nothing` otherwise.")
    unheard: list[SpeakerInfo]
    speakers: list[CoverageInfo]


class StatusEvent(Part):
    """How all calls fare: first of all, and every two seconds."""

    type: Literal["status"]
    sessions: list[CallState]


class LostEvent(Part):
    """The listener was too slow; the oldest messages were left out."""

    type: Literal["lost"]
    messages: int


class CallEvent(Part):
    """A call began, or the bot moved to another channel with it."""

    type: Literal["session-started", "session-moved"]
    session: CallInfo


class CallEndedEvent(Part):
    """A call is over."""

    type: Literal["session-ended"]
    session: CallInfo
    coverage: list[CoverageInfo]
    reason: str


class CallTroubleEvent(Part):
    """A call broke off; `session-abandoned`: it is not joined again."""

    type: Literal["session-interrupted", "session-abandoned"]
    session: CallInfo
    reason: str


class CallResumedEvent(Part):
    """A call that broke off goes on."""

    type: Literal["session-resumed"]
    session: CallInfo
    before: str = Field(description="The id that it had.")
    seconds: float = Field(description="How long nobody was heard.")


class SpeakerEvent(Part):
    """A member speaks for the first time."""

    type: Literal["speaker-heard"]
    session: CallInfo
    speaker: SpeakerInfo


class HearingEvent(Part):
    """A member speaks and cannot be heard; or can again."""

    type: Literal["speaker-unheard", "speaker-heard-again"]
    session: CallInfo
    speaker: SpeakerInfo
    since: datetime


class TrackEvent(Part):
    """A member's speech could not be transcribed."""

    type: Literal["track-failed"]
    session: CallInfo
    speaker: SpeakerInfo
    code: str


class SegmentEvent(Part):
    """Something was said; `segment-flagged` comes after `segment` where something was found in it."""

    type: Literal["segment", "segment-flagged"]
    session: CallInfo
    speaker: SpeakerInfo
    segment: SegmentInfo
    verdict: VerdictInfo


class AlertEvent(Part):
    """Moderators are told; or what they were told has changed."""

    type: Literal["alert-raised", "alert-revised"]
    session: CallInfo
    alert: AlertInfo


FROM_FEED = (
    StatusEvent,
    CallEvent,
    SpeakerEvent,
    SegmentEvent,
    AlertEvent,
    HearingEvent,
    TrackEvent,
    CallTroubleEvent,
    CallResumedEvent,
    CallEndedEvent,
    LostEvent,
)
"""All of them, in the order in which one meets them."""
