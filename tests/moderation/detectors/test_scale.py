"""A lexicon of 100,000 terms finds what one of ten finds."""

import random

import pytest

from moderation.detectors.matching import Lexicon
from moderation.terms import Term, TermType

pytestmark = pytest.mark.integration


def test_100_000_terms() -> None:
    chance = random.Random(3)
    made = {"".join(chance.choices("etaoinshrdlucmfwypvbgkjqxz", k=chance.randint(6, 12))) for _ in range(100_200)}
    words = sorted(made)[:100_000]
    chance.shuffle(words)
    terms = [Term(w, TermType.WORD, f"c{n % 7}", n % 10 + 1) for n, w in enumerate(words)]
    lexicon = Lexicon(terms)
    assert len(lexicon) == 100_000
    for n in chance.sample(range(100_000), 200):
        text = f"so {words[n].upper()}, {words[n - 1]}!"
        expected = [(f"c{i % 7}", i % 10 + 1, words[i]) for i in (n, (n - 1) % 100_000)]
        assert [(m.category, m.severity, text[m.start : m.end].lower()) for m in lexicon.match(text)] == expected
    assert lexicon.match("please push the left side and cover me right now") == ()
    assert lexicon.merged([Term(words[0], TermType.ALLOW)]).match(words[0]) == ()
