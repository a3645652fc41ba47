"""From a text to the rows of a network's table: which words it holds, of which kinds, however they are spelled.

    "ur such a st upid n00b"  ─ split ─▶  ur · such · a · st · upid · n00b  ─ read ─▶  ur · such · a · stupid · noob

A word is looked up as it stands, then by other readings (digits for letters, stretched, inflected, run together, one letter wrong); a word
that has none keeps its letter groups, so that words nobody listed still say something. The vocabulary is a table of hashes: the model file
holds no word list. Needs numpy and the standard library only.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

GRAM_BUCKETS = 8192
"""Rows shared by all letter groups: a group's row is its hash modulo this."""
MAX_CHARACTERS = 2_000
"""Characters of a text that are read: two minutes of speech. What follows is left out."""
MAX_WORDS = 400
"""Words of a text that are read."""
LONGEST_WORD = 32
"""Characters of a word that are read."""

_WORD = re.compile(
    r"(?P<mask>[^\W_]*[*#]{2,}[^\W_]*|[^\W_]+[*#][^\W_]+)"
    r"|(?P<spelled>\b[^\W\d_](?:[ .\-_][^\W\d_]){2,}\b)"
    r"|(?P<word>[@$]?[^\W_]+(?:['@$!|]+[^\W_]+)*)"
    r"|(?P<asks>\?{2,})"
)
_PLAIN = re.compile(r"[a-z ]*").fullmatch
_SPELLED = re.compile(r"\b[a-z] [a-z] [a-z]\b").search
_LEET = str.maketrans("013457@$!|", "oieastasil")
_LEET_L = str.maketrans("013457@$!|", "oleastasll")
_RUN = re.compile(r"(.)\1{2,}")
_PAIR = re.compile(r"(.)\1+")
_DIGIT = re.compile(r"[0-9@$!|]")
_ENDINGS = (
    ("ies", "y"),
    ("es", ""),
    ("s", ""),
    ("ing", ""),
    ("ing", "e"),
    ("in", ""),
    ("ed", ""),
    ("ed", "e"),
    ("er", ""),
    ("y", ""),
    ("z", ""),
)
_APOSTROPHES = str.maketrans("\u2019\u02bc\u0060\u00b4", "''''")

MASK, NUMBER, ASKS = "<mask>", "<number>", "<asks>"
"""What stands for a starred-out word, for digits, for several question marks."""


def word_hash(word: str) -> int:
    """32 bits: with 50,000 words known, one unknown word in 80,000 is taken for one of them."""
    return crc32(word.encode())


def deletions(word: str) -> Iterator[str]:
    """The word with one letter left out; words that share one are a letter apart."""
    return (word[:n] + word[n + 1 :] for n in range(len(word)))


def grams(word: str) -> list[int]:
    """Buckets of its groups of three to five letters, the word's ends marked."""
    marked = f"^{word}$"
    return [crc32(marked[n : n + k].encode()) % GRAM_BUCKETS for k in (3, 4, 5) for n in range(len(marked) - k + 1)]


def fold(text: str) -> str:
    """Lower case without accents."""
    text = text[:MAX_CHARACTERS].lower().translate(_APOSTROPHES)
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


class Entry(NamedTuple):
    """What a word is read as."""

    word: str
    known: int
    """Its number in the vocabulary, -1 where it is in none."""
    respelled: bool
    """Another spelling of it than the usual."""
    common: bool
    """An ordinary word."""


class Vocabulary:
    """The words that a model knows. Immutable."""

    def __init__(self, known: NDArray[np.uint32], kinds: Sequence[Sequence[int]], common: NDArray[np.uint32]) -> None:
        """`known`: hashes of its words; `kinds`: of each, the kinds it is of; `common`: hashes of ordinary words."""
        self._known = {int(h): n for n, h in enumerate(known)}
        self._common = frozenset(common.tolist())
        self.kinds = tuple(tuple(k) for k in kinds)
        self._near: dict[int, int] = {}

    def expect(self, near: NDArray[np.uint32], owners: NDArray[np.uint16]) -> None:
        """`near`: hashes of known words with a letter left out; `owners`: which word each is of."""
        self._near = dict(zip(near.tolist(), owners.tolist(), strict=True))

    def number(self, word: str) -> int:
        """The word's number, -1 where it is unknown."""
        return self._known.get(word_hash(word), -1)

    def is_listed(self, word: str) -> bool:
        """Whether it is known and of some kind."""
        n = self.number(word)
        return n >= 0 and bool(self.kinds[n])

    def read(self, word: str) -> list[Entry]:
        """What a word says: one entry, or two where two words were written as one."""
        word = word[:LONGEST_WORD]
        n = self.number(word)
        common = word_hash(word) in self._common
        if n >= 0 or common:
            return [Entry(word, n, respelled=False, common=common)]
        for reading in _readings(word):
            n = self.number(reading)
            if n >= 0:
                return [Entry(reading, n, respelled=True, common=False)]
        near = self._one_letter_off(word)
        if near >= 0:
            return [Entry(word, near, respelled=True, common=False)]
        return self._halves(word) or [Entry(word, -1, respelled=False, common=False)]

    def _one_letter_off(self, word: str) -> int:
        if len(word) < 5 or not word.isalpha():
            return -1
        for candidate in (word, *deletions(word)):
            n = self._near.get(word_hash(candidate), -1)
            if n >= 0:
                return n
            n = self.number(candidate)
            if n >= 0 and self.kinds[n]:
                return n
        return -1

    def _halves(self, word: str) -> list[Entry]:
        for cut in range(3, len(word) - 2):
            left, right = self.number(word[:cut]), self.number(word[cut:])
            if left >= 0 and right >= 0 and (self.kinds[left] or self.kinds[right]):
                return [Entry(word[:cut], left, respelled=True, common=False), Entry(word[cut:], right, respelled=True, common=False)]
        return []


def _readings(word: str) -> Iterator[str]:
    """Other words that this one may be a spelling of, likeliest first."""
    forms = [word]
    if _DIGIT.search(word):
        forms = [word.translate(_LEET), word.translate(_LEET_L), _DIGIT.sub("", word)]
    for form in forms:
        yield form
        if _PAIR.search(form):
            yield _RUN.sub(r"\1", form)
            yield _RUN.sub(r"\1\1", form)
            yield _PAIR.sub(r"\1", form)
        for ending, instead in _ENDINGS:
            if form.endswith(ending) and len(form) - len(ending) >= 3:
                yield form[: -len(ending)] + instead


def words(text: str, is_listed: Callable[[str], bool]) -> Iterator[str]:
    """The words of a text. Letters with spaces or dots between them are one word where it `is_listed`."""
    folded = fold(text)
    if _PLAIN(folded) and not _SPELLED(folded):
        yield from folded.split()
        return
    for match in _WORD.finditer(folded):
        kind = match.lastgroup
        found = match[0]
        if kind == "word":
            yield NUMBER if found.isdigit() else found.replace("'", "") if "'" in found else found
        elif kind == "mask":
            yield MASK
        elif kind == "asks":
            yield ASKS
        else:
            letters = re.findall(r"[^\W_]", found)
            joined = "".join(letters)
            yield from (joined,) if is_listed(joined) else letters


class Rows(NamedTuple):
    """Texts as rows of a table of token vectors, one after another, a gap (row 0) before, between and behind them."""

    tokens: NDArray[np.int32]
    """Shape (all words + texts + 1,)."""
    starts: NDArray[np.int64]
    """Of each text, where its first word stands; shape (texts,)."""
    lengths: NDArray[np.int64]
    """Of each text, its words; shape (texts,)."""


class Reader:
    """Turns texts into rows. A word gets its row when first seen; when there are too many, all are forgotten and counting begins anew."""

    def __init__(self, vocabulary: Vocabulary, entered: Callable[[Entry], None], capacity: int = 32_768) -> None:
        """`entered`: told of every new row, in order, from row 1. `capacity`: rows."""
        self.vocabulary = vocabulary
        self._entered = entered
        self._capacity = capacity
        self._rows: dict[str, tuple[int, ...]] = {}
        self._odd: set[str] = set()
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether `reset` is due."""
        return self._count >= self._capacity

    def reset(self) -> None:
        """Forget all words; the next row is 1 again."""
        self._rows.clear()
        self._odd.clear()
        self._count = 0

    def rows(self, texts: Iterable[str]) -> Rows:
        """The texts' rows."""
        tokens: list[int] = [0]
        starts: list[int] = []
        lengths: list[int] = []
        for text in texts:
            starts.append(len(tokens))
            tokens += self._text(text)
            lengths.append(len(tokens) - starts[-1])
            tokens.append(0)
        return Rows(np.array(tokens, np.int32), np.array(starts, np.int64), np.array(lengths, np.int64))

    def _text(self, text: str) -> list[int]:
        spoken = list(islice(words(text, self.vocabulary.is_listed), MAX_WORDS))
        known = self._rows
        found: list[int] = []
        for word in spoken:
            found += known.get(word) or self._enter(word)
        if self._odd.isdisjoint(spoken):
            return found
        return [row for word in self._joined(spoken) for row in known.get(word) or self._enter(word)]

    def _joined(self, spoken: Sequence[str]) -> Iterator[str]:
        """The words, those joined that are a listed word together and were split: one of them is no word."""
        n = 0
        while n < len(spoken):
            pair = spoken[n : n + 2]
            if len(pair) == 2 and not self._odd.isdisjoint(pair) and self.vocabulary.is_listed("".join(pair)):
                yield "".join(pair)
                n += 2
            else:
                yield spoken[n]
                n += 1

    def _enter(self, word: str) -> tuple[int, ...]:
        entries = self.vocabulary.read(word)
        for entry in entries:
            self._entered(entry)
        rows = tuple(range(self._count + 1, self._count + 1 + len(entries)))
        self._count += len(entries)
        if entries[0].known < 0 and not entries[0].common:
            self._odd.add(word)
        self._rows[word] = rows
        return rows
