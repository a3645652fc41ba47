"""The words of a lexicon's terms, and what other spellings can be read as one of them."""

import re
from collections.abc import Iterable

_LEET = {
    "0": "o",
    "1": "il",
    "!": "il",
    "|": "il",
    "3": "e",
    "€": "e",
    "4": "a",
    "@": "a",
    "5": "s",
    "$": "s",
    "7": "t",
    "+": "t",
    "8": "b",
    "9": "g",
}
"""Digit or symbol → the letters that it is written for."""
_CLASSES = str.maketrans({**{c: letters[0] for c, letters in _LEET.items()}, "l": "i"})
_RUN = re.compile(r"(.)\1+", re.DOTALL)
_RUN_OR_LETTER = re.compile(r"(.)\1*", re.DOTALL)


class Vocabulary:
    """Every word that occurs in a lexicon's terms, as folded; immutable."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = frozenset(words)
        self.longest = max(map(len, self.words), default=0)
        """Characters of the longest word."""
        self._by_skeleton: dict[str, list[str]] = {}
        for word in sorted(self.words):
            self._by_skeleton.setdefault(skeleton(word), []).append(word)

    def respelled(self, word: str) -> list[str]:
        """Words of the vocabulary that a stretched or respelled word stands for."""
        return [known for known in self._by_skeleton.get(skeleton(word), ()) if reads_as(word, known)]


def skeleton(word: str) -> str:
    """What all spellings of a word share: each digit or symbol is its letter, 'l' is 'i' (for 1 is both), runs are single."""
    return _RUN.sub(r"\1", word.translate(_CLASSES))


def reads_as(word: str, target: str) -> bool:
    """Whether `word` spells `target` with digits and symbols for letters and letters stretched (three or more for any number).

    Follows the set of places that `word` can have been read up to, run by run of the target: len(word) x runs of the target at most.
    """
    reached = [0]
    for run in _RUN_OR_LETTER.finditer(target):
        reached = _advance(word, reached, run[0][0], len(run[0]))
    return bool(reached) and reached[-1] == len(word)


def _advance(word: str, reached: Iterable[int], letter: str, length: int) -> list[int]:
    """Where reading may stand after a run of `length` equal letters, when it stood at `reached` (ascending) before."""
    ends: set[int] = set()
    block_end = -1  # end of the stretch around the current start in which every character reads as the letter
    for start in reached:
        if start >= block_end:
            block_end = start
            while block_end < len(word) and (word[block_end] == letter or letter in _LEET.get(word[block_end], "")):
                block_end += 1
            ends.update(range(start + 3, block_end + 1))
        if start + length <= block_end:
            ends.add(start + length)
    return sorted(ends)
