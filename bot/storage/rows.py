"""Between the core's values and rows."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from moderation.models import Coverage, Detection, Finding, Flag, Level, Session, Span, Speaker, TranscriptSegment, Verdict, Word
from moderation.settings import GuildSettings
from moderation.terms import Term, TermType

Values = dict[str, Any]
"""Column → value."""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it is kept."""

    session: Session
    ended_at: datetime | None
    """Wall time, UTC; None while it goes on."""
    end_reason: str | None
    segments: int
    """Final segments kept of it."""


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as it is kept: ids instead of what was said."""

    id: str
    guild_id: int
    session_id: str
    channel_id: int
    """Where it was said: a session that was moved has been in several channels."""
    speaker_id: int
    segment_id: str
    state: str
    severity: int
    categories: tuple[str, ...]
    start: float
    """Media seconds of the speech that it is about."""
    end: float
    spoken_at: datetime
    message_id: int | None
    """Discord's id of its card."""
    context: tuple[str, ...]
    """Ids of the segments around it, in time order."""
    grouped: tuple[str, ...]
    """Ids of the further segments of its speaker, in time order."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows a guild has."""

    sessions: int = 0
    segments: int = 0
    flags: int = 0
    alerts: int = 0
    terms: int = 0


def session_values(session: Session) -> Values:
    """A row of `sessions`."""
    return asdict(session)


def coverage_values(session: Session, coverage: Coverage) -> Values:
    """A row of `coverage`."""
    return {
        "session_id": session.id,
        "speaker_id": coverage.speaker.id,
        "guild_id": session.guild_id,
        "spoken_seconds": coverage.spoken_seconds,
        "heard_seconds": coverage.heard_seconds,
        "segments": coverage.segments,
        "flags": coverage.flags,
        "alerts": coverage.alerts,
    }


def segment_values(session: Session, segment: TranscriptSegment, verdict: Verdict) -> Values:
    """A row of `segments`."""
    return {
        "id": segment.id,
        "guild_id": session.guild_id,
        "session_id": session.id,
        "channel_id": session.channel_id,
        "speaker_id": segment.speaker_id,
        "utterance": segment.utterance,
        "start_seconds": segment.start,
        "end_seconds": segment.end,
        "spoken_at": spoken_at(session, segment),
        "text": segment.text,
        "words": [[w.text, w.start, w.end, w.confidence] for w in segment.words],
        "level": int(verdict.level),
        "severity": verdict.severity,
        "score": verdict.score,
        "confidence": verdict.confidence,
        "detectors": [[name, str(state)] for name, state in verdict.detectors],
    }


def flag_values(session: Session, segment: TranscriptSegment, verdict: Verdict) -> list[Values]:
    """Rows of `flags`."""
    return [
        {
            "segment_id": segment.id,
            "position": position,
            "guild_id": session.guild_id,
            "speaker_id": segment.speaker_id,
            "detector": flag.detector,
            "category": flag.category,
            "severity": flag.severity,
            "score": flag.score,
            "confidence": flag.confidence,
            "start_char": flag.span.start_char,
            "end_char": flag.span.end_char,
            "start_seconds": flag.span.start,
            "end_seconds": flag.span.end,
        }
        for position, flag in enumerate(verdict.flags)
    ]


def spoken_at(session: Session, segment: TranscriptSegment) -> datetime:
    """Wall time at which a segment ended."""
    return session.started_at + timedelta(seconds=segment.end)


def to_session(row: Row[Any]) -> Session:
    """From a row of `sessions`."""
    return Session(row.id, row.guild_id, row.channel_id, row.started_at, row.channel_name)


def to_coverage(row: Row[Any]) -> Coverage:
    """From a row of `coverage`; names are not kept."""
    return Coverage(Speaker(row.speaker_id), row.spoken_seconds, row.heard_seconds, row.segments, row.flags, row.alerts)


def to_finding(row: Row[Any], flags: Iterable[Row[Any]]) -> Finding:
    """From a row of `segments` and its rows of `flags`."""
    segment = TranscriptSegment(
        session_id=row.session_id,
        speaker_id=row.speaker_id,
        utterance=row.utterance,
        start=row.start_seconds,
        end=row.end_seconds,
        text=row.text,
        final=True,
        words=tuple(Word(*word) for word in row.words),
    )
    found = tuple(_to_flag(flag) for flag in flags)
    verdict = Verdict(
        level=Level(row.level),
        severity=row.severity,
        score=row.score,
        confidence=row.confidence,
        categories=tuple(sorted({f.category for f in found})),
        flags=found,
        detectors=tuple((name, Detection(state)) for name, state in row.detectors),
    )
    return Finding(segment, verdict)


def _to_flag(row: Row[Any]) -> Flag:
    span = Span(row.start_char, row.end_char, row.start_seconds, row.end_seconds)
    return Flag(row.detector, row.category, row.severity, row.score, row.confidence, span)


def to_settings(row: Row[Any]) -> GuildSettings:
    """From a row of `guild_settings`."""
    return GuildSettings(**row._mapping)


def to_term(row: Row[Any]) -> Term:
    """From a row of `lexicon_terms`."""
    return Term(row.term, TermType(row.type), row.category, row.severity)
