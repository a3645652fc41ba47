"""Toxicity as a detector: what a scorer makes of a sentence, beside the lexicon and never in front of it."""

from collections.abc import Sequence

from moderation.errors import ScoringFailed
from moderation.models import Flag, Score, Session, Span, TranscriptSegment
from moderation.ports import Scorer

CATEGORY = "toxicity"
"""Where the scorer names none."""
LEAST_SEVERITY, MOST_SEVERITY = 4, 10
"""Severity at the threshold (alerts by a server's default settings) and at a score of 1."""


class ToxicityDetector:
    """Flags finished sentences whose score reaches the threshold. Partials are never scored: they change several times a second."""

    live = False

    def __init__(self, scorer: Scorer, threshold: float, stand_in: Scorer | None = None) -> None:
        """`threshold`: 0..1; `stand_in`: answers where `scorer` fails, and the flags then carry its name."""
        self._scorer = scorer
        self._threshold = threshold
        self._stand_in = stand_in

    @property
    def name(self) -> str:
        """The scorer's."""
        return self._scorer.name

    async def detect(self, session: Session, segment: TranscriptSegment) -> Sequence[Flag]:
        """At most one flag, on the whole sentence. Raises a kind of `ScoringFailed` where nobody could score it."""
        if not segment.final or not segment.text:
            return ()
        name, score = await self._score(segment.text)
        return [self._flag(name, score, segment)] if score.score >= self._threshold else ()

    async def _score(self, text: str) -> tuple[str, Score]:
        try:
            return self._scorer.name, (await self._scorer.score([text]))[0]
        except ScoringFailed:
            if self._stand_in is None:
                raise
            return self._stand_in.name, (await self._stand_in.score([text]))[0]

    def _flag(self, name: str, score: Score, segment: TranscriptSegment) -> Flag:
        return Flag(
            detector=name,
            category=strongest(score),
            severity=severity(score.score, self._threshold),
            score=score.score,
            confidence=segment.confidence if segment.words else 1.0,
            span=Span(0, len(segment.text), segment.start, segment.end),
        )


def severity(score: float, threshold: float) -> int:
    """4 at the threshold, 10 at a score of 1, in between as far as the score got."""
    reach = (score - threshold) / (1.0 - threshold) if threshold < 1.0 else 1.0
    return LEAST_SEVERITY + round((MOST_SEVERITY - LEAST_SEVERITY) * reach)


def strongest(score: Score) -> str:
    """The category that scored highest, where it weighs anything; `toxicity` where the scorer names none."""
    named = {k: v for k, v in score.categories.items() if v > 0}
    return max(named, key=lambda name: (named[name], name)) if named else CATEGORY
