"""Events of the sessions as JSON, for the live page and for other people's tools. Fields are only ever added.

Matched words are not repeated: a flag says where in the text it stands.
"""

from collections.abc import Sequence
from typing import Any

from moderation.events import (
    AlertRaised,
    AlertRevised,
    Event,
    SegmentFlagged,
    SegmentTranscribed,
    SessionAbandoned,
    SessionEnded,
    SessionInterrupted,
    SessionMoved,
    SessionResumed,
    SessionStarted,
    SpeakerHeard,
    SpeakerHeardAgain,
    SpeakerUnheard,
    TrackFailed,
)
from moderation.models import Alert, Coverage, Session, Speaker, TranscriptSegment, Verdict
from moderation.sessions import Running

Message = dict[str, Any]

KINDS = {
    SessionStarted: "session-started",
    SpeakerHeard: "speaker-heard",
    SegmentTranscribed: "segment",
    SegmentFlagged: "segment-flagged",
    AlertRaised: "alert-raised",
    AlertRevised: "alert-revised",
    TrackFailed: "track-failed",
    SessionEnded: "session-ended",
    SpeakerUnheard: "speaker-unheard",
    SpeakerHeardAgain: "speaker-heard-again",
    SessionMoved: "session-moved",
    SessionInterrupted: "session-interrupted",
    SessionResumed: "session-resumed",
    SessionAbandoned: "session-abandoned",
}


def message(event: Event) -> Message:
    """An event; `type` names it."""
    told: Message = {"type": KINDS[type(event)]}
    match event:
        case AlertRaised(alert) | AlertRevised(alert):
            return told | {"alert": alert_json(alert), "session": session_json(alert.session)}
        case SegmentTranscribed(session, speaker, segment, verdict) | SegmentFlagged(session, speaker, segment, verdict):
            told |= {"speaker": speaker_json(speaker), "segment": segment_json(segment), "verdict": verdict_json(verdict)}
        case SpeakerHeard(session, speaker):
            told |= {"speaker": speaker_json(speaker)}
        case TrackFailed(session, speaker, code):
            told |= {"speaker": speaker_json(speaker), "code": code}
        case SessionEnded(session, coverage, reason):
            told |= {"coverage": coverage_json(coverage), "reason": reason}
        case SpeakerUnheard(session, speaker, since) | SpeakerHeardAgain(session, speaker, since):
            told |= {"speaker": speaker_json(speaker), "since": since.isoformat()}
        case SessionInterrupted(session, reason) | SessionAbandoned(session, reason):
            told |= {"reason": reason}
        case SessionResumed(session, before, seconds):
            told |= {"before": before.id, "seconds": seconds}
        case SessionStarted(session) | SessionMoved(session):
            pass
    return told | {"session": session_json(session)}


def status(running: Sequence[Running]) -> Message:
    """How the sessions fare that go on."""
    return {"type": "status", "sessions": [_running(each) for each in running]}


def without_user(told: Message, user_id: str) -> Message | None:
    """The message without anything about that user; None when it is about them alone; the very same when it says nothing of them."""
    if user_id in (told.get("speaker", {}).get("id"), told.get("alert", {}).get("speaker", {}).get("id")):
        return None
    kept = dict(told)
    if "coverage" in told:
        kept["coverage"] = [c for c in told["coverage"] if c["speaker"]["id"] != user_id]
    if "sessions" in told:
        kept["sessions"] = [
            each
            | {"speakers": [c for c in each["speakers"] if c["speaker"]["id"] != user_id]}
            | {"unheard": [s for s in each["unheard"] if s["id"] != user_id]}
            for each in told["sessions"]
        ]
    return told if kept == told else kept


def session_json(session: Session) -> Message:
    """Ids as text: JavaScript's numbers are too short for them."""
    return {
        "id": session.id,
        "guild_id": str(session.guild_id),
        "channel_id": str(session.channel_id),
        "channel_name": session.channel_name,
        "started_at": session.started_at.isoformat(),
    }


def speaker_json(speaker: Speaker) -> Message:
    """Id and display name."""
    return {"id": str(speaker.id), "name": speaker.name}


def segment_json(segment: TranscriptSegment) -> Message:
    """Times in seconds from the session's start."""
    return {
        "id": segment.id,
        "speaker_id": str(segment.speaker_id),
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "final": segment.final,
        "confidence": segment.confidence,
    }


def verdict_json(verdict: Verdict) -> Message:
    """What the detectors made of it; `spans` are offsets into the segment's text."""
    return {
        "level": verdict.level.name.lower(),
        "severity": verdict.severity,
        "score": verdict.score,
        "categories": list(verdict.categories),
        "detectors": {name: state.value for name, state in verdict.detectors},
        "spans": [
            {"start": f.span.start_char, "end": f.span.end_char, "category": f.category, "severity": f.severity, "detector": f.detector}
            for f in verdict.flags
        ],
    }


def alert_json(alert: Alert) -> Message:
    """An alert as it stands; the same `id` comes again when it is confirmed, revised, withdrawn or grows."""
    return {
        "id": alert.id,
        "reference": alert.reference,
        "state": alert.state.value,
        "speaker": speaker_json(alert.speaker),
        "severity": alert.severity,
        "categories": list(alert.categories),
        "segment": segment_json(alert.segment),
        "verdict": verdict_json(alert.verdict),
        "grouped": len(alert.grouped) + alert.grouped_dropped,
    }


def coverage_json(coverage: Sequence[Coverage]) -> list[Message]:
    """Seconds heard and spoken, by speaker."""
    return [
        {
            "speaker": speaker_json(c.speaker),
            "spoken_seconds": round(c.spoken_seconds, 2),
            "heard_seconds": round(c.heard_seconds, 2),
            "coverage": round(min(1.0, c.ratio), 4),
            "segments": c.segments,
            "flags": c.flags,
            "alerts": c.alerts,
            "dropped": c.dropped,
        }
        for c in coverage
    ]


def _running(running: Running) -> Message:
    health = running.source.health()
    return {
        "session": session_json(running.session),
        "connected": health.connected,
        "listening": health.listening,
        "deafened": health.server_deafened,
        "loss": round(health.loss, 4),
        "dave_epoch": health.dave_epoch,
        "left_out": running.shed.name.lower(),
        "unheard": [speaker_json(u.speaker) for u in health.unheard],
        "speakers": coverage_json(running.coverage()),
    }
