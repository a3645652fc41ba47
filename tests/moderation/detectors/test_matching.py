"""The lexicon: precedence, overlaps, allow terms, layers and the score."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.detectors.matching import Lexicon, Match, score_of
from moderation.terms import Term, TermType

pytestmark = pytest.mark.unit


def word(term: str, severity: int = 3, category: str = "insult") -> Term:
    return Term(term, TermType.WORD, category, severity)


def phrase(term: str, severity: int = 5, category: str = "threat") -> Term:
    return Term(term, TermType.PHRASE, category, severity)


def allow(term: str) -> Term:
    return Term(term, TermType.ALLOW)


TERMS = [
    word("TERM"),
    phrase("TERM PLACEHOLDER PHRASE"),
    word("idiot", 4),
    word("loser", 4),
    phrase("shut up", 3, "insult"),
    word("kill", 2),
    allow("kill the boss"),
]


def found(lexicon: Lexicon, text: str) -> list[tuple[str, int]]:
    return [(text[m.start : m.end], m.severity) for m in lexicon.match(text)]


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("TERM should trigger", [("TERM", 3)]),
        ("TERMINAL output", []),
        ("determine the terms", []),
        ("a term placeholder phrase", [("term placeholder phrase", 5)]),
        ("Term  Placeholder,\nPhrase and term", [("Term  Placeholder,\nPhrase", 5), ("term", 3)]),
        ("term placeholder", [("term", 3)]),
        ("idiot idiot IDIOT", [("idiot", 4), ("idiot", 4), ("IDIOT", 4)]),
        ("", []),
    ],
)
def test_matches(text: str, matches: list[tuple[str, int]]) -> None:
    assert found(Lexicon(TERMS), text) == matches


def test_a_match_tells_everything_but_the_term() -> None:
    (match,) = Lexicon(TERMS).match("an idiot")
    assert match == Match(category="insult", severity=4, start=3, end=8, redacted=True)


def test_a_phrase_comes_before_a_worse_word_in_it() -> None:
    assert found(Lexicon([word("idiot", 9), phrase("kind idiot", 1)]), "a kind idiot") == [("kind idiot", 1)]


def test_of_overlapping_phrases_the_worse_one_counts_and_then_the_longer() -> None:
    lexicon = Lexicon([phrase("go kill yourself", 2), phrase("kill yourself", 10), phrase("i hate you", 4), phrase("i hate you all", 4)])
    assert found(lexicon, "go kill yourself") == [("kill yourself", 10)]
    assert found(lexicon, "i hate you all") == [("i hate you all", 4)]


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("kill the boss", []),
        ("KILL the bösses", [("KILL", 2)]),
        ("kill the boss, kill", [("kill", 2)]),
        ("k1ll the boss", []),
        ("kill kill the boss", [("kill", 2)]),
    ],
)
def test_allow_terms_suppress_what_lies_inside_them(text: str, matches: list[tuple[str, int]]) -> None:
    assert found(Lexicon(TERMS), text) == matches


def test_allow_does_not_suppress_what_reaches_beyond_it() -> None:
    lexicon = Lexicon([phrase("boss idiot"), allow("the boss"), word("boss", 1)])
    assert found(lexicon, "the boss idiot") == [("boss idiot", 5)]
    assert found(lexicon, "the boss") == []


def test_own_terms_are_laid_over_shared_ones() -> None:
    shared = Lexicon(TERMS)
    own = shared.merged([word("Idiot", 1, "custom"), word("noob", 2), allow("loser"), phrase("kill the boss", 6)])
    assert [(m.category, m.severity) for m in own.match("idiot noob loser")] == [("custom", 1), ("insult", 2)]
    assert found(own, "kill the boss") == [("kill the boss", 6)]
    assert found(own, "kill them") == [("kill", 2)]
    assert found(shared, "idiot noob loser") == [("idiot", 4), ("loser", 4)]
    assert (len(shared), len(own)) == (7, 11)


def test_merging_repeatedly_keeps_the_last_word() -> None:
    lexicon = Lexicon([word("idiot", 4)]).merged([allow("idiot")]).merged([word("idiot", 2)])
    assert found(lexicon, "idiot") == [("idiot", 2)]


def test_terms_are_folded_like_texts() -> None:
    lexicon = Lexicon([word("ÏDIOT"), phrase("don't even"), word("1d10ts"), word("!!!"), phrase("half-wit"), word("\u0441\u043e\u0440")])
    assert found(lexicon, "idiot, dont even DON\u2019T EVEN 1d10ts half wit half-wit") == [
        *[("idiot", 3), ("dont even", 5), ("DON\u2019T EVEN", 5), ("1d10ts", 3), ("half wit", 5), ("half-wit", 5)]
    ]
    assert found(lexicon, "\u0441\u043e\u0440 cop") == [("\u0441\u043e\u0440", 3)]


def test_an_empty_lexicon_matches_nothing() -> None:
    assert Lexicon().match("anything at all 1d10t i d i o t") == ()


@pytest.mark.parametrize(
    ("text", "score", "label", "categories"),
    [
        ("nothing", 0.0, "ok", {}),
        ("TERM", 0.3, "flag", {"insult": 0.5}),
        ("TERM idiot", 0.7, "flag", {"insult": 1.0}),
        ("term placeholder phrase", 0.5, "flag", {"threat": 5 / 6}),
        ("term placeholder phrase, idiot loser", 1.0, "flag", {"insult": 1.0, "threat": 5 / 6}),
    ],
)
def test_score(text: str, score: float, label: str, categories: dict[str, float]) -> None:
    result = Lexicon(TERMS).score(text)
    assert result.score == pytest.approx(score)
    assert result.label == label
    assert result.categories == pytest.approx(categories)


@given(st.lists(st.builds(Match, st.sampled_from("ab"), st.integers(1, 10), st.just(0), st.just(1)), max_size=8))
def test_score_is_the_capped_sum(matches: list[Match]) -> None:
    score = score_of(matches)
    assert score.score == pytest.approx(min(1.0, sum(m.severity for m in matches) / 10))
    for category in {m.category for m in matches}:
        assert score.categories[category] == pytest.approx(min(1.0, sum(m.severity for m in matches if m.category == category) / 6))
    assert score.label == ("flag" if matches else "ok")


SNIPPETS = [
    "idiot",
    "1d10t",
    "i d i o t",
    "id iot",
    "shut",
    "up",
    "shutup",
    "term",
    "placeholder",
    "phrase",
    "kill",
    "the boss",
    "l0ser",
    "é",
    "\u200b",
    "x",
    "!",
    "'s",
    "*",
    "🙂",
]
TEXTS = (
    st.lists(st.sampled_from(SNIPPETS), max_size=12).map(" ".join)
    | st.lists(st.sampled_from(SNIPPETS), max_size=8).map("".join)
    | st.text()
)


@given(TEXTS)
def test_matches_are_ordered_apart_and_inside_the_text(text: str) -> None:
    end = 0
    for match in Lexicon(TERMS).match(text):
        assert end <= match.start < match.end <= len(text)
        end = match.end


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_terms_does_not_matter(text: str, chance: random.Random) -> None:
    terms = [*TERMS, word("idiot", 2, "other"), phrase("placeholder phrase idiot"), word("up", 1), allow("shut")]
    shuffled = list(terms)
    chance.shuffle(shuffled)
    assert Lexicon(shuffled).match(text) == Lexicon(terms).match(text)


@given(st.lists(st.builds(Term, st.text(max_size=12), st.sampled_from(TermType), st.just("c"), st.integers(1, 10)), max_size=6), st.text())
def test_no_lexicon_and_no_text_make_it_fail(terms: list[Term], text: str) -> None:
    lexicon = Lexicon(terms)
    for tried in (text, " ".join(t.term for t in terms)):
        assert all(tried[m.start : m.end] for m in lexicon.match(tried))
