"""Folding: what different spellings of the same words have in common, with offsets into the original text.

    "Shût  UP, you'll..."  ─ fold ─▶  shut · up · you          (tokens, each knows where it stands)

Folded away: case, accents, compatibility forms (full-width, mathematical, ligatures), invisible characters, letters of other alphabets
that pass for Latin ones inside a Latin word, punctuation, apostrophes ("don't" is "dont"; the endings 's, 'll and 'd are left off, so
"he'll" is "he" and never "hell"). This much is always safe. Readings that need evidence and a lexicon to agree with (digits for letters,
stretched, masked, spelled-out and split words) are made in `decipher.py`. Only whole words count, so languages written without spaces
are matched where their punctuation and the term agree.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple


class Token(NamedTuple):
    """A folded word and where it stands."""

    text: str
    start: int
    """Offset of its first character in the folded text (`Folded.span` leads back to the original)."""
    end: int


class Folded(NamedTuple):
    """Folded characters and where each came from. In ASCII texts every character stays in its place and `spans` is None."""

    text: str
    spans: Sequence[tuple[int, int]] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """A range of `text` (not empty), in offsets of the original."""
        return (start, end) if self.spans is None else (self.spans[start][0], self.spans[end - 1][1])


_ENDING = r"'(?:s|ll|d)(?![^\W_])"
_WORD = re.compile(rf"[^\W_]+(?:(?!{_ENDING})'[^\W_]+)*(?:{_ENDING})?")
_ASCII_WORD = re.compile(_WORD.pattern, re.ASCII)
_PLAIN = re.compile(r"[a-z0-9]+")

_APOSTROPHES = "\u2018\u2019\u201b\u02bc\u02b9\u02bb\u0060\u00b4\u2032\uff07"
_INVISIBLE_LETTERS = "\u115f\u1160\u3164\uffa0"  # Hangul fillers: letters by category, blank on the screen
_SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True))
_OTHER = {
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_INVISIBLE_LETTERS, ""),
    **dict.fromkeys("™℠", " "),
    **dict(zip("øđłħŧıɑɡɩ", "odlhtiagi", strict=True)),
    **{"æ": "ae", "œ": "oe", "þ": "th", "ð": "d"},
    **_SMALL_CAPITALS,
    # Letters in squares, circles and flags have no compatibility form in Unicode.
    **{chr(base + n): chr(97 + n) for base in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6) for n in range(26)},
}
"""Characters whose folding Unicode's own tables do not give."""
_CYRILLIC = dict(zip("авьԁеһіјкӏмноԛгѕтуѵԝхүрс", "abbdehijklmhoqrstyvwxypc", strict=True))
_GREEK = dict(zip("αβεηικνορτυχωγ", "abenikvoptuxwy", strict=True))
_LOOKALIKES = str.maketrans({**_CYRILLIC, **_GREEK})
"""Small letters that pass for Latin ones: a selection of Unicode's confusables (UTS 39)."""
_FOREIGN = re.compile(r"[\u0370-\u052f]")
_LATIN = re.compile(r"[a-z]")
_WITH_APOSTROPHES = re.compile(r"(?:[^\W_]|')+")

_OPTIONAL_MARKS = (
    *((0x0300, 0x036F), (0x0483, 0x0489), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670), (0x06D6, 0x06ED)),
    *((0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F), (0xE0100, 0xE01EF)),
)
"""Combining marks that a reader can do without: accents, Hebrew points, Arabic vowels, variation selectors."""
_VOWEL_SIGN = "\ua66e"
"""With the mark's number, stands for marks that are kept (Indic and Thai vowel signs): part of the word, but no letters to `re`."""


def fold(text: str) -> str:
    """The folded words with single spaces between them. Idempotent."""
    return " ".join(fold_words(text))


def fold_words(text: str) -> list[str]:
    """The folded words of a text; the same as the tokens' texts, only faster."""
    if text.isascii():
        lowered = text.lower()
        if "'" not in lowered:
            return _PLAIN.findall(lowered)
        return [_bare(word) for word in _ASCII_WORD.findall(lowered)]
    return [_bare(match) for match in _WORD.findall(fold_characters(text).text)]


def tokens(folded: Folded) -> Iterator[Token]:
    """Folded words with their places in `folded.text`; none is empty."""
    pattern = _ASCII_WORD if folded.spans is None else _WORD
    for match in pattern.finditer(folded.text):
        word = match[0]
        length = word.rindex("'") if _has_ending(word) else len(word)
        yield Token(_bare(word), match.start(), match.start() + length)


def fold_characters(text: str) -> Folded:
    """Fold character by character: case, accents, compatibility forms, look-alikes. Words are not yet told apart."""
    if text.isascii():
        return Folded(text.lower(), None)
    characters: list[str] = []
    spans: list[tuple[int, int]] = []
    for n, character in enumerate(text):
        folded = _fold_character(character)
        if folded:
            characters.append(folded)
            spans.extend([(n, n + 1)] * len(folded))
        elif spans and spans[-1][1] == n:
            spans[-1] = (spans[-1][0], n + 1)  # an accent belongs to the letter before it
    joined = "".join(characters)
    return Folded(_WITH_APOSTROPHES.sub(_latinised, joined) if _FOREIGN.search(joined) else joined, spans)


def _latinised(match: re.Match[str]) -> str:
    """A word of Latin and Cyrillic or Greek letters, with look-alikes as Latin ones. Purely Cyrillic or Greek words are what they are."""
    word = match[0]
    return word.translate(_LOOKALIKES) if _FOREIGN.search(word) and _LATIN.search(word) else word


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    """What a character folds to: some lower-case letters or digits, an apostrophe, a symbol, or nothing."""
    if character in _OTHER:
        return _OTHER[character]
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(_keep(c) for c in decomposed)


def _keep(character: str) -> str:
    if character in _OTHER:
        return _OTHER[character]
    category = unicodedata.category(character)
    if category == "Cf" or any(first <= ord(character) <= last for first, last in _OPTIONAL_MARKS):
        return ""
    if category in {"Mn", "Mc"}:
        return _VOWEL_SIGN + f"{ord(character):x}"
    return character if character.isprintable() else " "


def _has_ending(word: str) -> bool:
    return word.endswith(("'s", "'ll", "'d"))


def _bare(word: str) -> str:
    if "'" not in word:
        return word
    return (word.rpartition("'")[0] if _has_ending(word) else word).replace("'", "")
