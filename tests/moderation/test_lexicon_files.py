"""Lexicon files: what is read, and that everything wrong is told at once, with its line and without the term."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import lexicon_files
from moderation.detectors.normalise import fold
from moderation.errors import LexiconInvalid
from moderation.lexicon_files import dump, load, parse
from moderation.terms import Term, TermType

pytestmark = pytest.mark.unit

GOOD = '{"term": "idiot", "type": "word", "category": "insult", "severity": 4}'


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(LexiconInvalid) as caught:
        parse(text)
    return [(p.line, p.message) for p in caught.value.problems]


def test_terms_know_their_lines() -> None:
    second = '{"term": "shut up",\n "type": "phrase", "category": " insult ", "severity": 3, "note": "more keys are fine"}'
    text = f'[\n  {GOOD},\n\n  {second},\n  {{"term": "x y", "type": "allow"}}]\n'
    assert parse(text) == [
        Term("idiot", TermType.WORD, "insult", 4, 2),
        Term("shut up", TermType.PHRASE, "insult", 3, 4),
        Term("x y", TermType.ALLOW, "", 1, 6),
    ]


def test_an_empty_list_is_a_lexicon() -> None:
    assert parse(" [ ] \n") == []


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "bom.json"
    path.write_bytes(b"\xef\xbb\xbf[" + GOOD.encode() + b"]")
    assert len(load(path)) == 1


@pytest.mark.parametrize(
    ("entry", "line", "message"),
    [
        ('{"term": "zz"}', 2, "missing type, category, severity"),
        ('{"type": "allow"}', 2, "missing term"),
        ('{"term": "zz",\n"type": "regex", "category": "c", "severity": 1}', 3, "type must be one of word, phrase, allow"),
        ('{"term": "zz", "type": ["word"], "category": "c", "severity": 1}', 2, "type must be one of"),
        ('{"term": "zz", "type": "word",\n "category": "c",\n "severity": 0}', 4, "severity is out of range"),
        ('{"term": "zz", "type": "word", "category": "c", "severity": 11}', 2, "severity is out of range"),
        ('{"term": "zz", "type": "word", "category": "c", "severity": 3.5}', 2, "severity must be a whole number"),
        ('{"term": "zz", "type": "word", "category": "c", "severity": true}', 2, "severity must be a whole number"),
        ('{"term": "zz", "type": "word", "category": "c", "severity": "3"}', 2, "severity must be a whole number"),
        ('{"term": 5, "type": "word", "category": "c", "severity": 1}', 2, "the term must be text"),
        ('{"term": " ", "type": "word", "category": "c", "severity": 1}', 2, "the term is empty"),
        ('{"term": "!?", "type": "word", "category": "c", "severity": 1}', 2, "no letter or digit"),
        ('{"term": "zz\\ud800", "type": "word", "category": "c", "severity": 1}', 2, "half a character"),
        ('{"term": "' + "z" * 201 + '", "type": "word", "category": "c", "severity": 1}', 2, "201 characters; 200"),
        ('{"term": "zz", "type": "word", "category": "", "severity": 1}', 2, "category is empty"),
        ('{"term": "zz", "type": "word", "category": null, "severity": 1}', 2, "category must be text"),
        ('{"term": "zz", "type": "word", "category": "' + "c" * 51 + '", "severity": 1}', 2, "51 characters; 50"),
        ('{"term": "zz", "term": "yy", "type": "word", "category": "c", "severity": 1}', 2, "a key stands twice"),
        ('"zz"', 2, "an entry is an object"),
        ("[" * 5000 + "]" * 5000, 2, "nested too deeply"),
        ('{"term": "zz", "severity": ' + "9" * 5000 + "}", 2, "too long a number"),
    ],
)
def test_one_problem(entry: str, line: int, message: str) -> None:
    ((at, said),) = problems(f"[\n{entry}\n]")
    assert at == line
    assert message in said
    assert "zz" not in said


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "it starts with ["),
        ('{"terms": []}', 1, "it starts with ["),
        (f"[{GOOD}", 1, "before the list's closing ]"),
        (f"[{GOOD}\n{GOOD}]", 2, "column 1: expected , or ]"),
        (f"[{GOOD},\n]", 1, "a comma after the last entry"),
        (f"[{GOOD}]\n\n  x", 3, "column 3: something follows"),
        (f'[{GOOD},\n{{"term": zz}}]', 2, "not JSON at column 10"),
        (f"[\n{GOOD},\n{{'term': 1}}]", 3, "not JSON at column 2"),
    ],
)
def test_what_is_not_json_is_told_with_line_and_column(text: str, line: int, message: str) -> None:
    ((at, said),) = problems(text)
    assert at == line
    assert message in said


def test_everything_wrong_is_told_at_once_in_the_order_of_lines() -> None:
    entries = [
        GOOD,
        '{"term": "a", "type": "word"}',
        '{"term": "ÏDIOT!", "type": "phrase", "category": "c", "severity": 99}',
        GOOD.replace("idiot", "Idiot!"),
        "broken",
    ]
    found = problems("[\n" + ",\n".join(entries) + "\n]")
    assert [line for line, _ in found] == [3, 4, 5, 6]
    assert "the same term as in line 2" in found[2][1]


def test_one_entry_may_have_several_problems() -> None:
    found = problems('[{"term": "", "type": "x", "category": 3, "severity": 0}]')
    assert len(found) == 4


def test_an_allow_beside_the_term_is_no_repetition() -> None:
    assert len(parse(f'[{GOOD}, {{"term": "idiot", "type": "allow"}}]')) == 2


def test_problems_are_bounded() -> None:
    found = problems("[" + ",\n".join(["1"] * 200) + "]")
    assert len(found) == lexicon_files.MAX_PROBLEMS + 1
    assert found[-1] == (0, "and 150 more problems")


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon_files, "MAX_TERMS", 2)
    text = "[\n" + ",\n".join(GOOD.replace("idiot", f"w{n}") for n in range(4)) + "]"
    ((line, said),) = problems(text)
    assert (line, "more than 2 entries" in said) == (4, True)


def test_a_file_that_cannot_be_read_is_told_and_left_to_others_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LexiconInvalid, match=r"^the file cannot be read: No such file or directory$"):
        load(tmp_path / "missing.json")
    with pytest.raises(LexiconInvalid, match="cannot be read"):
        load(tmp_path)
    big = tmp_path / "big.json"
    big.write_text("[]" + " " * 100)
    monkeypatch.setattr(lexicon_files, "MAX_BYTES", 50)
    with pytest.raises(LexiconInvalid, match="larger than"):
        load(big)


def test_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes(b'[\n{"term": "caf\xe9"}]')
    with pytest.raises(LexiconInvalid, match="line 2: not UTF-8"):
        load(path)


TERMS = st.builds(
    lambda term, kind, severity: Term(term, kind, "" if kind is TermType.ALLOW else "c", 1 if kind is TermType.ALLOW else severity),
    st.text(alphabet='abcé "\\\n1', min_size=1, max_size=20).filter(lambda t: any(c.isalnum() for c in t)),
    st.sampled_from(TermType),
    st.integers(1, 10),
)


@given(st.lists(TERMS, max_size=8, unique_by=lambda t: fold(t.term)))
def test_what_is_written_is_read_back(terms: list[Term]) -> None:
    read = parse(dump(terms))
    assert [(t.term, t.type, t.category, t.severity) for t in read] == [(t.term, t.type, t.category, t.severity) for t in terms]


@given(st.text(alphabet='[]{}",: \n\\untrlsefa019.-"term"type'))
def test_any_text_is_a_lexicon_or_refused(text: str) -> None:
    try:
        terms = parse(text)
    except LexiconInvalid as error:
        told = error.problems
    else:
        told = ()
        assert parse(dump(terms)) == [replace(t, line=n) for n, t in enumerate(terms, 2)]
    assert all(p.message for p in told)
