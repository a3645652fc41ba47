"""What a stream's segments come to: the lexicon's score, and a scorer's beside it where there is one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moderation.detectors.matching import Lexicon, Match, score_of
from moderation.errors import ModerationError
from moderation.ports import Scorer


@dataclass(frozen=True, slots=True)
class TextScore:
    """A text's score. Never carries the matched terms: the matches say where they stand."""

    score: float
    """0..1."""
    flagged: bool
    severity: int
    """The worst match's, 0..10."""
    categories: dict[str, float]
    """Category → 0..1."""
    matches: Sequence[Match]
    problem: str = ""
    """Why the scorer beside the lexicon did not answer; a sentence."""

    @property
    def label(self) -> str:
        """`flag` or `ok`."""
        return "flag" if self.flagged else "ok"


class TextScoring:
    """Scores texts as the settings say: the lexicon, a toxicity scorer, or both."""

    def __init__(self, lexicon: Callable[[], Lexicon] | None, scorer: Scorer | None, threshold: float) -> None:
        """`lexicon`: gives the one in force; `threshold`: 0..1, from which on the scorer's score flags."""
        self._lexicon = lexicon
        self._scorer = scorer
        self._threshold = threshold

    async def __call__(self, text: str) -> TextScore:
        """Both at once: the higher score counts. A scorer that fails leaves the lexicon's and a `problem`."""
        matches = self._lexicon().match(text) if self._lexicon is not None else ()
        found = score_of(matches)
        severity = max((m.severity for m in matches), default=0)
        if self._scorer is None or not text:
            return TextScore(found.score, bool(matches), severity, dict(found.categories), matches)
        try:
            (other,) = await self._scorer.score([text])
        except ModerationError as error:
            return TextScore(found.score, bool(matches), severity, dict(found.categories), matches, str(error))
        categories = {c: max(found.categories.get(c, 0.0), other.categories.get(c, 0.0)) for c in {**found.categories, **other.categories}}
        flagged = bool(matches) or other.score >= self._threshold
        return TextScore(max(found.score, other.score), flagged, severity, categories, matches)
