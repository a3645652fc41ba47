"""Values of the core for storage tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from moderation.models import (
    Alert,
    AlertState,
    Detection,
    Finding,
    Flag,
    Level,
    Session,
    Span,
    Speaker,
    TranscriptSegment,
    Verdict,
    Word,
)

NOON = datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)
GUILD, OTHER_GUILD = 1_100_000_000_000_000_001, 2**63 - 1
ADA, BEN, CLEO = 2_000_000_000_000_000_001, 2_000_000_000_000_000_002, 2_000_000_000_000_000_003


def session(id_: str = "s1", guild_id: int = GUILD, *, started: timedelta = timedelta()) -> Session:
    return Session(id_, guild_id, 5, NOON + started, "Lobby ☕")


def segment(
    speaker_id: int = ADA, utterance: int = 0, start: float = 1.0, *, session_id: str = "s1", text: str = "you idiot"
) -> TranscriptSegment:
    words = tuple(Word(w, start + n, start + n + 0.5, 0.9) for n, w in enumerate(text.split()))
    return TranscriptSegment(session_id, speaker_id, utterance, start, start + 2.0, text, final=True, words=words)


def verdict(severities: Sequence[int] = (5,)) -> Verdict:
    flags = tuple(Flag("lexicon", f"insult-{n}", s, s / 10, 0.9, Span(4, 9, 2.0, 2.5)) for n, s in enumerate(severities))
    return Verdict(
        level=Level.ALERT if flags else Level.NONE,
        severity=max(severities, default=0),
        score=0.5,
        confidence=0.9,
        categories=tuple(f.category for f in flags),
        flags=flags,
        detectors=(("lexicon", Detection.RAN), ("toxicity", Detection.PENDING)),
    )


def alert(
    of: Session, about: TranscriptSegment, *, context: Sequence[TranscriptSegment] = (), grouped: Sequence[TranscriptSegment] = ()
) -> Alert:
    return Alert(
        id=about.id,
        session=of,
        speaker=Speaker(about.speaker_id, "a name that is not kept"),
        segment=about,
        verdict=verdict(),
        state=AlertState.CONFIRMED,
        context=tuple(Finding(s, verdict()) for s in context),
        grouped=tuple(Finding(s, verdict((7,))) for s in grouped),
    )
