"""Terms compiled into one Aho-Corasick automaton: a text is looked through once, however many terms there are."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick

from moderation.detectors.normalise import Token, fold_words
from moderation.detectors.vocabulary import Vocabulary
from moderation.detectors.words import common_words
from moderation.terms import Term, TermType

MIN_JOINED = 5
"""Letters of the shortest phrase that is also found written as one word."""
MIN_COMPOUND, MIN_COMPOUND_PART = 6, 3
"""Letters of the shortest word of a phrase that is also found written as two common words, and of each of the two."""


class Entry(NamedTuple):
    """A term as compiled. Never holds anything to print."""

    key: str
    """The folded words: what makes two terms the same."""
    category: str
    severity: int
    is_phrase: bool
    is_allowed: bool

    @property
    def precedence(self) -> tuple[object, ...]:
        """Sorts what is taken first: phrases before words, worse before milder, then longer ones; the rest only makes it total."""
        return (not self.is_phrase, -self.severity, -len(self.key), self.category, self.key)


class Found(NamedTuple):
    """An entry at a place, in the coordinates of the tokens."""

    start: int
    end: int
    entry: Entry


class Automaton:
    """One set of terms; immutable.

    A term is also found in other divisions into words: a phrase's words written together ("shutup"), unless that is a common word of
    its own ("the rapist" is not "therapist"), and a phrase's long words written as two common ones ("kill your self"), because its other
    words stand beside them. A lone word is never found in two common ones: "block head shots" is no "blockhead".
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self.entries = _entries(terms)
        """By key; terms that fold to nothing are left out, of several with one key the worst stays."""
        self.allowed = _entries(terms, allow=True)
        patterns = _patterns([*self.entries.values(), *self.allowed.values()])
        self._found = list(patterns.values())
        self._automaton = AhoCorasick([f" {key} " for key in patterns], store_patterns=False)
        self.vocabulary = Vocabulary(word for key in patterns for word in key.split(" "))

    def matches(self, haystack: str) -> list[tuple[int, int, int]]:
        """(pattern, start, end) of everything in folded words with a space before, between and after them."""
        return self._automaton.find_matches_as_indexes(haystack, overlapping=True)

    def find(self, tokens: Sequence[Token]) -> Iterator[Found]:
        """Every entry in a reading, overlapping ones too."""
        matches = self.matches(haystack(t.text for t in tokens))
        if not matches:
            return
        at = {start: n for n, start in enumerate(accumulate((len(t.text) + 1 for t in tokens), initial=0))}
        for pattern, start, end in matches:
            first, last = at[start], at[end - 1] - 1
            for entry in self._found[pattern]:
                yield Found(tokens[first].start, tokens[last].end, entry)


def haystack(words: Iterable[str]) -> str:
    """What the automaton looks through: spaces on both sides of every word, so that only whole words match."""
    return f" {' '.join(words)} "


def _entries(terms: Iterable[Term], *, allow: bool = False) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for term in terms:
        key = " ".join(fold_words(term.term))
        if not key or (term.type is TermType.ALLOW) is not allow:
            continue
        entry = Entry(key, term.category, term.severity, term.type is TermType.PHRASE or " " in key, allow)
        known = entries.get(key)
        entries[key] = entry if known is None else min(known, entry, key=lambda e: e.precedence)
    return entries


def _patterns(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Folded words → the entries that they stand for: the term itself, else the strongest one of those they are a variant of."""
    patterns: dict[str, list[Entry]] = {}
    for entry in entries:
        patterns.setdefault(entry.key, []).append(entry)
    for entry in sorted(entries, key=lambda e: e.precedence):
        for key in _divisions(entry.key.split(" ")):
            others = patterns.setdefault(key, [])
            if all(other.is_allowed is not entry.is_allowed for other in others):
                others.append(entry)
    return patterns


def _divisions(words: Sequence[str]) -> Iterator[str]:
    """The same letters, divided into words in other ways."""
    common = common_words()
    spans = [(n, n + 2) for n in range(len(words) - 1)] + ([(0, len(words))] if len(words) > 2 else [])
    for start, end in spans:
        joined = "".join(words[start:end])
        if len(joined) >= MIN_JOINED and joined not in common:
            yield " ".join([*words[:start], joined, *words[end:]])
    for n, word in enumerate(words) if len(words) > 1 else ():
        for at in range(MIN_COMPOUND_PART, len(word) - MIN_COMPOUND_PART + 1 if len(word) >= MIN_COMPOUND else 0):
            if word[:at] in common and word[at:] in common:
                yield " ".join([*words[:n], word[:at], word[at:], *words[n + 1 :]])
