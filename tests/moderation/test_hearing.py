"""What a model with a given vocabulary hears of terms, and what it could hear instead."""

from collections.abc import Sequence

import pytest

from moderation.hearing import MAX_OFFERS, Hearing
from moderation.terms import Term, TermType

pytestmark = pytest.mark.unit


class FakeVocabulary:
    """Knows some words; lists them, or does not."""

    def __init__(self, *words: str, lists: bool = True) -> None:
        self.known, self.lists, self.listed = frozenset(words), lists, 0

    def hears(self, word: str) -> bool:
        return word in self.known

    def words(self) -> Sequence[str] | None:
        self.listed += 1
        return sorted(self.known) if self.lists else None


def word(text: str, severity: int = 8) -> Term:
    return Term(text, TermType.PHRASE if " " in text else TermType.WORD, "insult", severity)


def test_a_term_is_heard_when_all_of_its_words_are() -> None:
    hearing = Hearing(FakeVocabulary("you're", "trash", "kill", "dumb", "ass"))
    assert hearing.unheard("You're TRASH!") == ()
    assert hearing.unheard("you\u2019re trash") == ()
    assert hearing.unheard("kill urself, urself now") == ("urself", "now")
    assert hearing.unheard("dumb-ass") == ()


async def test_words_that_sound_alike_are_offered_below_what_alerts() -> None:
    heard = await Hearing(FakeVocabulary("kill", "yourself", "herself", "banana")).of(word("kill urself"), sounding_severity=3)
    assert heard.unheard == ("urself",)
    assert [(o.term.term, o.term.type, o.term.severity) for o in heard.offers] == [
        ("kill herself", TermType.PHRASE, 3),
        ("kill yourself", TermType.PHRASE, 3),
    ]


async def test_the_same_letters_in_two_words_keep_the_severity() -> None:
    heard = await Hearing(FakeVocabulary("bird", "brain", "board")).of(word("birdbrain", 8), sounding_severity=3)
    first = heard.offers[0]
    assert (first.term.term, first.term.type, first.term.severity, first.same_letters) == ("bird brain", TermType.PHRASE, 8, True)


async def test_pieces_that_the_lexicon_puts_together_need_no_variant() -> None:
    heard = await Hearing(FakeVocabulary("dumb", "ass")).of(word("dumbass"), sounding_severity=3)
    assert heard.found_as == ("dumb ass",)
    assert heard.offers == ()


async def test_mild_terms_stay_as_mild_as_they_are() -> None:
    heard = await Hearing(FakeVocabulary("yourself")).of(word("urself", 2), sounding_severity=3)
    assert [o.term.severity for o in heard.offers] == [2]
    heard = await Hearing(FakeVocabulary("yourself")).of(word("urself", 2), sounding_severity=0)
    assert [o.term.severity for o in heard.offers] == [1]


async def test_a_term_that_is_heard_costs_no_index_and_the_index_is_built_once() -> None:
    vocabulary = FakeVocabulary("yourself", "idiot")
    hearing = Hearing(vocabulary)
    assert (await hearing.of(word("idiot"), sounding_severity=3)).unheard == ()
    assert vocabulary.listed == 0
    await hearing.of(word("urself"), sounding_severity=3)
    await hearing.of(word("urselves"), sounding_severity=3)
    assert vocabulary.listed == 1


async def test_a_model_that_does_not_list_its_words_is_searched_among_everyday_ones_and_that_is_said() -> None:
    heard = await Hearing(FakeVocabulary("yourself", "xyzzyself", lists=False)).of(word("urself"), sounding_severity=3)
    assert heard.common_only
    assert [o.term.term for o in heard.offers] == ["yourself"]


async def test_nothing_is_offered_where_nothing_sounds_alike_or_too_much_is_missing() -> None:
    hearing = Hearing(FakeVocabulary("banana"))
    assert (await hearing.of(word("kys"), sounding_severity=3)).offers == ()
    assert (await hearing.of(word("kys kys2 kys3 kys4"), sounding_severity=3)).unheard == ("kys", "kys2", "kys3", "kys4")
    assert (await hearing.of(word("привет"), sounding_severity=3)).offers == ()


async def test_no_more_is_offered_than_a_menu_holds() -> None:
    vocabulary = FakeVocabulary(*(f"k{v}{c}" for v in "aeiou" for c in ("s", "z", "ss", "ts", "th")))
    heard = await Hearing(vocabulary).of(word("kys"), sounding_severity=3)
    assert len(heard.offers) == MAX_OFFERS
    assert len({o.term.term for o in heard.offers}) == MAX_OFFERS


async def test_the_report_counts_what_flags_the_worst_first() -> None:
    shared = [word("idiot"), word("kys", 9), Term("zzz", TermType.ALLOW), word("DIMWIT", 9)]
    own = [Term("dimwit", TermType.WORD, "custom", 3), Term("nitwit", TermType.WORD, "custom", 9)]
    report = await Hearing(FakeVocabulary("idiot")).report(shared, own)
    assert report.terms == 4, "a guild's own term takes the shared one's place"
    assert [(u.term.term, u.own) for u in report.unheard] == [("nitwit", True), ("kys", False), ("dimwit", True)]
    assert report.by_category == [("custom", 2), ("insult", 1)]
    assert report.by_severity == [(9, 2), (3, 1)]
