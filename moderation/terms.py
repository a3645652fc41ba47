"""Lexicon entries, as files, commands and rows carry them."""

from dataclasses import dataclass
from enum import StrEnum


class TermType(StrEnum):
    """How a term matches."""

    WORD = "word"
    PHRASE = "phrase"
    ALLOW = "allow"
    """Whole words or phrases that never flag, even where another term matches inside them."""


@dataclass(frozen=True, slots=True)
class Term:
    """One lexicon entry."""

    term: str
    type: TermType
    category: str = ""
    """Empty for `allow`."""
    severity: int = 1
    """1 (mild) .. 10 (worst); ignored for `allow`."""
    line: int = 0
    """1-based line in the file it came from; 0 when from elsewhere."""
