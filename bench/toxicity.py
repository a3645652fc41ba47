"""The embedded toxicity scorer beside alt-profanity-check and better-profanity: how well it ranks texts it never saw, and how fast it is.

The kept sets are ours (`bench/data/toxicity/heldout`); the splits by source learn anew without that source, in a shortened training.
alt-profanity-check learnt from two of the public sets (davidson, wikipedia): what it does there is no measure of what carries over.
AUC: area under the ROC curve. Recall at 1 %: share of abuse found where one harmless text in a hundred is flagged. Limits: 95 %, by
resampling the texts.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from sklearn.metrics import roc_auc_score, roc_curve
from threadpoolctl import threadpool_limits

from bench.rows import Row
from bench.training import public
from bench.training.calibration import plain, reliability
from bench.training.corpus import examples, templates, word_lists
from bench.training.heldout import heldout
from bench.training.recipe import CATEGORIES, Recipe, Training
from bot.scoring.network import Network

ROUNDS = 400
"""Resamplings."""
FIFTH = 5
"""One template and one word in so many are left out of a training."""
AT_MOST = 2_000
"""Texts of a public set that are measured: better-profanity takes seconds a thousand."""
AT_ONCE = 4
"""Trainings at the same time at most, and never more than there are cores: each needs some 500 MB."""
SPLITS = ("davidson", "surge", "wikipedia", "templates")
Scores = NDArray[Any]
Rank = Callable[[Sequence[str]], Scores]


def run() -> list[Row]:
    """Measure: the long parts in processes of their own, then speed with nothing beside it."""
    jobs = [("split", name) for name in SPLITS] + [("kept", name) for name in heldout()]
    spawned = multiprocessing.get_context("spawn")  # a fork would copy the locks of the threads that draw the progress bar
    with ProcessPoolExecutor(min(AT_ONCE, os.cpu_count() or 1), spawned, threadpool_limits, (1,)) as pool:
        waiting = {pool.submit(_measured, *job): job for job in jobs}
        found = {waiting[done]: done.result() for done in track(as_completed(waiting), "toxicity", total=len(waiting), transient=True)}
    threadpool_limits(1)
    network = Network.load()
    rows = [row for kind in ("kept", "split") for job in jobs if job[0] == kind for row in found[job]]
    rows.append(_calibration(network, *_kept("voice")))
    return rows + _speed(network, [k.text for kept in heldout().values() for k in kept])


def _measured(kind: str, name: str) -> list[Row]:
    """Rows of a kept set or of a split."""
    if kind == "kept":
        network = Network.load()
        return _quality(name, *_kept(name), lambda t: network.predict(t)[:, 0])
    return _quality(f"without {name}: {name}", *source(name), trained(name))


def _kept(name: str) -> tuple[list[str], Scores]:
    kept = heldout()[name]
    return [k.text for k in kept], np.array([k.toxic for k in kept])


def _calibration(network: Network, texts: Sequence[str], toxic: Scores) -> Row:
    bins = reliability(network.predict(texts)[:, 0], toxic.astype(float))
    error = sum(n * abs(score - share) for n, score, share in bins) / sum(n for n, _, _ in bins)
    said = ", ".join(f"{score:.2f}→{share:.2f}" for _, score, share in bins)
    return Row("voice: expected calibration error", error, "", f"score → share that is abuse: {said}")


def peers() -> dict[str, Rank]:
    """Name → ranking."""
    from better_profanity import profanity  # noqa: PLC0415 (reads its word list)
    from profanity_check import predict_prob  # noqa: PLC0415 (loads its model)

    profanity.load_censor_words()
    return {
        "alt-profanity-check": lambda texts: np.asarray(predict_prob(list(texts))),
        "better-profanity": lambda texts: np.array([float(profanity.contains_profanity(t)) for t in texts]),
    }


def recall_at(toxic: Scores, scores: Scores, share: float = 0.01) -> float:
    """Share of abuse found where `share` of the rest is flagged; between two thresholds in proportion."""
    wrong, found, _ = roc_curve(toxic, scores)
    return float(np.interp(share, wrong, found))


def limits(measure: Callable[[Scores, Scores], float], toxic: Scores, scores: Scores) -> tuple[float, float]:
    """95 % confidence limits, resampling abuse and the rest apart."""
    rng = np.random.default_rng(1)
    bad, good = np.flatnonzero(toxic), np.flatnonzero(~toxic)
    found = []
    for _ in range(ROUNDS):
        chosen = np.concatenate([rng.choice(bad, len(bad)), rng.choice(good, len(good))])
        found.append(measure(toxic[chosen], scores[chosen]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _quality(name: str, texts: Sequence[str], toxic: Scores, ours: Rank) -> list[Row]:
    theirs = {peer: rank(texts) for peer, rank in peers().items()}
    scores = ours(texts)
    rows = []
    for figure, measure in (("AUC", roc_auc_score), ("recall at 1 %", recall_at)):
        value = float(measure(toxic, scores))
        low, high = limits(measure, toxic, scores)
        found = {peer: float(measure(toxic, s)) for peer, s in theirs.items()}
        best = max(found.values())
        said = ", ".join(f"{peer} {v:.2f}" for peer, v in found.items())
        rows.append(Row(f"{name}: {figure}", value, f"({low:.2f}-{high:.2f})", said, value / best if best else None))
    return rows


def source(name: str) -> tuple[list[str], Scores]:
    """Texts of a public set, or of templates with words of which none was in training."""
    public_sets = {"davidson": public.davidson, "surge": public.surge, "wikipedia": public.wikipedia}
    all_of_it = public_sets[name]() if name in public_sets else list(examples(templates()[::FIFTH], fifths()[1], 20, 5))
    chosen = [all_of_it[n] for n in np.random.default_rng(3).permutation(len(all_of_it))[:AT_MOST]]
    return [e.text for e in chosen], np.array([e.target > 0.5 for e in chosen])


def fifths() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The word lists, four fifths and the rest."""
    lists = word_lists()
    learnt = {name: [w for n, w in enumerate(ws) if n % FIFTH] for name, ws in lists.items()}
    return learnt, {name: ws[::FIFTH] for name, ws in lists.items()}


def trained(name: str) -> Rank:
    """A model that never saw the source."""
    recipe = replace(Recipe(), members=1, folds=0, epochs=3, without=(name,))
    lines = [t for n, t in enumerate(templates()) if n % FIFTH]
    training = Training(recipe, lines, lists=fifths()[0]) if name == "templates" else Training(recipe)
    network = Network({**training.run(), "calibration": plain()}, {"version": "split", "categories": CATEGORIES})
    return lambda texts: network.predict(texts)[:, 0]


def _speed(network: Network, lines: Sequence[str]) -> list[Row]:
    many = list(lines) * (20_000 // len(lines) + 1)
    ours = _texts_a_second(lambda t: network.predict(t)[:, 0], many)
    theirs = {name: _texts_a_second(rank, many if name.startswith("alt") else lines[:100]) for name, rank in peers().items()}
    return [Row("texts a second, one core", ours, "/s", f"{name} {speed:,.0f}", ours / speed) for name, speed in theirs.items()]


def _texts_a_second(rank: Rank, texts: Sequence[str]) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        rank(texts)
        best = min(best, time.process_time() - started)
    return len(texts) / best
