"""The lexicon: what looking through one transcript costs with 100 and with 100,000 terms, beside a substring test of every term."""

import random
import timeit
from collections.abc import Callable, Sequence
from functools import partial

from bench.rows import Row
from moderation.detectors.matching import Lexicon
from moderation.terms import Term, TermType

TEXT = "please push the left side and cover me right now"
"""Ten words, none of them a term."""
EVASIVE = "please push the left 1d10000t and cover me right now"
FEW, MANY = 100, 100_000
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def run() -> list[Row]:
    """Measure. Each figure is the best of five rounds."""
    few, many = _terms(FEW), _terms(MANY)
    rows = []
    costs = {}
    for terms in (few, many):
        lexicon = Lexicon(terms)
        costs[len(terms)] = ours = _microseconds(partial(lexicon.match, TEXT), 2000)
        words = [t.term for t in terms]
        theirs = _microseconds(partial(_substrings, words), 200_000 // len(terms))
        name = f"match, 10 words, {len(terms):,} terms"
        rows.append(Row(name, ours, "µs", f"substring test of every term: {theirs:,.1f} µs", ours / theirs))
        if terms is many:
            evasive = _microseconds(partial(lexicon.match, EVASIVE), 1000)
    growth = costs[MANY] / costs[FEW]
    rows.append(Row(f"match, {MANY:,} terms", costs[MANY], "µs", f"ours with {FEW} terms: {costs[FEW]:,.1f} µs", growth))
    rows.append(Row("match, 10 words, one respelled", evasive, "µs", f"ours without: {costs[MANY]:,.1f} µs", evasive / costs[MANY]))
    return rows


def _terms(count: int) -> list[Term]:
    """Random words and, every fourth, phrases of two; and one real word. The same in every run."""
    chance = random.Random(7)  # noqa: S311 (a benchmark's input)

    def word() -> str:
        return "".join(chance.choices(LETTERS, k=chance.randint(5, 12)))

    terms = [
        Term(f"{word()} {word()}", TermType.PHRASE, "insult", 4) if n % 4 == 0 else Term(word(), TermType.WORD, "insult", 4)
        for n in range(count - 1)
    ]
    return [*terms, Term("idiot", TermType.WORD, "insult", 4)]


def _substrings(words: Sequence[str]) -> bool:
    return any(word in TEXT for word in words)


def _microseconds(call: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6
