"""Sound-alikes: the sounds of words, distances, and the search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.phonetics import distance, key, sounds
from moderation.soundalikes import MAX_LENGTH, SoundAlikes

pytestmark = pytest.mark.unit

WORDS = st.text("abcdefghijklmnopqrstuvwxyz'", max_size=12)


@pytest.mark.parametrize(
    ("one", "other"),
    [("knight", "night"), ("phone", "fone"), ("write", "rite"), ("kys", "kiss"), ("cue", "kue"), ("there", "ther"), ("thru", "throo"),
     ("ate", "ait"), ("watch", "wach"), ("bigger", "biger"), ("quick", "kwik"), ("nation", "nashun"), ("I'm", "im")],
)  # fmt: skip
def test_spellings_of_one_sound_are_near(one: str, other: str) -> None:
    assert distance(sounds(one), sounds(other)) <= 0.15


def test_likely_confusions_are_nearer_than_unlikely_ones() -> None:
    def far(a: str, b: str) -> float:
        return distance(sounds(a), sounds(b))

    assert far("bat", "pat") < far("bat", "cat") < far("bat", "stamp")
    assert far("urself", "yourself") < far("urself", "shelf")
    assert far("dog", "strength") > 0.8


@given(WORDS, WORDS)
def test_distance_is_a_symmetrical_dissimilarity(a: str, b: str) -> None:
    x, y = sounds(a), sounds(b)
    assert distance(x, y) == pytest.approx(distance(y, x))
    assert (distance(x, y) == 0) == (x == y)
    assert distance(x, y) <= 2.0


@given(st.text(max_size=60))
def test_any_text_has_sounds_and_a_key(text: str) -> None:
    assert key(sounds(text)) == key(sounds(text.lower()))


def test_other_scripts_are_compared_letter_by_letter() -> None:
    assert sounds("привет") == "привет"
    assert [a.text for a in SoundAlikes(["привет", "пока"]).near("превет")] == ["привет"]


def test_the_nearest_comes_first_and_the_word_itself_never() -> None:
    found = SoundAlikes(["yourself", "shelf", "urself", "banana"]).near("urself")
    assert found[0].text == "yourself"
    assert "urself" not in [a.text for a in found]
    assert "banana" not in [a.text for a in found]


def test_the_same_letters_in_two_words_come_first() -> None:
    found = SoundAlikes(["numb", "skull", "numbs", "cull", "muscle"]).near("numbskull")
    assert (found[0].text, found[0].spelled, found[0].distance) == ("numb skull", True, 0.0)


def test_short_forms_may_be_said_letter_by_letter() -> None:
    index = SoundAlikes([*"abcdefghijklmnopqrstuvwxyz", "kiss"])
    assert [(a.text, a.spelled) for a in index.near("kys", 2)] == [("k y s", True), ("kiss", False)]
    assert "n u m b s" not in [a.text for a in index.near("numbs")]


def test_pairs_that_only_sound_so_are_found() -> None:
    found = {a.text: a for a in SoundAlikes(["whole", "hell", "low", "black", "head"]).near("blockhead")}
    assert not found["black head"].spelled


def test_nothing_comes_of_nothing() -> None:
    index = SoundAlikes(["", "---", "a" * 100])
    assert len(index) == 0
    assert index.near("word") == []
    full = SoundAlikes(["word"])
    assert full.near("") == []
    assert full.near("x" * (MAX_LENGTH + 1)) == []
