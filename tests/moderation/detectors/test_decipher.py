"""Every rule by which evasive spelling is read, beside innocent text that looks like it."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.detectors.matching import Lexicon
from moderation.detectors.vocabulary import Vocabulary, reads_as, skeleton
from moderation.terms import Term, TermType

pytestmark = pytest.mark.unit

WORDS = [
    "idiot",
    "ass",
    "asshole",
    "loser",
    "hell",
    "shit",
    "penis",
    "anus",
    "anal",
    "coon",
    "tit",
    "kill",
    "numbskull",
    "headcase",
    "therapist",
    "cool",
]
PHRASES = ["shut up", "kill yourself", "the rapist", "you are trash", "as is"]
LEXICON = Lexicon(
    [*(Term(w, TermType.WORD, "insult", 3) for w in WORDS if w != "therapist"), *(Term(p, TermType.PHRASE, "insult", 5) for p in PHRASES)]
)


def found(text: str) -> list[str]:
    return [text[m.start : m.end] for m in LEXICON.match(text)]


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        # stretched
        ("you idiooooot", ["idiooooot"]),
        ("IIIDIOT loooser", ["IIIDIOT", "loooser"]),
        ("asssss", ["asssss"]),
        ("coooon", ["coooon"]),
        ("shuuuut uuuup", ["shuuuut uuuup"]),
        ("kiiill yourselfff", ["kiiill yourselfff"]),
        # respelled
        ("1d10t", ["1d10t"]),
        ("an 1D1OT here", ["1D1OT"]),
        ("@ss a$$ @$$ a55", ["@ss", "a$$", "@$$", "a55"]),
        ("$h1t sh!t sh|t 5h1t", ["$h1t", "sh!t", "sh|t", "5h1t"]),
        ("l0s3r, h3ll", ["l0s3r", "h3ll"]),
        ("k1ll y0urs3lf", ["k1ll y0urs3lf"]),
        ("1d1000000t", ["1d1000000t"]),
        ("@idiot", ["idiot"]),
        ("ïd1öt", ["ïd1öt"]),
        # masked
        ("id*ot sh*t", ["id*ot", "sh*t"]),
        ("l**er", ["l**er"]),
        ("lo**r", ["lo**r"]),
        ("*idiot*", ["idiot"]),
        # spelled out
        ("you i d i o t", ["i d i o t"]),
        ("i.d.i.o.t i-d-i-o-t", ["i.d.i.o.t", "i-d-i-o-t"]),
        ("I. D. I. O. T.", ["I. D. I. O. T"]),
        ("u r a i d i o t", ["i d i o t"]),
        ("a s s", ["a s s"]),
        ("s h u t u p", ["s h u t u p"]),
        ("k i l l y o u r s e l f", ["k i l l y o u r s e l f"]),
        ("kill y o u r s e l f", ["kill y o u r s e l f"]),
        ("1 d 1 0 t", ["1 d 1 0 t"]),
        ("i d i i i i o t", ["i d i i i i o t"]),
        # split and joined
        ("you id iot", ["id iot"]),
        ("id-iot id\niot", ["id-iot", "id\niot"]),
        ("i diot", ["i diot"]),
        ("ass hole", ["ass hole"]),
        ("a$$ hole", ["a$$"]),
        ("shutup", ["shutup"]),
        ("killyourself", ["killyourself"]),
        ("kill your self", ["kill your self"]),
        ("kill yo urself", ["kill yo urself"]),
        ("youare trash", ["youare trash"]),
        ("you aretrash", ["you aretrash"]),
    ],
)
def test_evasive_spelling_is_read(text: str, slices: list[str]) -> None:
    assert found(text) == slices


@pytest.mark.parametrize(
    "text",
    [
        # whole words only
        *(
            "Scunthorpe",
            "class",
            "classic",
            "assassin",
            "assess",
            "bass",
            "mass",
            "assume",
            "embarrassed",
            "hello",
            "shell",
            "titan",
            "raccoon",
            "canal",
        ),
        *(
            "skill",
            "killer",
            "analysis",
            "peninsula",
            "shitake",
            "TERMINAL",
            "disunity",
            "cocoon",
            "glass",
            "closer",
            "Michelle",
            "tycoon",
            "painting",
        ),
        # joins
        *(
            "pen is",
            "pen is mine",
            "as sad",
            "pass hit",
            "bit chance",
            "as s",
            "his hit",
            "it's hit",
            "s hit",
            "who s hit",
            "an us",
            "an al",
            "an also",
        ),
        *(
            "the therapist",
            "therapist",
            "shut, the door is up",
            "co on",
            "he ll",
            "to tally",
            "class hole",
            "the rap is t",
            "id est",
            "low ser vice",
        ),
        *("yourself", "your self", "t it", "has hole", "a rapist", "sh it", "numb skull", "head cases", "head case"),
        # stretched: two of a letter is spelling
        *("looser", "assess", "colon", "hellooo", "killerrr", "losses", "bok", "idioot", "iddiot", "shiit"),
        # numbers
        *(
            "four 2 9",
            "1337",
            "5 5 5",
            "a 5 5",
            "4 2 0",
            "$100",
            "$55",
            "455",
            "2 1 0 7",
            "7 1 7",
            "a1",
            "b4",
            "4ss3ss",
            "mp3",
            "10:55",
            "1,000,000",
            "3.14",
        ),
        # spelled-out innocents
        *(
            "u s a",
            "a b c",
            "a b c d e f g",
            "c l a s s",
            "n a s a",
            "h e l l o",
            "u r a n u s",
            "f b i",
            "g g w p",
            "A. B. Smith",
            "x y z",
            "a n a l y s i s",
        ),
        *("l o s e", "b a s s", "q w e r t y", "i i i", "a i u r n y o"),
        # symbols
        *("5 + 5", "c++", "a|b", "wow! it", "me@example.com", "#1", "a*b", "2*3", "yes!!!", "@everyone", "$", "***", "h*ll*o"),
        # apostrophes
        *("he'll", "she'll", "we\u2019ll", "I'll", "she'd", "who's", "o'clock"),
    ],
)
def test_innocent_text_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_one_place_may_read_as_two_words_and_both_are_looked_for() -> None:
    lexicon = Lexicon([Term("bad lil cat", TermType.PHRASE, "a", 2), Term("bad ill cat", TermType.PHRASE, "b", 2)])
    assert [m.category for m in lexicon.match("bad l1l cat")] == ["a"]
    assert [m.category for m in lexicon.match("bad 1ll cat")] == ["b"]
    lexicon = Lexicon([Term("bat man", TermType.PHRASE, "a", 2), Term("baat man", TermType.PHRASE, "b", 9)])
    assert [m.category for m in lexicon.match("baaat man")] == ["b"]


@pytest.mark.parametrize(
    ("word", "target", "reads"),
    [
        ("idiooooot", "idiot", True),
        ("idioot", "idiot", False),
        ("bok", "book", False),
        ("booook", "book", True),
        ("book", "bok", False),
        ("1d10t", "idiot", True),
        ("h311", "hell", True),
        ("111", "il", False),
        ("111111", "il", True),
        ("1111", "il", True),
        ("ldiot", "idiot", False),
        ("", "idiot", False),
        ("idiot", "idio", False),
    ],
)
def test_reads_as(word: str, target: str, *, reads: bool) -> None:
    assert reads_as(word, target) is reads


@given(st.text(alphabet="abil", min_size=1, max_size=8), st.data())
def test_whatever_reads_as_a_word_shares_its_skeleton(target: str, data: st.DataObject) -> None:
    spelled = ""
    for letter in target:
        written = data.draw(st.sampled_from({"a": "a@4", "b": "b8", "i": "i1!", "l": "l1|"}[letter]))
        spelled += written * data.draw(st.sampled_from([1, 1, 3, 5]))
    if reads_as(spelled, target):
        assert skeleton(spelled) == skeleton(target)
        assert target in Vocabulary([target]).respelled(spelled)


def _work(call: Callable[[], object]) -> int:
    """How many bytecode instructions a call runs: a measure that does not depend on the machine."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> object:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "piece",
    [
        "idiot ",
        "1d10t ",
        "idioooot ",
        "id iot ",
        "i d i o t ",
        "a i u ",
        "qwx zyv ",
        "a b ",
        "1i",
        "a",
        "*",
        "!",
        "a*b*",
        "id*ot ",
        "é",
        "@ss ",
        "shut ",
        "'s",
        "\u043e\u043a a ",
    ],
)
def test_work_is_linear_in_the_length_of_the_text(piece: str) -> None:
    LEXICON.match(piece * 10)  # fills the caches
    small, large = (_work(lambda n=n: LEXICON.match(piece * n)) for n in (100, 400))  # type: ignore[misc]
    assert large <= 4.4 * small + 2000
