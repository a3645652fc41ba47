"""What the loaded speech model can hear of a lexicon, and what it writes instead of the words that it does not know.

A recogniser only ever writes words of its vocabulary: a term with another word in it flags nobody, however often it is said.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from moderation.detectors.matching import Lexicon
from moderation.detectors.normalise import fold, fold_words
from moderation.detectors.words import common_words
from moderation.soundalikes import SoundAlikes
from moderation.terms import Term, TermType

MAX_OFFERS = 8
"""Variants offered for one term."""
MAX_UNHEARD_WORDS = 3
"""Unknown words of a phrase up to which variants are looked for: with more, nothing of it would be left."""
MAX_VARIANT_LENGTH = 100
"""Characters of a variant: what a choice in Discord's menus may have."""


class Vocabulary(Protocol):
    """The words that the speech model can write."""

    def hears(self, word: str) -> bool:
        """Whether the word is one of them."""
        ...

    def words(self) -> Sequence[str] | None:
        """All of them, None where the model does not list them. Reads files: call it in a thread."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A variant of a term that the model can write."""

    term: Term
    same_letters: bool
    """The term's own letters in two words. Others are other words that only sound alike, and most people who say them mean them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What becomes of a term when somebody says it."""

    unheard: tuple[str, ...] = ()
    """Its words that the model does not know; empty: it can be heard."""
    found_as: tuple[str, ...] = ()
    """What the model may write instead that is flagged already ("dumb ass" for "dumbass"): no variant is needed for it."""
    offers: tuple[Offer, ...] = ()
    """Variants that could be added, the likeliest first."""
    common_only: bool = False
    """The model does not list its words: only everyday English words were looked at."""


@dataclass(frozen=True, slots=True)
class UnheardTerm:
    """A term of a lexicon that the model cannot hear."""

    term: Term
    words: tuple[str, ...]
    own: bool
    """One of the guild's own terms, not of the shared lexicon."""


@dataclass(frozen=True, slots=True)
class HearingReport:
    """What of a lexicon can be heard."""

    terms: int
    """Terms looked at; `allow` terms do not count."""
    unheard: tuple[UnheardTerm, ...]
    """The worst first."""

    @property
    def by_category(self) -> list[tuple[str, int]]:
        """Category and number of unheard terms, most first."""
        return sorted(Counter(u.term.category for u in self.unheard).items(), key=lambda item: (-item[1], item[0]))

    @property
    def by_severity(self) -> list[tuple[int, int]]:
        """Severity and number of unheard terms, the worst first."""
        return sorted(Counter(u.term.severity for u in self.unheard).items(), reverse=True)


class Hearing:
    """Answers for one loaded model. The index of sound-alikes is built at the first question that needs it, once, in a thread."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._lock = asyncio.Lock()
        self._index: SoundAlikes | None = None
        self._common_only = False

    def unheard(self, text: str) -> tuple[str, ...]:
        """The words of a term that the model does not know, in order, without repetitions."""
        words = text.lower().replace("\u2019", "'").split()
        folded = [fold_words(word) for word in words]
        missing = [piece for word, pieces in zip(words, folded, strict=True) if not self._knows(word) for piece in pieces]
        return tuple(dict.fromkeys(piece for piece in missing if not self._knows(piece)))

    async def of(self, term: Term, *, sounding_severity: int) -> Heard:
        """What becomes of one term, and what could be added for it.

        Args:
            term: `allow` terms are asked about like others.
            sounding_severity: the most that variants get which only sound alike: below what alerts, for they are other words.
        """
        unheard = self.unheard(term.term)
        if not unheard:
            return Heard()
        if len(unheard) > MAX_UNHEARD_WORDS:
            return Heard(unheard)
        index = await self._built()
        return await asyncio.to_thread(self._variants, index, term, unheard, sounding_severity)

    async def report(self, shared: Iterable[Term], own: Iterable[Term]) -> HearingReport:
        """Which terms of a lexicon cannot be heard. Takes about a second for 100,000 terms, in a thread."""
        return await asyncio.to_thread(self._report, tuple(shared), tuple(own))

    def _knows(self, word: str) -> bool:
        return self._vocabulary.hears(word)

    async def _built(self) -> SoundAlikes:
        async with self._lock:
            if self._index is None:
                self._index = await asyncio.to_thread(self._build)
            return self._index

    def _build(self) -> SoundAlikes:
        words = self._vocabulary.words()
        self._common_only = words is None
        return SoundAlikes(words if words is not None else filter(self._knows, sorted(common_words())))

    def _variants(self, index: SoundAlikes, term: Term, unheard: Sequence[str], sounding_severity: int) -> Heard:
        lexicon = Lexicon([replace(term, type=TermType.WORD if term.type is TermType.WORD else TermType.PHRASE, category="x")])
        found_as: list[str] = []
        offers: list[Offer] = []
        for text, same_letters in self._texts(index, term.term, unheard):
            if lexicon.match(text):
                found_as.append(text)
            elif len(text) <= MAX_VARIANT_LENGTH:
                kind = term.type if term.type is TermType.ALLOW else TermType.PHRASE if " " in text else TermType.WORD
                severity = term.severity if same_letters else min(term.severity, max(1, sounding_severity))
                offers.append(Offer(Term(text, kind, term.category, severity), same_letters))
        return Heard(tuple(unheard), tuple(found_as), tuple(offers[:MAX_OFFERS]), self._common_only)

    def _texts(self, index: SoundAlikes, text: str, unheard: Sequence[str]) -> list[tuple[str, bool]]:
        """The term with each unknown word replaced by its first sound-alike, then by its second, and so on; and whether letters stayed."""
        near = {word: index.near(word, MAX_OFFERS * 2) for word in unheard}
        words = fold_words(text)
        texts: dict[str, bool] = {}
        for n in range(max(map(len, near.values()))):
            chosen = {word: found[min(n, len(found) - 1)] for word, found in near.items() if found}
            if len(chosen) == len(near):
                replaced = " ".join(chosen[word].text if word in chosen else word for word in words)
                texts.setdefault(replaced, all(each.spelled for each in chosen.values()))
        return list(texts.items())

    def _report(self, shared: Sequence[Term], own: Sequence[Term]) -> HearingReport:
        replaced = {fold(term.term) for term in own}
        both = [*((term, True) for term in own), *((term, False) for term in shared if fold(term.term) not in replaced)]
        flagging = [(term, mine) for term, mine in both if term.type is not TermType.ALLOW]
        unheard = [UnheardTerm(term, words, mine) for term, mine in flagging if (words := self.unheard(term.term))]
        unheard.sort(key=lambda u: (-u.term.severity, u.term.category, u.term.term))
        return HearingReport(len(flagging), tuple(unheard))
