"""Folding: what is the same word, where it stands in the original, and what never becomes another word."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.detectors.normalise import fold, fold_characters, fold_words, tokens

pytestmark = pytest.mark.unit

ANYTHING = st.text() | st.text(alphabet="aI1l!'\u2019 \u0301\u200b\ufeffß\u0130\u0149\u0390é\u043e\u0456ꙮcⅣ½が🇮\U0001f170\ud800_-.@$*")


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Shut UP", "shut up"),
        ("shut\tup,\n now!", "shut up now"),
        ("ÏDÎÖT ídíòt", "idiot idiot"),
        ("i\u0308diot", "idiot"),
        ("\uff29\uff44\uff49\uff4f\uff54", "idiot"),
        ("\U0001d55a\U0001d555\U0001d55a\U0001d560\U0001d565", "idiot"),
        ("ⓘⓓⓘⓞⓣ", "idiot"),
        ("\U0001f178\U0001f173\U0001f178\U0001f17e\U0001f183", "idiot"),
        ("ɪᴅɪᴏᴛ", "idiot"),
        ("id\u200biot id\u00adiot i\u2060diot \ufeffidiot id\u034fiot", "idiot idiot idiot idiot idiot"),
        ("\u0456d\u0456\u043et \u03b9di\u03bft", "idiot idiot"),
        ("\u0441\u043e\u0440", "\u0441\u043e\u0440"),
        ("ﬁsh straße Øre Łódź", "fish strasse ore lodz"),
        ("don't don\u2019t dont", "dont dont dont"),
        ("you're you\u2019re", "youre youre"),
        ("he'll she'll we'll I'll", "he she we i"),
        ("the idiot's, she'd", "the idiot she"),
        ("he'll've", "he ve"),
        ("rock 'n' roll fuckin'", "rock n roll fuckin"),
        ("snake_case kebab-case a.b", "snake case kebab case a b"),
        ("1337 4 2 9 mp3", "1337 4 2 9 mp3"),
        ("Idiot™", "idiot"),
        ("--- … !? 🙂", ""),
        ("", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_vowel_signs_are_part_of_the_word() -> None:
    # Without its vowel signs Hindi "kila" (fort) would be "kal" (yesterday).
    assert fold("किला") != fold("कल")
    assert len(fold_words("किला")) == 1


def test_arabic_and_hebrew_vowels_can_be_left_out() -> None:
    assert fold("كِتَاب") == fold("كتاب")
    assert fold("שָׁלוֹם") == fold("שלום")


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        ("an idiot's  café!", ["an", "idiot", "café"]),
        ("x  i\u0308di\u200bot y", ["x", "i\u0308di\u200bot", "y"]),
        ("ﬃx ½", ["ﬃx", "½", "½"]),
        ("I\u2019ll go", ["I", "go"]),
    ],
)
def test_offsets_lead_back_to_the_original(text: str, slices: list[str]) -> None:
    folded = fold_characters(text)
    found = [folded.span(t.start, t.end) for t in tokens(folded)]
    assert [text[start:end] for start, end in found] == slices


@given(ANYTHING)
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(ANYTHING)
def test_tokens_lie_in_order_inside_the_text_and_are_the_folded_words(text: str) -> None:
    folded = fold_characters(text)
    found = list(tokens(folded))
    assert [t.text for t in found] == fold_words(text)
    places = [folded.span(t.start, t.end) for t in found]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert places == sorted(places)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_case_never_matters(text: str) -> None:
    assert fold(text.upper()) == fold(text.lower()) == fold(text)
