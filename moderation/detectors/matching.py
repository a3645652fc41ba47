"""The lexicon: what in a text matches its terms, and the score that this comes to."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from moderation.detectors.automaton import Automaton, Found, haystack
from moderation.detectors.decipher import decipher
from moderation.detectors.normalise import fold_characters, fold_words
from moderation.detectors.normalise import tokens as tokenise
from moderation.detectors.words import common_words
from moderation.models import Score
from moderation.terms import Term

SCORE_SEVERITY = 10
"""Sum of severities at which the score is 1."""
CATEGORY_SEVERITY = 6
"""Sum of a category's severities at which the category's score is 1."""

_SYMBOLS = re.compile(r"[@$€*|+]|!\w")
"""What respelled and masked words are written with; without it, and with common words only, nothing needs deciphering."""


@dataclass(frozen=True, slots=True)
class Match:
    """A term at a place of the text. Never the term itself."""

    category: str
    severity: int
    """1 (mild) .. 10 (worst)."""
    start: int
    """Offsets in the original text; the slice is never empty."""
    end: int
    redacted: bool = True


class Lexicon:
    """Compiled terms; immutable. A guild's lexicon is a shared one with the guild's own terms laid over it."""

    def __init__(self, terms: Iterable[Term] = ()) -> None:
        """Compile terms. Terms that fold to nothing match nothing; of two with the same folded words the worse one stays."""
        self._layers: tuple[Automaton, ...] = (Automaton(tuple(terms)),)

    def merged(self, terms: Iterable[Term]) -> "Lexicon":
        """This lexicon with other terms laid over it: they replace terms with the same folded words; `allow` terms suppress.

        Costs the compilation of `terms` only.
        """
        return self.overlaid(Lexicon(terms))

    def overlaid(self, other: "Lexicon") -> "Lexicon":
        """The same with terms that are compiled already; costs nothing."""
        merged = object.__new__(Lexicon)
        merged._layers = self._layers + other._layers
        return merged

    @property
    def categories(self) -> frozenset[str]:
        """Of all terms that flag."""
        return frozenset(e.category for layer in self._layers for e in layer.entries.values())

    def __len__(self) -> int:
        """Terms that can match, `allow` terms included."""
        return sum(len(layer.entries) + len(layer.allowed) for layer in self._layers)

    def match(self, text: str) -> tuple[Match, ...]:
        """Every term in the text, in order, without overlaps: phrases come before words, then the worse before the milder.

        Matches inside an `allow` term are left out. Never raises, whatever the text.
        """
        words = fold_words(text)
        straw = haystack(words)
        suspicious = not common_words().issuperset(words) or not text.isascii() or _SYMBOLS.search(text)
        if not suspicious and not any(layer.matches(straw) for layer in self._layers):
            return ()
        folded = fold_characters(text)
        plain = list(tokenise(folded))
        readings = [plain, *decipher(folded.text, plain, [layer.vocabulary for layer in self._layers])] if suspicious else [plain]
        found = {f for n, layer in enumerate(self._layers) for r in readings for f in layer.find(r) if not self._replaced(f, n)}
        if not found:
            return ()
        chosen = _without_overlaps(_not_allowed(found), len(folded.text))
        return tuple(Match(f.entry.category, f.entry.severity, *folded.span(f.start, f.end)) for f in chosen)

    def score(self, text: str) -> Score:
        """The score of a text: 1 from a summed severity of 10 on, each category's 1 from 6 on."""
        return score_of(self.match(text))

    def _replaced(self, found: Found, layer: int) -> bool:
        """Whether a later layer has a term of its own with those folded words."""
        return any(found.entry.key in later.entries for later in self._layers[layer + 1 :])


def score_of(matches: Sequence[Match]) -> Score:
    """The score that matches come to; the label is `flag` when there are any."""
    by_category: dict[str, int] = {}
    for match in matches:
        by_category[match.category] = by_category.get(match.category, 0) + match.severity
    return Score(
        score=min(1.0, sum(m.severity for m in matches) / SCORE_SEVERITY),
        label="flag" if matches else "ok",
        categories={c: min(1.0, severity / CATEGORY_SEVERITY) for c, severity in sorted(by_category.items())},
    )


def _not_allowed(found: Iterable[Found]) -> list[Found]:
    """Those that do not lie inside an `allow` term."""
    allowed = sorted((f.start, f.end) for f in found if f.entry.is_allowed)
    starts = [start for start, _ in allowed]
    reach = list(accumulate((end for _, end in allowed), max, initial=-1))
    return [f for f in found if not f.entry.is_allowed and reach[bisect_right(starts, f.start)] < f.end]


def _without_overlaps(found: Iterable[Found], length: int) -> list[Found]:
    """The strongest at each place, in order of place; `length`: characters of the folded text."""
    taken = bytearray(length)
    chosen = []
    for f in sorted(found, key=lambda f: (f.entry.precedence, f.start - f.end, f.start)):
        if taken.find(1, f.start, f.end) < 0:
            taken[f.start : f.end] = b"\1" * (f.end - f.start)
            chosen.append(f)
    return sorted(chosen)
