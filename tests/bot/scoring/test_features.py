"""What a word is read as, however it is spelled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.scoring.features import MAX_CHARACTERS, MAX_WORDS, Entry, Reader, Vocabulary, deletions, fold, word_hash, words

pytestmark = pytest.mark.unit

LISTED = ("banana", "orange", "kiwi")
KNOWN = (*LISTED, "you", "like", "a")
COMMON = ("orang", "bandana", "you", "like", "st")


def vocabulary() -> Vocabulary:
    near = {word_hash(d): n for n, w in enumerate(LISTED) for d in deletions(w)}
    common = np.array([word_hash(w) for w in COMMON], np.uint32)
    found = Vocabulary(np.array([word_hash(w) for w in KNOWN], np.uint32), [(7,), (7, 9), (2,), (), (), ()], common)
    found.expect(np.array(list(near), np.uint32), np.array(list(near.values()), np.uint16))
    return found


def read(word: str) -> list[str]:
    """The known words that it is read as, `?` for none."""
    return [KNOWN[e.known] if e.known >= 0 else "?" for e in vocabulary().read(word)]


def seen(text: str) -> list[str]:
    """The known words that a text is read as."""
    entered: list[Entry] = [Entry("", -1, respelled=False, common=False)]
    reader = Reader(vocabulary(), entered.append)
    return [KNOWN[entered[row].known] if entered[row].known >= 0 else entered[row].word for row in reader.rows([text]).tokens[1:-1]]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("banana", "banana"),
        ("b4n4n4", "banana"),
        ("b@nana", "banana"),
        ("k1w1", "kiwi"),
        ("baaanaaana", "banana"),
        ("bananas", "banana"),
        ("banannna", "banana"),
        ("bnaana", "banana"),
        ("banna", "banana"),
        ("banena", "banana"),
        ("oranges", "orange"),
    ],
)
def test_a_respelled_word_is_the_word_meant(written: str, meant: str) -> None:
    assert read(written) == [meant]
    assert all(e.respelled == (written != meant) for e in vocabulary().read(written))


@pytest.mark.parametrize("word", ["bandana", "orang", "kiw", "xylophone", "kiwits", "12", "привет"])
def test_ordinary_and_unlike_words_are_left_alone(word: str) -> None:
    assert read(word) == ["?"]


def test_words_run_together_are_told_apart() -> None:
    assert read("likebanana") == ["like", "banana"]
    assert read("likeyou") == ["?"], "neither is listed"


@pytest.mark.parametrize(
    ("text", "words_seen"),
    [
        ("You like a BANANA!", ["you", "like", "a", "banana"]),
        ("b a n a n a you", ["banana", "you"]),
        ("b.a.n.a.n.a", ["banana"]),
        ("a b c d", ["a", "b", "c", "d"]),
        ("you ban ana", ["you", "banana"]),
        ("you st orang", ["you", "st", "orang"]),
        ("bänana", ["banana"]),
        ("b****a you b*nana", ["<mask>", "you", "<mask>"]),
        ("you ?? 12", ["you", "<asks>", "<number>"]),
        ("", []),
        ("... !", []),
    ],
)
def test_a_text_is_read_word_by_word(text: str, words_seen: list[str]) -> None:
    assert seen(text) == words_seen


def test_what_is_read_is_bounded() -> None:
    assert len(fold("ä" * 10 * MAX_CHARACTERS)) == MAX_CHARACTERS
    assert len(seen("a you " * 10_000)) <= MAX_WORDS
    assert read("b" * 1_000_000) == ["?"]


def test_a_full_reader_begins_anew() -> None:
    entered: list[Entry] = []
    reader = Reader(vocabulary(), entered.append, capacity=3)
    first = reader.rows(["you like a banana"])
    assert reader.full
    reader.reset()
    assert not reader.full
    again = reader.rows(["banana you"])
    assert (first.tokens.tolist(), again.tokens.tolist()) == ([0, 1, 2, 3, 4, 0], [0, 1, 2, 0])
    assert [e.word for e in entered[4:]] == ["banana", "you"]


@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_texts_are_rows_between_gaps(texts: list[str]) -> None:
    rows = Reader(vocabulary(), lambda _: None).rows(texts)
    assert len(rows.tokens) == rows.lengths.sum() + len(texts) + 1
    assert rows.tokens[0] == 0
    for start, length in zip(rows.starts, rows.lengths, strict=True):
        assert (rows.tokens[start : start + length] > 0).all()
        assert rows.tokens[start + length] == 0


@given(st.text(max_size=100))
def test_words_have_no_spaces_and_are_not_empty(text: str) -> None:
    assert all(w and not any(c.isspace() for c in w) for w in words(text, lambda _: False))
