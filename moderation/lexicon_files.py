"""Lexicon files: a JSON list of `{"term", "type", "category", "severity"}`, one entry a term.

    [
      {"term": "example", "type": "word", "category": "insult", "severity": 3},
      {"term": "for example", "type": "allow"}
    ]

Further keys are ignored. Everything wrong in a file is said at once, with its line; what is said never quotes a term.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from moderation.detectors.normalise import fold
from moderation.errors import LexiconInvalid, LexiconProblem
from moderation.terms import Term, TermType

MAX_TERMS = 500_000
"""Entries of one file."""
MAX_TERM_LENGTH = 200
"""Characters of one term."""
MAX_CATEGORY_LENGTH = 50
"""Characters of a category."""
MAX_BYTES = 128 * 1024 * 1024
"""Size of a file that is read at all."""
MAX_PROBLEMS = 50
"""Problems told of one file; more are counted."""

_SPACE = re.compile(r"[ \t\r\n]*")
_TYPES = ", ".join(TermType)


class Problems:
    """Collects what is wrong, in the order of lines, and tells no more than `MAX_PROBLEMS` of it."""

    def __init__(self) -> None:
        self._told: list[LexiconProblem] = []
        self.count = 0

    def add(self, line: int, message: str) -> None:
        """One thing wrong. `line`: 1-based, 0 for the whole file."""
        self.count += 1
        if len(self._told) < MAX_PROBLEMS:
            self._told.append(LexiconProblem(line, message))

    def raise_if_any(self) -> None:
        """Raises `LexiconInvalid` when something was added."""
        if self.count:
            more = self.count - len(self._told)
            told = sorted(self._told, key=lambda problem: problem.line)
            raise LexiconInvalid([*told, *([LexiconProblem(0, f"and {more} more problems")] if more else [])])


def load(path: Path) -> list[Term]:
    """The terms of a JSON lexicon, each with its line. Raises `LexiconInvalid` with everything that is wrong in it."""
    return parse(read_text(path))


def parse(text: str) -> list[Term]:
    """The same of a file's content."""
    problems = Problems()
    terms: list[Term] = []
    try:
        for number, (line, source, entry) in enumerate(entries(text), 1):
            if number > MAX_TERMS:
                problems.add(line, f"more than {MAX_TERMS:,} entries; split the list or leave out what never matches")
                break
            if term := _term(line, source, entry, problems):
                terms.append(term)
    except LexiconInvalid as error:
        for problem in error.problems:
            problems.add(problem.line, problem.message)
    _check_duplicates(terms, problems)
    problems.raise_if_any()
    return terms


def dump(terms: Iterable[Term]) -> str:
    """A JSON lexicon, one entry a line; `parse` gives the same terms back."""
    lines = [json.dumps(_entry(term), ensure_ascii=False) for term in terms]
    return "[\n  " + ",\n  ".join(lines) + "\n]\n" if lines else "[]\n"


def read_text(path: Path) -> str:
    """A whole file as text: UTF-8, with or without a byte order mark. Raises `LexiconInvalid`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _invalid(0, f"the file is larger than {MAX_BYTES // 1024**2} MiB; split the list")
        content = path.read_bytes()
    except OSError as error:
        raise _invalid(0, f"the file cannot be read: {error.strerror}") from None
    return decode(content)


def decode(content: bytes) -> str:
    """A file's content as text: UTF-8, with or without a byte order mark. Raises `LexiconInvalid`."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(content.count(b"\n", 0, error.start) + 1, "not UTF-8 text; save the file as UTF-8") from None


def check(term: str, line: int, problems: Problems) -> bool:
    """Whether a term can be used; what is wrong with it goes to `problems`."""
    if not term.strip():
        problems.add(line, "the term is empty")
    elif len(term) > MAX_TERM_LENGTH:
        problems.add(line, f"the term has {len(term)} characters; {MAX_TERM_LENGTH} is the most")
    elif _is_broken(term):
        problems.add(line, "the term has half a character (an unpaired surrogate)")
    elif not fold(term):
        problems.add(line, "the term has no letter or digit, so it could never match")
    else:
        return True
    return False


def check_severity(severity: object, line: int, problems: Problems) -> bool:
    """The same for a severity."""
    if not isinstance(severity, int) or isinstance(severity, bool):
        problems.add(line, "severity must be a whole number from 1 (mild) to 10 (worst)")
    elif not 1 <= severity <= 10:
        problems.add(line, "severity is out of range; it goes from 1 (mild) to 10 (worst)")
    else:
        return True
    return False


def entries(text: str) -> Iterator[tuple[int, str, object]]:
    """(line, source text, value) of every element of the list. Raises `LexiconInvalid` where the text stops being JSON."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys)
    at, line, counted = _skip(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise _invalid(_line(text, at), "a lexicon is a JSON list: it starts with [")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise _invalid(error.lineno, f"not JSON at column {error.colno}: {error.msg}") from None
        except (RecursionError, ValueError):
            raise _invalid(line, "this entry is no plain JSON object: it is nested too deeply or has too long a number") from None
        yield line, text[at:end], value
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            comma, at = at, _skip(text, at + 1)
            if text[at : at + 1] == "]":
                raise _invalid(_line(text, comma), f"not JSON at column {_column(text, comma)}: a comma after the last entry")
        elif text[at : at + 1] != "]":
            missing = "the file ends before the list's closing ]" if at == len(text) else "expected , or ] after an entry"
            raise _invalid(_line(text, at), f"not JSON at column {_column(text, at)}: {missing}")
    if (rest := _skip(text, at + 1)) != len(text):
        raise _invalid(_line(text, rest), f"not JSON at column {_column(text, rest)}: something follows the list's closing ]")


def _unique_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        keys["\0repeated"] = True  # said with the entry's line by whoever reads it
    return keys


def _term(line: int, source: str, entry: object, problems: Problems) -> Term | None:
    """One entry as a term, None when something is wrong with it."""
    if not isinstance(entry, dict):
        problems.add(line, 'an entry is an object such as {"term": …, "type": …, "category": …, "severity": …}')
        return None
    before = problems.count
    if "\0repeated" in entry:
        problems.add(line, "a key stands twice in this entry")
    kind = entry.get("type")
    allow = kind == TermType.ALLOW
    needed = ("term", "type") if allow else ("term", "type", "category", "severity")
    if missing := [key for key in needed if key not in entry]:
        problems.add(line, f"missing {', '.join(missing)}")

    def where(key: str) -> int:
        return line + source.count("\n", 0, max(0, source.find(f'"{key}"')))

    if "term" in entry:
        _check_text(entry, where("term"), problems)
    if "type" in entry and (not isinstance(kind, str) or kind not in set(TermType)):
        problems.add(where("type"), f"type must be one of {_TYPES}")
    if "category" in entry:
        _check_category(entry["category"], where("category"), problems, may_be_empty=allow)
    if "severity" in entry:
        check_severity(entry["severity"], where("severity"), problems)
    if problems.count > before or not isinstance(kind, str):
        return None
    return Term(entry["term"], TermType(kind), "" if allow else entry["category"].strip(), 1 if allow else entry["severity"], line)


def _check_text(entry: Mapping[str, object], line: int, problems: Problems) -> None:
    term = entry["term"]
    if isinstance(term, str):
        check(term, line, problems)
    else:
        problems.add(line, "the term must be text")


def _check_category(category: object, line: int, problems: Problems, *, may_be_empty: bool) -> None:
    if not isinstance(category, str):
        problems.add(line, "category must be text")
    elif not category.strip() and not may_be_empty:
        problems.add(line, "category is empty; name one, such as insult or threat")
    elif _is_broken(category):
        problems.add(line, "category has half a character (an unpaired surrogate)")
    elif len(category) > MAX_CATEGORY_LENGTH:
        problems.add(line, f"category has {len(category)} characters; {MAX_CATEGORY_LENGTH} is the most")


def _check_duplicates(terms: Iterable[Term], problems: Problems) -> None:
    """Two entries that match the same words: one of them would silently win. An `allow` beside a term is none: it overrules it."""
    first: dict[tuple[str, bool], int] = {}
    for term in terms:
        key = (fold(term.term), term.type is TermType.ALLOW)
        if key in first:
            problems.add(term.line, f"the same term as in line {first[key]} (case, accents and punctuation make no difference); keep one")
        else:
            first[key] = term.line


def _is_broken(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _entry(term: Term) -> dict[str, object]:
    if term.type is TermType.ALLOW:
        return {"term": term.term, "type": str(term.type)}
    return {"term": term.term, "type": str(term.type), "category": term.category, "severity": term.severity}


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _column(text: str, at: int) -> int:
    return at - text.rfind("\n", 0, at)


def _invalid(line: int, message: str) -> LexiconInvalid:
    return LexiconInvalid([LexiconProblem(line, message)])
