"""Learns the weights that `bot/scoring/network.py` applies: the same network forwards, and backwards by hand.

Needs numpy and scipy's sparse matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bot.scoring.features import Entry, Reader, Rows, Vocabulary
from bot.scoring.network import FLAGS, convolved, features

Floats = NDArray[np.float32]
Weights = dict[str, Floats]
Features = tuple[list[int], list[float]]
"""Rows of the table that make up a token's vector, and how much of each."""

CATEGORY_SHARE = 0.3
"""How much a category counts in the loss, beside toxicity."""
DECAY = 0.01
"""Of the table and the dense layer, a step, times the rate."""


class Shape(NamedTuple):
    """How large the network is."""

    width: int = 32
    """Of a token's vector."""
    hidden: int = 64
    dense: int = 64


class Batch(NamedTuple):
    """Texts to learn from at once."""

    rows: Rows
    targets: Floats
    """Shape (texts, outputs); NaN where unknown."""
    weights: Floats
    """Shape (texts,)."""


class Rates(NamedTuple):
    """Of one step."""

    learning: float
    unknown: float
    """Share of words that are treated as if nobody knew them."""
    dropout: float
    """Share of the first layer's outputs left out; of the pooled ones, twice that."""


class Encoder:
    """Turns texts into rows and keeps what features each row has."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._features: list[Features] = [([], [])]
        self.reader = Reader(vocabulary, self._entered, capacity=10_000_000)

    def _entered(self, entry: Entry) -> None:
        self._features.append(features(entry, self.vocabulary))

    def matrix(self, table_rows: int) -> Any:  # noqa: ANN401 (scipy has no types)
        """Sparse, (2 x rows, features): all rows as they are, then all as unknown words. Row 0 is the gap."""
        flags = len(self.vocabulary.kinds) + 64
        bare = [_bare(each, flags) for each in self._features]
        return _sparse([*self._features, *bare], table_rows)


def _bare(each: Features, flags: int) -> Features:
    """What is left of a word that nobody knows: its letter groups, and the flag that says so."""
    kept = [(n, w) for n, w in zip(*each, strict=True) if n >= flags + FLAGS]
    return ([flags + 2, *(n for n, _ in kept)], [1.0, *(w for _, w in kept)]) if kept else each


def _sparse(rows: Sequence[Features], columns: int) -> Any:  # noqa: ANN401 (scipy has no types)
    starts = np.cumsum([0, *(len(ids) for ids, _ in rows)])
    ids = np.concatenate([np.array(each, np.int32) for each, _ in rows])
    data = np.concatenate([np.array(each, np.float32) for _, each in rows])
    return sparse.csr_matrix((data, ids, starts), shape=(len(rows), columns))


def initial(table_rows: int, outputs: int, shape: Shape, rng: np.random.Generator) -> Weights:
    """Random weights (He et al. 2015)."""
    w, h, d = shape
    spread = {
        "table": (0.1, (table_rows, w)),
        "first": ((2 / (3 * w)) ** 0.5, (3, w, h)),
        "second": ((2 / (3 * h)) ** 0.5, (3, h, h)),
        "dense": ((1 / h) ** 0.5, (2 * h, d)),
        "out": ((1 / d) ** 0.5, (d, outputs)),
    }
    drawn = {name: rng.normal(0, deviation, size).astype(np.float32) for name, (deviation, size) in spread.items()}
    biases = {"first_bias": h, "second_bias": h, "dense_bias": d, "out_bias": outputs}
    return {**drawn, **{name: np.zeros(n, np.float32) for name, n in biases.items()}}


@dataclass(frozen=True, slots=True)
class Pass:
    """What a batch gave on its way forwards."""

    x: Floats
    first: Floats
    second: Floats
    largest: Floats
    pooled: Floats
    dense: Floats
    logits: Floats
    keep_first: Floats
    keep_pooled: Floats


def forwards(a: Weights, rows: Rows, x: Floats, dropout: float, rng: np.random.Generator) -> Pass:
    """As `bot.scoring.network.Network.logits`, with parts left out. `x`: vectors of all words and gaps."""
    gaps = rows.tokens == 0
    first = np.maximum(convolved(x, a["first"]) + a["first_bias"], 0)
    first[gaps] = 0
    keep_first = _kept(first.shape, dropout, rng)
    first *= keep_first
    second = np.maximum(convolved(first, a["second"]) + a["second_bias"], 0)
    second[gaps] = 0
    largest = np.maximum.reduceat(second, rows.starts)
    pooled: Floats = np.concatenate([largest, np.add.reduceat(second, rows.starts) / _count(rows)], axis=1)
    keep_pooled = _kept(pooled.shape, 2 * dropout, rng)
    pooled *= keep_pooled
    dense = np.maximum(pooled @ a["dense"] + a["dense_bias"], 0)
    return Pass(x, first, second, largest, pooled, dense, dense @ a["out"] + a["out_bias"], keep_first, keep_pooled)


def _kept(shape: tuple[int, ...], dropout: float, rng: np.random.Generator) -> Floats:
    kept: Floats = (rng.random(shape, dtype=np.float32) >= dropout).astype(np.float32)
    kept /= np.float32(1 - dropout)
    return kept


def _count(rows: Rows) -> Floats:
    count: Floats = np.maximum(rows.lengths, 1)[:, None].astype(np.float32)
    return count


def loss(batch: Batch, logits: Floats) -> tuple[float, Floats]:
    """Cross entropy, and its gradient by the logits. Unknown targets cost nothing."""
    known = ~np.isnan(batch.targets)
    target = np.where(known, batch.targets, np.float32(0))
    scale = known * batch.weights[:, None] / np.float32(len(batch.weights))
    scale[:, 1:] *= np.float32(CATEGORY_SHARE)
    chance = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    cost = -(scale * (target * np.log(chance + 1e-9) + (1 - target) * np.log(1 - chance + 1e-9))).sum()
    return float(cost), ((chance - target) * scale).astype(np.float32)


def backwards(a: Weights, rows: Rows, p: Pass, by_logits: Floats) -> tuple[Weights, Floats]:
    """Gradients of all weights but the table, and of `x`."""
    g: Weights = {"out": p.dense.T @ by_logits, "out_bias": by_logits.sum(0)}
    by_dense = (by_logits @ a["out"].T) * (p.dense > 0)
    g["dense"], g["dense_bias"] = p.pooled.T @ by_dense, by_dense.sum(0)
    by_pooled = (by_dense @ a["dense"].T) * p.keep_pooled
    h = p.second.shape[1]
    owner = np.repeat(np.arange(len(rows.starts)), np.diff([*rows.starts, len(rows.tokens)]))
    owner = np.concatenate([[0], owner])  # the first gap is nobody's and counts as the first text's
    by_second = (p.second == p.largest[owner]) * by_pooled[owner, :h] + (by_pooled[:, h:] / _count(rows))[owner]
    by_first = _through(a, g, "second", p.first, by_second * (p.second > 0)) * p.keep_first
    return g, _through(a, g, "first", p.x, by_first * (p.first > 0))


def _through(a: Weights, g: Weights, layer: str, x: Floats, by_output: Floats) -> Floats:
    """Gradients of a convolution: its weights' go into `g`, its input's is returned."""
    w, d = a[layer], by_output
    g[layer] = np.stack([x[:-1].T @ d[1:], x.T @ d, x[1:].T @ d[:-1]])
    g[f"{layer}_bias"] = d.sum(0)
    back: Floats = d @ w[1].T
    back[:-1] += d[1:] @ w[0].T
    back[1:] += d[:-1] @ w[2].T
    return back


class Learner:
    """The weights while they are learnt (Adam; Kingma and Ba 2015)."""

    def __init__(self, table_rows: int, outputs: int, shape: Shape, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.weights = initial(table_rows, outputs, shape, self._rng)
        self._m = {name: np.zeros_like(value) for name, value in self.weights.items()}
        self._v = {name: np.zeros_like(value) for name, value in self.weights.items()}
        self._step = 0

    def learn(self, batch: Batch, matrix: Any, rates: Rates) -> float:  # noqa: ANN401 (scipy has no types)
        """One step; the loss before it. `matrix`: of the encoder."""
        types, places = np.unique(batch.rows.tokens, return_inverse=True)
        places = places.ravel()
        unknown = self._rng.random(len(types)) < rates.unknown
        inputs = matrix[types + unknown * (matrix.shape[0] // 2)]
        x = np.asarray(inputs @ self.weights["table"], np.float32)[places]
        p = forwards(self.weights, batch.rows, x, rates.dropout, self._rng)
        cost, by_logits = loss(batch, p.logits)
        g, by_x = backwards(self.weights, batch.rows, p, by_logits)
        ones = np.ones(len(places), np.float32)
        gathered = sparse.csr_matrix((ones, (places, np.arange(len(places)))), shape=(len(types), len(places))) @ by_x
        g["table"] = np.asarray(inputs.T @ gathered, np.float32)
        self._adam(g, rates.learning)
        return cost

    def _adam(self, g: Weights, rate: float) -> None:
        self._step += 1
        fix = (1 - 0.999**self._step) ** 0.5 / (1 - 0.9**self._step)
        for name, gradient in g.items():
            m, v = self._m[name], self._v[name]
            m *= 0.9
            m += 0.1 * gradient
            v *= 0.999
            v += 0.001 * gradient * gradient
            self.weights[name] -= (rate * fix) * m / (np.sqrt(v) + 1e-7)
            if name in {"table", "dense"}:
                self.weights[name] *= 1 - rate * DECAY
