"""Other people's word lists as terms of a lexicon.

| format | file | terms |
| --- | --- | --- |
| `text` | one term a line, `#` starts a comment | category `custom`, severity 5 |
| `csv` | header with `term` and, if wanted, `type`, `category`, `severity` | as it says, else as in `text` |
| `surge` | CSV of surge-ai/profanity: `text`, `category_1`, `severity_rating` 1 .. 3 | 3 x rating - 1: 2 (mild), 5 (strong), 8 (severe) |
| `dsojevic` | the JSON of dsojevic/profanity-list: `match` ("a|b*c"), `tags`, `severity` 1 .. 4 | severities 2, 4, 7, 9 |

Their categories become ours: `hate` (race, orientation, gender, disability), `sexual`, `profanity`, `insult`. Terms that are only digits
are left out (people say numbers), and so are repetitions, of which the worse one stays. `*` (repeat the letter) and exceptions of
dsojevic's list are not needed: stretched letters are folded anyway, and only whole words match.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from moderation.detectors.normalise import fold
from moderation.lexicon_files import MAX_CATEGORY_LENGTH, MAX_TERMS, Problems, check, check_severity, entries, read_text
from moderation.terms import Term, TermType

DEFAULT_CATEGORY = "custom"
DEFAULT_SEVERITY = 5

_SURGE = {
    "sexual anatomy / sexual acts": "sexual",
    "racial / ethnic slurs": "hate",
    "sexual orientation / gender": "hate",
    "mental disability": "hate",
    "physical disability": "hate",
    "bodily fluids / excrement": "profanity",
    "religious offense": "profanity",
    "other / general insult": "insult",
    "animal references": "insult",
    "political": "insult",
    "physical attributes": "insult",
}
_DSOJEVIC = {"racial": "hate", "lgbtq": "hate", "sexual": "sexual", "shock": "sexual", "religious": "profanity", "general": "profanity"}
"""In the order of weight: of several tags the first of these counts."""
_DSOJEVIC_SEVERITY = {1: 2, 2: 4, 3: 7, 4: 9}


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a foreign list."""

    terms: tuple[Term, ...]
    repeated: int
    """Entries left out because another one matches the same words."""
    numbers: int
    """Entries left out because they are only digits."""


def import_terms(path: Path, format: str) -> Imported:
    """Read a foreign word list; `format`: a key of `FORMATS`. Raises `LexiconInvalid` with everything wrong in it, with lines."""
    return import_text(read_text(path), format)


def import_text(text: str, format: str) -> Imported:
    """The same of a file's content."""
    if format not in FORMATS:
        raise ValueError(f"no such format; there are {', '.join(FORMATS)}")
    problems = Problems()
    best: dict[tuple[str, bool], Term] = {}
    seen = numbers = 0
    for term in FORMATS[format](text, problems):
        if not check(term.term, term.line, problems) or not check_severity(term.severity, term.line, problems):
            continue
        key = (fold(term.term), term.type is TermType.ALLOW)
        if key[0].replace(" ", "").isdigit():
            numbers += 1
            continue
        seen += 1
        if key not in best or best[key].severity < term.severity:
            best[key] = term
        if len(best) > MAX_TERMS:
            problems.add(term.line, f"more than {MAX_TERMS:,} terms; split the list")
            break
    problems.raise_if_any()
    return Imported(tuple(best.values()), seen - len(best), numbers)


def _text(text: str, problems: Problems) -> Iterator[Term]:
    for number, line in enumerate(text.splitlines(), 1):
        if term := line.partition("#")[0].strip():
            yield _make(term, DEFAULT_CATEGORY, DEFAULT_SEVERITY, number)


def _csv(text: str, problems: Problems) -> Iterator[Term]:
    for line, row in _rows(text, ("term",), problems):
        kind = row.get("type", "").strip().lower()
        if kind and kind not in set(TermType):
            problems.add(line, f"type must be one of {', '.join(TermType)}")
            continue
        category = row.get("category", "").strip() or DEFAULT_CATEGORY
        if len(category) > MAX_CATEGORY_LENGTH:
            problems.add(line, f"category has {len(category)} characters; {MAX_CATEGORY_LENGTH} is the most")
            continue
        severity = _number(row.get("severity", "").strip() or str(DEFAULT_SEVERITY))
        if severity is None or severity != int(severity):
            problems.add(line, "severity must be a whole number from 1 (mild) to 10 (worst)")
            continue
        term = _make(row["term"].strip(), category, int(severity), line)
        if kind == TermType.ALLOW:
            yield replace(term, type=TermType.ALLOW, category="", severity=1)
        else:
            yield replace(term, type=TermType(kind)) if kind else term


def _surge(text: str, problems: Problems) -> Iterator[Term]:
    for line, row in _rows(text, ("text", "category_1", "severity_rating"), problems):
        rating = _number(row["severity_rating"])
        if rating is None or not 1 <= rating <= 3:
            problems.add(line, "severity_rating must be a number from 1 to 3")
        else:
            yield _make(row["text"].strip(), _SURGE.get(row["category_1"].strip(), "profanity"), round(3 * rating - 1), line)


def _dsojevic(text: str, problems: Problems) -> Iterator[Term]:
    for line, _, entry in entries(text):
        match entry:
            case {"match": str(alternatives), "tags": list(tags), "severity": int(rating)} if rating in _DSOJEVIC_SEVERITY:
                category = next((ours for theirs, ours in _DSOJEVIC.items() if theirs in tags), "profanity")
                for term in alternatives.replace("*", "").split("|"):
                    yield _make(term.strip(), category, _DSOJEVIC_SEVERITY[rating], line)
            case _:
                problems.add(line, "an entry needs match (text), tags (list) and severity (1 to 4)")


FORMATS: dict[str, Callable[[str, Problems], Iterator[Term]]] = {"surge": _surge, "dsojevic": _dsojevic, "text": _text, "csv": _csv}
"""Name → reader of a file's text; a reader tells what it cannot read and goes on."""


def _make(term: str, category: str, severity: int, line: int) -> Term:
    return Term(term, TermType.PHRASE if " " in fold(term) else TermType.WORD, category, severity, line)


def _rows(text: str, columns: tuple[str, ...], problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV with a header; a row's line is the one it starts in. What a short row lacks is empty."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    read = 0
    try:
        for row in reader:
            line, read = read + 1, reader.line_num
            if header is None and row:
                header = [name.strip().lower() for name in row]
                if missing := [c for c in columns if c not in header]:
                    problems.add(line, f"the header lacks {', '.join(missing)}")
                    return
            elif header is not None and row:
                yield line, dict(zip_longest(header, row[: len(header)], fillvalue=""))
    except csv.Error as error:
        problems.add(reader.line_num, f"not CSV: {error}")
    if header is None:
        problems.add(1, f"the file is empty; its first line names the columns {', '.join(columns)}")


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*\d{1,3}(\.\d{1,6})?\s*", text) else None
