"""What is said over the WebSockets that take audio, for the documentation; tests hold what is really said against it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bot.sources.resample import MAX_RATE, MIN_RATE
from moderation.models import SAMPLE_RATE


class Said(BaseModel):
    """Base of all messages; fields are only ever added."""

    model_config = ConfigDict(extra="forbid")


class Start(Said):
    """Opens the stream. After it, binary messages are audio: PCM16 mono, little-endian, at most a megabyte each."""

    type: Literal["start"]
    sample_rate: int = Field(SAMPLE_RATE, ge=MIN_RATE, le=MAX_RATE, description="Hz of the samples.")


class Stop(Said):
    """Ends the stream: the last words and scores come, then the connection is closed."""

    type: Literal["stop"]


class Connected(Said):
    """The connection stands; `start` is waited for."""

    type: Literal["connected"]


class Started(Said):
    """The stream is open."""

    type: Literal["started"]
    sample_rate: int = Field(description="Hz, as asked for.")


class Partial(Said):
    """A sentence as far as it has been heard. The next one takes its place."""

    type: Literal["partial"]
    text: str


class Segment(Said):
    """A whole sentence."""

    type: Literal["segment"]
    segment_id: str
    text: str


class Match(Said):
    """A term that was found: where, never what."""

    category: str
    severity: int = Field(ge=1, le=10)
    start: int = Field(description="Characters from the text's start.")
    end: int
    redacted: Literal[True]


class Score(Said):
    """What a segment comes to."""

    type: Literal["score"]
    segment_id: str
    text: str
    transcript: str = Field(description="All segments so far.")
    label: Literal["flag", "ok"]
    score: float = Field(ge=0, le=1)
    score_0_1: float = Field(ge=0, le=1, description="The same as `score`.")
    severity: int = Field(ge=0, le=10, description="Of the worst match.")
    flagged: bool
    category_scores: dict[str, float] = Field(description="Category → 0..1.")
    matches: list[Match]


class ScoreError(Said):
    """A scorer did not answer, or too many segments wait for theirs."""

    type: Literal["score_error"]
    segment_id: str
    error: str = Field(description="A sentence for people.")


class Final(Said):
    """All has been said; the connection is closed next."""

    type: Literal["final"]
    transcript: str


class Wrong(Said):
    """A message could not be used, or words are missing; the stream goes on unless it cannot."""

    type: Literal["error"]
    error: str = Field(description="A sentence for people: what was wrong, and what to do.")


class TranscriptScore(Said):
    """What all that has been said so far comes to."""

    type: Literal["score"]
    score: float = Field(ge=0, le=1)
    flagged: bool = Field(description="Whether the score reaches the threshold.")
    threshold: float = Field(description="The setting TOXICITY_THRESHOLD.")
    final: bool = Field(description="Whether it is the last one; the connection is closed next.")
    response: Any = Field(description="As the endpoint gave it; null where nothing was said.")


FROM_CLIENT = (Start, Stop)
FROM_STREAM = (Connected, Started, Partial, Segment, Score, ScoreError, Final, Wrong)
FROM_FLAG_AUDIO = (Connected, Started, Partial, Segment, TranscriptScore, Wrong)
