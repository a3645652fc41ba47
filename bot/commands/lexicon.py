"""`python -m bot lexicon`: checks a lexicon file, makes one of somebody else's word list, or says what of it can be heard."""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bot.commands.env_file import add_env_file, given_env_file
from moderation.errors import LexiconInvalid
from moderation.terms import Term, TermType

EX_OK, EX_DATAERR, EX_CANTCREAT, EX_CONFIG = 0, 65, 73, 78
"""Exit codes of sysexits.h."""

FORMATS = ("surge", "dsojevic", "text", "csv")
"""The keys of `moderation.lexicon_imports.FORMATS`, known here without importing it."""


LEXICON = (
    'a JSON lexicon: a list of {"term": …, "type": "word" or "phrase", "category": …, "severity": 1..10} and {"term": …, "type": "allow"}'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `validate FILE`, `import FILE --format F [--out FILE]` and `coverage FILE [--words] [--env-file FILE]`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    validate = actions.add_parser("validate", help="check a lexicon file: every problem with its line")
    validate.add_argument("file", type=Path, metavar="FILE", help=LEXICON)
    convert = actions.add_parser("import", help="make a lexicon of another word list")
    convert.add_argument("file", type=Path, metavar="FILE", help="the word list")
    convert.add_argument(
        "--format",
        required=True,
        choices=FORMATS,
        help="surge or dsojevic: those public lists; text: a term a line, each of severity 5, which alerts; csv: with a header, term and, "
        "if wanted, type, category, severity",
    )
    convert.add_argument("--out", type=Path, metavar="FILE", help="where the lexicon goes; standard output when left out")
    coverage = actions.add_parser("coverage", help="which terms the configured speech model cannot hear")
    coverage.add_argument("file", type=Path, metavar="FILE", help="a JSON lexicon")
    add_env_file(coverage)
    coverage.add_argument("--words", action="store_true", help="show the terms, and what sounds alike; without it, lines only")


def run(args: argparse.Namespace) -> int:
    """Run it: 0, or 65 when the file has problems (each with its line), 73 when the result cannot be written, 78 without a model."""
    try:
        if args.action == "coverage":
            return _coverage(args.file, given_env_file(args), words=args.words)
        return _validate(args.file) if args.action == "validate" else _import(args.file, args.format, args.out)
    except LexiconInvalid as error:
        for problem in error.problems:
            _say(f"{args.file}: {problem}")
        return EX_DATAERR


def _validate(path: Path) -> int:
    from moderation.lexicon_files import load  # noqa: PLC0415 (stays off `--help`)

    terms = load(path)
    sys.stdout.write(_summary(terms))
    sys.stdout.write(f"{path} is a valid lexicon.\n")
    _doubt(terms)
    return EX_OK


def _import(path: Path, format_: str, out: Path | None) -> int:
    from moderation.lexicon_files import dump  # noqa: PLC0415
    from moderation.lexicon_imports import import_terms  # noqa: PLC0415

    imported = import_terms(path, format_)
    text = dump(imported.terms)
    if out is None:
        sys.stdout.write(text)
    else:
        try:
            _replace(out, text)
        except OSError as error:
            _say(f"{out} cannot be written: {error.strerror}")
            return EX_CANTCREAT
    sys.stderr.write(_summary(imported.terms))
    _doubt(imported.terms)
    _say(f"left out: {imported.repeated} that match the same words as another, {imported.numbers} that are only digits.")
    if out is not None:
        _say(f"written to {out}; name it in FLAG_TERMS_PATH to use it.")
    return EX_OK


def _coverage(path: Path, env_file: Path, *, words: bool) -> int:
    from bot.commands.lexicon_coverage import coverage  # noqa: PLC0415
    from config.settings import InvalidSettings  # noqa: PLC0415
    from moderation.errors import ModelMissing  # noqa: PLC0415

    try:
        return coverage(path, env_file, words=words)
    except (ModelMissing, InvalidSettings) as error:
        _say(str(error))
        return EX_CONFIG


def _doubt(terms: Sequence[Term]) -> None:
    if all(term.type is TermType.ALLOW for term in terms):
        _say("warning: it has no term that flags, so with it the lexicon finds nothing.")


def _summary(terms: Sequence[Term]) -> str:
    """How many terms of each category there are, by severity; never a term."""
    flagging = [t for t in terms if t.type is not TermType.ALLOW]
    counts = Counter((t.category, t.severity) for t in flagging)
    categories = sorted({t.category for t in flagging})
    severities = sorted({t.severity for t in flagging})
    rows = [["category", *(f"severity {s}" for s in severities), "all"]]
    for category in [*categories, None]:
        numbers = [sum(n for (c, s), n in counts.items() if s == severity and category in {None, c}) for severity in severities]
        rows.append([category or "all", *map(str, numbers), str(sum(numbers))])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join([row[0].ljust(widths[0]), *(v.rjust(w) for v, w in zip(row[1:], widths[1:], strict=True))]) for row in rows]
    kinds = Counter(t.type for t in terms)
    told = ", ".join(f"{kinds[kind]:,} {name}" for kind, name in _KINDS.items())
    return "\n".join([*table, "", f"{len(terms):,} entries: {told}."]) + "\n"


_KINDS = {TermType.WORD: "words", TermType.PHRASE: "phrases", TermType.ALLOW: "allowed"}


def _replace(path: Path, text: str) -> None:
    """Write a whole file or nothing: whoever watches it never reads half of it."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
