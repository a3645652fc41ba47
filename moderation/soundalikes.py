"""Words of a vocabulary that sound like a word which is not in it: what a recogniser with that vocabulary writes instead.

    word → sounds → key ─▶ words with that key, then with every key one change away ─▶ ranked by the distance of their sounds
                        └▶ the same for both halves, wherever the word can be cut in two

An index of n words holds n references and at most n keys; a search looks up some hundred keys and compares at most `MAX_COMPARED` words.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from moderation.detectors.words import common_words
from moderation.phonetics import distance, key, sounds

MAX_WORDS = 1_000_000
"""Words of a vocabulary that are indexed; the largest public models know some 300,000."""
MAX_LENGTH = 40
"""Letters of a word that is indexed or looked for."""
MAX_SAID_BY_LETTER = 4
"""Letters of a word that people may say one by one, as they do with short forms."""
MAX_COMPARED = 6_000
"""Words that one search compares; those with the word's own key come first."""
MAX_HALVES = 60
"""Words that are compared for each half of a cut."""
MAX_ALPHABET = 80
"""Characters of keys that are tried as a change, the commonest: Latin words have 12."""
FARTHEST = 0.4
"""Distance from which words are not alike any more: in the measurement, what lies beyond is hardly ever what the model wrote."""
_CUT = 0.08
"""Added to the distance of two words for one: recognisers prefer the single word."""
_RARE = 0.06
"""Added for words that are not everyday ones: recognisers prefer those."""


@dataclass(frozen=True, slots=True, order=True)
class SoundAlike:
    """A word of the vocabulary, or two, that sound like the word looked for."""

    distance: float
    """0: the same sounds; see `moderation.phonetics.distance`."""
    text: str
    spelled: bool = False
    """The same letters: in two words ("bird brain" for "birdbrain"), or said one by one ("k y s")."""


class SoundAlikes:
    """An index of a vocabulary; immutable. Building it takes about 6 µs a word."""

    def __init__(self, words: Iterable[str]) -> None:
        """`words`: the vocabulary; more than `MAX_WORDS` are left out, and so are words that no sound is known of."""
        self._by_key: dict[str, list[str]] = {}
        self._words: set[str] = set()
        self.compared = 0
        """Words compared in all searches so far."""
        for word in islice(words, MAX_WORDS):
            if len(word) <= MAX_LENGTH and (heard := sounds.__wrapped__(word)):
                self._words.add(word)
                self._by_key.setdefault(key(heard), []).append(word)
        letters = Counter(character for each in self._by_key for character in each)
        self._alphabet = [character for character, _ in letters.most_common(MAX_ALPHABET)]

    def __len__(self) -> int:
        """Words in it."""
        return len(self._words)

    def near(self, word: str, limit: int = 8) -> list[SoundAlike]:
        """The nearest, best first: single words and pairs. Never the word itself."""
        word = word.lower()
        heard = sounds(word)
        if not heard or len(word) > MAX_LENGTH:
            return []
        found: dict[str, SoundAlike] = {}
        for each in [*self._spelled(word), *self._single(heard), *self._pairs(heard)]:
            known = found.get(each.text)
            if each.text != word and each.distance <= FARTHEST and (known is None or each < known):
                found[each.text] = each
        return sorted(found.values())[:limit]

    def _spelled(self, word: str) -> Iterator[SoundAlike]:
        if 1 < len(word) <= MAX_SAID_BY_LETTER and self._words.issuperset(word):
            yield SoundAlike(0.0, " ".join(word), spelled=True)
        for cut in range(2, len(word) - 1):
            if word[:cut] in self._words and word[cut:] in self._words:
                yield SoundAlike(0.0, f"{word[:cut]} {word[cut:]}", spelled=True)

    def _single(self, heard: str) -> list[SoundAlike]:
        return self._ranked(heard, islice(self._around(key(heard)), MAX_COMPARED))

    def _pairs(self, heard: str) -> Iterator[SoundAlike]:
        """Both halves must have their own key exactly: two words already leave much room."""
        for cut in range(2, len(heard) - 1):
            first, second = (self._half(half) for half in (heard[:cut], heard[cut:]))
            for a, b in zip(first, second, strict=False):
                share = (a.distance * cut + b.distance * (len(heard) - cut)) / len(heard)
                yield SoundAlike(share + _CUT, f"{a.text} {b.text}")

    def _half(self, heard: str) -> list[SoundAlike]:
        return self._ranked(heard, islice(self._by_key.get(key(heard), ()), MAX_HALVES))[:2]

    def _around(self, wanted: str) -> Iterator[str]:
        for each in dict.fromkeys((wanted, *_changed(wanted, self._alphabet))):
            yield from self._by_key.get(each, ())

    def _ranked(self, heard: str, words: Iterable[str]) -> list[SoundAlike]:
        common = common_words()
        ranked = []
        for word in words:
            self.compared += 1
            ranked.append(SoundAlike(distance(heard, sounds(word)) + (0.0 if word in common else _RARE), word))
        return sorted(ranked)


def _changed(wanted: str, alphabet: Iterable[str]) -> Iterator[str]:
    """Every key that is one change away: a character less, another one, one more."""
    for n in range(len(wanted) + 1):
        if n < len(wanted):
            yield wanted[:n] + wanted[n + 1 :]
            yield from (wanted[:n] + c + wanted[n + 1 :] for c in alphabet if c != wanted[n])
        yield from (wanted[:n] + c + wanted[n:] for c in alphabet)
