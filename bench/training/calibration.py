"""Makes probabilities of logits (Platt 1999), on texts of templates that the network they come from never saw."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from bench.training.corpus import Example, examples, word_lists
from bench.training.recipe import CATEGORIES, Training
from bot.scoring.network import Network, softmax

EACH = 40
"""Texts of a template."""
STEPS, RATE = 3000, 0.2
"""Of the descent; it moves in no digit that is kept after a third of them."""
CHATTER = 1000
"""Harmless texts of no template, for each member: about as many as benign look-alikes."""


class Calibration(NamedTuple):
    """How scores are made of logits, and how far they can be trusted."""

    scale: NDArray[np.float32]
    """Slopes and offsets of the outputs, shape (2 x outputs,)."""
    reliability: list[tuple[int, float, float]]
    """Of each tenth of the scale: texts, mean score, share that is abuse; abuse and the rest weighted alike."""


def calibrated(training: Training, arrays: dict[str, NDArray[Any]]) -> Calibration:
    """Fit on what each member left out. `arrays`: what the training gave."""
    texts: list[Example] = []
    logits = []
    for member in range(training.recipe.members):
        found = [
            *examples(training.left_out(member), word_lists(), EACH, training.recipe.seed + member),
            *training.chatter(CHATTER, member),
        ]
        one = {name: a[member : member + 1] if a.ndim > 1 else a for name, a in arrays.items()}
        network = Network({**one, "calibration": plain()}, {"version": "", "categories": CATEGORIES})
        logits.append(network.logits([e.text for e in found]))
        texts += found
    joined = np.concatenate(logits)
    toxic = np.array([float(e.target >= 0.5) for e in texts])
    slope, offset = _platt(joined[:, 0], toxic)
    scores = 1 / (1 + np.exp(-(joined[:, 0] * slope + offset)))
    named = [n for n, e in enumerate(texts) if e.category in CATEGORIES]
    slopes, offsets = _shares(joined[named, 1:], np.array([CATEGORIES.index(texts[n].category) for n in named]))
    return Calibration(np.array([slope, *slopes, offset, *offsets], np.float32), reliability(scores, toxic))


def reliability(scores: NDArray[Any], targets: NDArray[Any], bins: int = 10) -> list[tuple[int, float, float]]:
    """(texts, mean score, share of abuse) of each bin that holds any. `targets`: 0..1, as many ones as zeros by weight."""
    positive, negative = targets / targets.sum(), (1 - targets) / (1 - targets).sum()
    place = np.minimum((scores * bins).astype(int), bins - 1)
    found = []
    for n in range(bins):
        here = place == n
        weight = positive[here].sum() + negative[here].sum()
        if here.any():
            mean = float((scores[here] * (positive + negative)[here]).sum() / weight)
            found.append((int(here.sum()), round(mean, 3), round(float(positive[here].sum() / weight), 3)))
    return found


def plain() -> NDArray[np.float32]:
    """No calibration."""
    return np.repeat(np.array([1, 0], np.float32), 1 + len(CATEGORIES))


def _platt(logits: NDArray[Any], targets: NDArray[np.float64]) -> tuple[float, float]:
    """Both sides weigh the same."""
    weights = np.concatenate([targets / max(targets.sum(), 1e-9), (1 - targets) / max((1 - targets).sum(), 1e-9)])
    labels = np.repeat([1, 0], len(logits))
    model = LogisticRegression(C=1e6).fit(np.tile(logits, 2)[:, None], labels, sample_weight=weights * len(logits))
    return float(max(model.coef_[0, 0], 0.05)), float(model.intercept_[0])


def _shares(logits: NDArray[Any], truth: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes and offsets of the categories, so that their softmax says which one it is. Plain gradient descent.

    Each counts by its share of the templates: insults are the most common abuse, and what is in doubt is called one.
    """
    count = logits.shape[1]
    right = np.eye(count)[truth]
    slopes, offsets = np.ones(count), np.zeros(count)
    for _ in range(STEPS):
        error = (softmax(logits * slopes + offsets) - right) / len(truth)
        slopes = np.maximum(slopes - RATE * (error * logits).sum(0), 0.05)
        offsets -= RATE * error.sum(0)
    return slopes, offsets
