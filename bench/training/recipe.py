"""The recipe: which words the model knows, what it learns from, in which order, and how it is calibrated."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.training import lexical, public
from bench.training.corpus import Example, Template, examples, templates, word_lists
from bench.training.network import Batch, Encoder, Learner, Rates, Shape
from bench.training.noise import spoken
from bot.scoring.features import GRAM_BUCKETS, Vocabulary, deletions, fold, word_hash, words
from bot.scoring.network import FLAGS, unpacked
from moderation.detectors.words import common_words

CATEGORIES = ("insult", "threat", "hate", "sexual", "self_harm")


@dataclass(frozen=True)
class Recipe:
    """What can be turned."""

    seed: int = 11
    epochs: int = 6
    each: int = 130
    """Texts of every template an epoch, freshly filled."""
    batch: int = 256
    rate: float = 0.004
    unknown: float = 0.12
    dropout: float = 0.1
    madlibs: int = 5_000
    chatter: int = 6_000
    """Harmless texts of no template an epoch."""
    members: int = 3
    """Networks that are taught apart and score together."""
    folds: int = 5
    """Each member never sees one template in so many, another than the others: calibration is done on those. 0: sees all."""
    shape: Shape = field(default_factory=Shape)
    without: tuple[str, ...] = ()
    """Sources left out: for measuring what carries over to them."""


WEIGHTS = {"davidson": 0.6, "surge": 1.0, "wikipedia": 0.7, "madlibs": 0.35, "terms": 0.8}
"""How much a text of a source counts; texts of templates count 1."""
NOT_KINDS = frozenset({"group_phrase", "chat_place", "quote_actor", "day_verb", "day_thing", "day_when", "day_how"})
OFTEN = frozenset({"everyday", "chat", "jabs", "group_plain", "look_negated", "look_counter"})
"""Families of templates that say much in few lines: ordinary talk, short lines of chat harmless and not, groups spoken of and defended."""
OFTEN_TIMES = 5
"""How many times more often they are filled than others."""
SHORT = 0.5
"""Share of the ordinary words in no order that are one to three words long: without them the scorer takes any short line for abuse."""
OWN_SHARE = 0.12
"""How much a text of ours counts in what words say by themselves, beside a text of a public set: ours are many and say little new."""
LISTED = 5
"""Letters from which a listed word is recognised with one letter wrong."""
FREQUENT = 4
"""Texts that hold a word before it has a row of its own."""


def kinds(own: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Kind → its words, of our lists and of the profanity lists."""
    found = {name: [fold(w) for w in ws if w.isalnum()] for name, ws in own.items() if name not in NOT_KINDS}
    for term, kind, severity in public.profanity():
        for name in (kind, f"severity:{max(1, round(3 * severity))}"):
            if " " not in term:
                found.setdefault(name, []).append(fold(term))
    return found


def vocabulary(texts: Iterable[str], own: Mapping[str, Sequence[str]]) -> dict[str, NDArray[Any]]:
    """Arrays of the model file that say which words it knows: those of lists, and those that the texts hold often."""
    lists = kinds(own)
    names = list(lists)
    if len(names) > 64:
        raise ValueError(f"{len(names)} kinds of words; a bit field has room for 64")
    masks: dict[str, int] = {}
    for bit, name in enumerate(names):
        for word in lists[name]:
            masks[word] = masks.get(word, 0) | 1 << bit
    counts = Counter(w for text in texts for w in set(words(text, masks.__contains__)))
    known = sorted(set(masks) | {w for w, n in counts.items() if n >= FREQUENT})
    known = list({word_hash(w): w for w in known}.values())
    near = {word_hash(d): n for n, w in enumerate(known) if w in masks and len(w) >= LISTED and w.isalpha() for d in deletions(w)}
    common = sorted({word_hash(w) for w in common_words()})
    return {
        "known": np.array([word_hash(w) for w in known], np.uint32),
        "kinds": np.array([masks.get(w, 0) for w in known], np.uint64),
        "common": np.array(common, np.uint32),
        "near": np.array(list(near), np.uint32),
        "owners": np.array(list(near.values()), np.uint16),
    }


def opened(arrays: dict[str, NDArray[Any]]) -> Vocabulary:
    """The vocabulary of those arrays."""
    result = Vocabulary(arrays["known"], unpacked(arrays["kinds"]), arrays["common"])
    result.expect(arrays["near"], arrays["owners"])
    return result


def public_examples(recipe: Recipe) -> list[Example]:
    """Texts of the public sets, those left out excepted."""
    sources: dict[str, Callable[[], list[Example]]] = {
        "davidson": public.davidson,
        "surge": public.surge,
        "wikipedia": public.wikipedia,
        "madlibs": lambda: public.madlibs(recipe.madlibs, recipe.seed),
        "terms": public.terms,
    }
    chance = random.Random(recipe.seed)  # noqa: S311 (training data)
    found = {name: load() for name, load in sources.items() if name not in recipe.without}
    if "davidson" in found:
        offensive = [e for e in found["davidson"] if e.target == public.DAVIDSON_TARGETS["1"]]
        others = [e for e in found["davidson"] if e.target != public.DAVIDSON_TARGETS["1"]]
        found["davidson"] = others + chance.sample(offensive, 5000)
    return [e for source in found.values() for e in source if e.text]


def _invented(chance: random.Random) -> str:
    """A word that there is not."""
    return "".join(chance.choice("aeiou" if n % 2 else "bcdfghjklmnprstvwxz") for n in range(chance.randint(3, 8)))


class Training:
    """One run of a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        lines: Sequence[Template] | None = None,
        avoid: Iterable[str] = (),
        lists: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`lines`, `lists`: templates and the words that fill them, all when None; `avoid`: texts kept for measuring, not learnt from."""
        self.recipe = recipe
        self._lines = templates() if lines is None else lines
        self._lists = word_lists() if lists is None else lists
        self._avoid = {" ".join(t.lower().split()) for t in avoid}
        self._public = public_examples(recipe)
        listed = {w for ws in kinds(self._lists).values() for w in ws}
        self._ordinary = sorted(common_words() - listed)
        sample = [e.text for e in self.epoch(0, self._lines)]
        self.arrays = vocabulary(sample, self._lists)
        self._encoder = Encoder(opened(self.arrays))

    def epoch(self, number: int, lines: Sequence[Template]) -> list[Example]:
        """The texts of one epoch, in their order, made of those templates."""
        chance = random.Random(self.recipe.seed * 1000 + number)  # noqa: S311 (training data)
        own = list(examples(lines, self._lists, self.recipe.each, chance.randrange(1 << 30)))
        often = [t for t in lines if t.family in OFTEN]
        own += examples(often, self._lists, OFTEN_TIMES * self.recipe.each, chance.randrange(1 << 30))
        benign = [e for e in own if e.target < 0.1]
        mixed = [self._with_more(e, benign, chance) for e in own]
        mixed += [self._chatter(benign, chance) for _ in range(self.recipe.chatter)]
        found = [e._replace(text=spoken(e.text, chance)) for e in mixed if e.text] + self._public
        found = [e for e in found if " ".join(e.text.lower().split()) not in self._avoid]
        chance.shuffle(found)
        return found

    def _with_more(self, example: Example, benign: Sequence[Example], chance: random.Random) -> Example:
        """Sometimes with a harmless sentence before or after it: people go on talking."""
        if chance.random() > 0.12:
            return example
        other = chance.choice(benign)
        first, second = (example, other) if chance.random() < 0.5 else (other, example)
        worse = max(example, other, key=lambda e: e.target)
        return example._replace(text=f"{first.text} {second.text}", target=worse.target, category=worse.category)

    def chatter(self, count: int, seed: int) -> list[Example]:
        """Harmless texts as in training, others."""
        chance = random.Random(-1 - seed)  # noqa: S311 (calibration data)
        benign = [e for e in examples(self._lines, self._lists, 2, chance.randrange(1 << 30)) if e.target < 0.1]
        return [self._chatter(benign, chance) for _ in range(count)]

    def _chatter(self, benign: Sequence[Example], chance: random.Random) -> Example:
        """Harmless: some sentences in a row, or ordinary words in no order, names and typing errors among them."""
        if chance.random() < 0.4:
            text = " ".join(e.text for e in chance.sample(benign, chance.randint(2, 6)))
        else:
            short = chance.random() < SHORT
            drawn = chance.choices(self._ordinary, k=chance.randint(1, 3 if short else 14))
            text = " ".join(_invented(chance) if chance.random() < (0.3 if short else 0.1) else w for w in drawn)
        return Example(text, 0.02, "-", "chatter")

    def batch(self, found: Sequence[Example]) -> Batch:
        """Examples as the network takes them."""
        targets = np.full((len(found), 1 + len(CATEGORIES)), np.nan, np.float32)
        for n, e in enumerate(found):
            targets[n, 0] = e.target
            if e.category != "?" or e.target < 0.1:
                targets[n, 1:] = [e.category == c for c in CATEGORIES]
        weights = np.array([WEIGHTS.get(e.source, 1.0) for e in found], np.float32)
        return Batch(self._encoder.reader.rows(e.text for e in found), targets, weights)

    def run(self, told: Callable[[str], None] = lambda _: None) -> dict[str, NDArray[Any]]:
        """Learn; the arrays of the model file, `about` and calibration excepted. Then `left_out` says what each member never saw."""
        members = [self._member(n, told) for n in range(self.recipe.members)]
        return {**self.arrays, **{name: np.stack([m[name] for m in members]) for name in members[0]}}

    def left_out(self, member: int) -> list[Template]:
        """Templates that a member does not learn from."""
        folds = self.recipe.folds
        return [t for n, t in enumerate(self._lines) if folds and n % folds == member % folds]

    def _member(self, member: int, told: Callable[[str], None]) -> dict[str, NDArray[Any]]:
        recipe = self.recipe
        kept = set(self.left_out(member))
        lines = [t for t in self._lines if t not in kept]
        rows = len(self.arrays["known"]) + 64 + FLAGS + GRAM_BUCKETS
        learner = Learner(rows, 1 + len(CATEGORIES), recipe.shape, recipe.seed + member)
        for n in range(recipe.epochs):
            found = self.epoch(1 + n + member * recipe.epochs, lines)
            batches = [self.batch(found[i : i + recipe.batch]) for i in range(0, len(found), recipe.batch)]
            matrix = self._encoder.matrix(rows)
            losses = []
            for k, batch in enumerate(batches):
                done = (n + k / len(batches)) / recipe.epochs
                rate = recipe.rate * min(1.0, 10 * done + 0.1) * (1 - 0.97 * done)
                losses.append(learner.learn(batch, matrix, Rates(rate, recipe.unknown, recipe.dropout)))
            told(f"network {member + 1} of {recipe.members}, epoch {n + 1} of {recipe.epochs}: loss {np.mean(losses[-100:]):.4f}")
            if n == recipe.epochs - 1:
                told(f"network {member + 1} of {recipe.members}: what words say by themselves")
                said = self._lexical(found, matrix)
        return {**learner.weights, "lexical": said}

    def _lexical(self, found: Sequence[Example], matrix: Any) -> NDArray[np.float32]:  # noqa: ANN401 (scipy has no types)
        rows = self._encoder.reader.rows(e.text for e in found)
        weights = [WEIGHTS.get(e.source, OWN_SHARE) for e in found]
        return lexical.fitted(lexical.texts(rows, matrix[: matrix.shape[0] // 2]), [e.target for e in found], weights)
