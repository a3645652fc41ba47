"""What evaders write instead of a word: digits for letters, stretching, masking, spelling out, splitting.

Each rule needs evidence in the text *and* a word of the lexicon (`Vocabulary`) that the evidence amounts to: ordinary text stays as it is.

    stretched   idiooooot             a letter three times or more stands for any number of it; twice is spelling ("book" is not "bok")
    respelled   1d10t  @ss  $h!t      digits and symbols for letters, only in words that have letters: 1337 and "2 9" stay numbers
    masked      id*ot  l**er          one or two stars inside a word of four characters or more
    spelled     i d i o t  i.d.i.o.t  three single letters or more in a row, the whole run, which must not spell a common word; in a longer
                                      run every word has four letters or more, and only stand-alone a, i, u, r, n, y, o may be left over
    split       id iot  i-diot        two to four neighbouring pieces that are together exactly one word of four letters or more, where at
                                      least one piece (of two letters or more) is no common word: "pen is", "as sad", "pass hit" stay apart

A text has one plain reading and, where rules apply, up to `MAX_READINGS` deciphered ones: the first has the first answer of every ambiguous
place, the second the second, and so on. Work is linear in the length of the text.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from string import ascii_lowercase
from typing import NamedTuple

from moderation.detectors.normalise import Token
from moderation.detectors.vocabulary import Vocabulary
from moderation.detectors.words import common_words

MAX_READINGS = 4
"""Deciphered readings of one text; an ambiguous place with more answers loses the last ones."""
MAX_MASKED = 32
"""Masked words looked into in one text; each costs up to 676 look-ups."""
MAX_PIECES = 4
"""Pieces a split word may have."""
MIN_SPLIT = 4
"""Letters of the shortest word that is put together again."""
MAX_GAP = 2
"""Characters between two pieces of a split word."""
MIN_SPELLED = 3
"""Letters of the shortest word that is read from single letters."""
MIN_SPELLED_PIECE = 4
"""The same, where the run holds more than that word."""
MAX_SPELLED_PIECE = 24
"""Letters of the longest word looked for where the run holds more than that word."""

_STAND_ALONE = frozenset("aiurnyo")

_STRETCHED = re.compile(r"([^\W\d_])\1\1")
_RESPELLED = re.compile(r"(?:[^\W_]|[@$€]|[!|+]{1,3}(?=[^\W_]|[@$€]))+")
_SYMBOL = re.compile(r"[\d@$€!|+]")
_MASKED = re.compile(r"(?<![^\W_])[^\W_]{1,24}(?:\*{1,2}|\*[^\W_]\*)[^\W_]{1,24}(?![^\W_]|\*)")
_EVIDENCE = re.compile(r"[\d@$€!|+]|([^\W\d_])\1\1")


class Reading(NamedTuple):
    """A word of the lexicon and the place it is read from."""

    start: int
    end: int
    word: str


def decipher(text: str, tokens: Sequence[Token], vocabularies: Sequence[Vocabulary]) -> list[list[Token]]:
    """Deciphered readings of a folded text whose plain reading is `tokens`; none where no rule applies."""
    found: set[Reading] = set()
    for vocabulary in vocabularies:
        if _EVIDENCE.search(text):
            found.update(_respelled(text, vocabulary))
        if "*" in text:
            found.update(_masked(text, vocabulary))
        found.update(_spelled(tokens, vocabulary))
        found.update(_split(tokens, vocabulary))
    return _compose(tokens, sorted(found, key=lambda r: (r.start, -r.end, r.word))) if found else []


def _respelled(text: str, vocabulary: Vocabulary) -> Iterator[Reading]:
    for match in _RESPELLED.finditer(text):
        word = match[0]
        if len(word) > 2 and (_is_leet(word) or _STRETCHED.search(word)):
            for known in vocabulary.respelled(word):
                if known != word:
                    yield Reading(match.start(), match.end(), known)


def _is_leet(word: str) -> bool:
    """Digits and symbols among letters; "$100" and "1337" are numbers."""
    return _SYMBOL.search(word) is not None and ("@" in word or any(c.isalpha() for c in word))


def _masked(text: str, vocabulary: Vocabulary) -> Iterator[Reading]:
    for n, match in enumerate(_MASKED.finditer(text)):
        if n == MAX_MASKED:
            return
        pieces = match[0].split("*")
        if len(match[0]) < 4:
            continue
        for letters in product(ascii_lowercase, repeat=len(pieces) - 1):
            word = pieces[0] + "".join(a + b for a, b in zip(letters, pieces[1:], strict=True))
            if word in vocabulary.words:
                yield Reading(match.start(), match.end(), word)


def _spelled(tokens: Sequence[Token], vocabulary: Vocabulary) -> Iterator[Reading]:
    first = 0
    for n in range(len(tokens) + 1):
        if n < len(tokens) and len(tokens[n].text) == 1:
            continue
        if n - first >= MIN_SPELLED:
            yield from _read_run(tokens[first:n], vocabulary)
        first = n + 1


def _read_run(run: Sequence[Token], vocabulary: Vocabulary) -> Iterator[Reading]:
    """Words in a run of single letters: the whole run is one word, or it is words (long ones, or stand-alone letters) from end to end."""
    spelled = "".join(t.text for t in run)
    whole = [spelled] if spelled in vocabulary.words else _spelled_with_effort(spelled, vocabulary)
    for word in whole:
        yield Reading(run[0].start, run[-1].end, word)
    if whole or spelled in common_words():
        return
    for start, end in _segments(spelled, vocabulary):
        yield Reading(run[start].start, run[end - 1].end, spelled[start:end])


def _spelled_with_effort(spelled: str, vocabulary: Vocabulary) -> list[str]:
    """Stretched or respelled and spelled out: about half letters, so that callouts ("a 5 5") are not read."""
    letters = sum(c.isalpha() for c in spelled)
    return vocabulary.respelled(spelled) if len(spelled) >= MIN_SPELLED_PIECE and 2 * letters + 1 >= len(spelled) else []


def _segments(spelled: str, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """The words (start, end) of the division of the run that has the fewest parts; empty where letters are left over."""
    best: list[tuple[int, int] | None] = [(0, 0), *[None] * len(spelled)]  # (parts, start of the last one)
    for end in range(1, len(spelled) + 1):
        for start in range(max(0, end - MAX_SPELLED_PIECE), end):
            before = best[start]
            if before is None or (best[end] or (before[0] + 2,))[0] <= before[0] + 1:
                continue
            length = end - start
            if spelled[start] in _STAND_ALONE if length == 1 else length >= MIN_SPELLED_PIECE and spelled[start:end] in vocabulary.words:
                best[end] = (before[0] + 1, start)
    words = []
    end = len(spelled) if best[-1] else 0
    while end and (last := best[end]):
        if end - last[1] > 1:
            words.append((last[1], end))
        end = last[1]
    return words


def _split(tokens: Sequence[Token], vocabulary: Vocabulary) -> Iterator[Reading]:
    common = common_words()
    odd = [len(t.text) > 1 and t.text not in common for t in tokens]
    for n, token in enumerate(tokens):
        if not any(odd[n : n + MAX_PIECES]) or not token.text.isalpha():
            continue
        joined, is_odd, end = token.text, odd[n], token.end
        for m in range(n + 1, min(n + MAX_PIECES, len(tokens))):
            piece = tokens[m]
            joined += piece.text
            is_odd = is_odd or odd[m]
            if len(joined) > vocabulary.longest or piece.start - end > MAX_GAP or not piece.text.isalpha():
                break
            end = piece.end
            if is_odd and len(joined) >= MIN_SPLIT and joined in vocabulary.words:
                yield Reading(token.start, end, joined)


def _compose(tokens: Sequence[Token], readings: Sequence[Reading]) -> list[list[Token]]:
    """Whole readings of the text: what was read lies over the tokens that it is read from."""
    layers: list[list[Reading]] = []
    for reading in readings:
        free = next((layer for layer in layers if layer[-1].end <= reading.start), None)
        if free is not None:
            free.append(reading)
        elif len(layers) < MAX_READINGS:
            layers.append([reading])
    return [_overlay(tokens, layer if n == 0 else _fill(layer, layers[0])) for n, layer in enumerate(layers)]


def _fill(layer: Sequence[Reading], first: Sequence[Reading]) -> list[Reading]:
    """A later layer, with the first one's readings wherever it has none of its own."""
    merged: list[Reading] = []
    own = iter([*layer, None])
    ahead = next(own)
    for reading in [*first, None]:
        while ahead is not None and (reading is None or ahead.start < reading.end):
            merged.append(ahead)
            ahead = next(own)
        if reading is not None and (not merged or merged[-1].end <= reading.start):
            merged.append(reading)
    return merged


def _overlay(tokens: Sequence[Token], readings: Sequence[Reading]) -> list[Token]:
    result: list[Token] = []
    n = 0
    for start, end, word in readings:
        while n < len(tokens) and tokens[n].end <= start:
            result.append(tokens[n])
            n += 1
        while n < len(tokens) and tokens[n].start < end:
            n += 1
        result.append(Token(word, start, end))
    return [*result, *tokens[n:]]
