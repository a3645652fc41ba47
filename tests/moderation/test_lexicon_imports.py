"""Foreign word lists: what they become, and what is told of broken ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moderation.errors import LexiconInvalid
from moderation.lexicon_imports import Imported, import_terms
from moderation.terms import Term, TermType

pytestmark = pytest.mark.unit

SURGE_HEADER = (
    "text,canonical_form_1,canonical_form_2,canonical_form_3,category_1,category_2,category_3,severity_rating,severity_description\n"
)

Import = Callable[[str, str], Imported]


@pytest.fixture
def read(tmp_path: Path) -> Import:
    def read(content: str, format_: str) -> Imported:
        path = tmp_path / "list"
        path.write_text(content, encoding="utf-8")
        return import_terms(path, format_)

    return read


def test_surge(read: Import) -> None:
    rows = [
        "69,69,,,sexual anatomy / sexual acts,,,1,Mild",
        "dimwit,dimwit,,,other / general insult,,,1,Mild",
        '"bird, brain",birdbrain,,,animal references,other / general insult,,1.4,Mild',
        "stinker,stinker,,,bodily fluids / excrement,,,2.2,Strong",
        "made up,made up,,,racial / ethnic slurs,,,3,Severe",
        "DIMWIT,dimwit,,,other / general insult,,,2,Strong",
        "unheard of,x,,,some new category,,,1.2,Mild",
    ]
    imported = read(SURGE_HEADER + "\n".join(rows) + "\n", "surge")
    assert imported == Imported(
        (
            Term("DIMWIT", TermType.WORD, "insult", 5, 7),
            Term("bird, brain", TermType.PHRASE, "insult", 3, 4),
            Term("stinker", TermType.WORD, "profanity", 6, 5),
            Term("made up", TermType.PHRASE, "hate", 8, 6),
            Term("unheard of", TermType.PHRASE, "profanity", 3, 8),
        ),
        repeated=1,
        numbers=1,
    )


def test_dsojevic(read: Import) -> None:
    content = """[
  {"id": "nit", "match": "ni*t|nit-wit|nit wits", "tags": ["general"], "severity": 1},
  {"id": "x", "match": "made up", "tags": ["sexual", "racial"], "severity": 4, "exceptions": ["*er"]}
]"""
    assert read(content, "dsojevic").terms == (
        Term("nit", TermType.WORD, "profanity", 2, 2),
        Term("nit-wit", TermType.PHRASE, "profanity", 2, 2),
        Term("nit wits", TermType.PHRASE, "profanity", 2, 2),
        Term("made up", TermType.PHRASE, "hate", 9, 3),
    )


def test_text(read: Import) -> None:
    assert read("# mild ones\n\ndimwit # twice\n  bird brain  \r\ndimwit\n42\n", "text") == Imported(
        (Term("dimwit", TermType.WORD, "custom", 5, 3), Term("bird brain", TermType.PHRASE, "custom", 5, 4)), repeated=1, numbers=1
    )


def test_csv(read: Import) -> None:
    content = 'Term,Type,Category,Severity\ndimwit,word,insult,3\n\n"bird\nbrain",,,\nkill the boss,allow,,\nshort\n'
    assert read(content, "csv").terms == (
        Term("dimwit", TermType.WORD, "insult", 3, 2),
        Term("bird\nbrain", TermType.PHRASE, "custom", 5, 4),
        Term("kill the boss", TermType.ALLOW, "", 1, 6),
        Term("short", TermType.WORD, "custom", 5, 7),
    )


@pytest.mark.parametrize(
    ("format_", "content", "said"),
    [
        ("csv", "word\nzz\n", ["line 1: the header lacks term"]),
        ("csv", "", ["line 1: the file is empty"]),
        ("csv", "term,type\nzz,regex\n!!,word\n", ["line 2: type must be one of", "line 3: the term has no letter"]),
        (
            "csv",
            "term,severity\nzz,11\nyy,high\nxx,2.5\n",
            ["line 2: severity is out of range", "line 3: severity must be", "line 4: severity must be"],
        ),
        ("csv", 'term\n"zz"x\n', ["line 2: not CSV"]),
        ("csv", "term,category\nzz," + "c" * 51, ["line 2: category has 51"]),
        ("surge", "text\nzz\n", ["line 1: the header lacks category_1, severity_rating"]),
        ("surge", SURGE_HEADER + "zz,,,,political,,,9,Mild\nzz,,,,political\n", ["line 2: severity_rating", "line 3: severity_rating"]),
        ("dsojevic", "{}", ["line 1: a lexicon is a JSON list"]),
        (
            "dsojevic",
            '[\n{"match": "zz"},\n{"match": "zz", "tags": [], "severity": 7}]',
            ["line 2: an entry needs", "line 3: an entry needs"],
        ),
        ("dsojevic", '[\n{"match": zz}]', ["line 2: not JSON at column 11"]),
        ("text", "z" * 201, ["line 1: the term has 201 characters"]),
    ],
)
def test_every_problem_is_told_with_its_line(read: Import, format_: str, content: str, said: list[str]) -> None:
    with pytest.raises(LexiconInvalid) as caught:
        read(content, format_)
    told = [str(p) for p in caught.value.problems]
    assert len(told) == len(said)
    assert all(t.startswith(s) for t, s in zip(told, said, strict=True))
    assert not any("zz" in t for t in told)


def test_an_unknown_format_is_a_mistake(read: Import) -> None:
    with pytest.raises(ValueError, match="surge, dsojevic, text, csv"):
        read("", "yaml")
