"""Training: gradients are those of the loss, the network learns, and the same seed gives the same weights."""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from bench.toxicity import limits, recall_at
from bench.train_toxicity import write
from bench.training import lexical
from bench.training.calibration import plain, reliability
from bench.training.corpus import Filler, Template, examples
from bench.training.network import Batch, Encoder, Shape, backwards, forwards, initial, loss
from bench.training.noise import spoken
from bench.training.recipe import CATEGORIES, Recipe, Training, opened
from bot.scoring.features import Rows
from bot.scoring.network import FORMAT, WORDS_SHARE, Network

pytestmark = pytest.mark.integration

LINES = [
    Template("you are a {bad_fruit}", 0.95, "insult", "fruit"),
    Template("you are {not|never} a {bad_fruit}", 0.02, "-", "no fruit"),
    Template("push {mid|top|bot} now", 0.0, "-", "game"),
]
FRUIT = {"bad_fruit": ["banana", "orange", "apple", "melon", "quince"]}
TINY = Recipe(
    epochs=100,
    each=40,
    batch=16,
    members=1,
    folds=0,
    chatter=10,
    rate=0.02,
    shape=Shape(8, 12, 12),
    without=("davidson", "surge", "wikipedia", "madlibs", "terms"),
)


def test_gradients_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(1)
    a: dict[str, Any] = {name: w.astype(np.float64) for name, w in initial(5, 3, Shape(4, 5, 6), rng).items()}
    for name in ("first_bias", "second_bias", "dense_bias"):
        a[name] += 0.05  # away from the kink of the rectifier
    rows = Rows(np.array([0, 1, 2, 0, 3, 0, 0, 4, 1, 2, 0], np.int32), np.array([1, 4, 6, 7]), np.array([2, 1, 0, 3]))
    x: Any = rng.normal(size=(11, 4))
    x[rows.tokens == 0] = 0
    targets = np.array([[1, 0, np.nan], [0, 1, 1], [0.5, 0, 0], [0.9, np.nan, 1]], np.float32)
    batch = Batch(rows, targets, np.array([1, 0.5, 1, 2], np.float32))

    def cost() -> float:
        return loss(batch, forwards(a, rows, x, 0.0, rng).logits)[0]

    p = forwards(a, rows, x, 0.0, rng)
    g, by_x = backwards(a, rows, p, loss(batch, p.logits)[1])
    for array, gradient in [(a[name], g[name]) for name in sorted(g)] + [(x, by_x)]:
        for place in [tuple(rng.integers(0, n) for n in array.shape) for _ in range(12)]:
            if array is x and rows.tokens[place[0]] == 0:
                continue
            before = array[place]
            array[place] = before + 1e-4
            more = cost()
            array[place] = before - 1e-4
            less = cost()
            array[place] = before
            assert gradient[place] == pytest.approx((more - less) / 2e-4, abs=2e-4)


def trained(recipe: Recipe) -> Network:
    arrays = Training(recipe, LINES, lists=FRUIT).run()
    return Network({**arrays, "calibration": plain()}, {"version": "test", "categories": CATEGORIES})


def test_a_small_training_learns_an_order_of_words() -> None:
    network = trained(TINY)
    abuse, denied, talk = network.predict(["you are a quince", "you are never a melon", "push top now"])[:, 0]
    assert abuse > 0.6
    assert denied < 0.4
    assert talk < 0.2


def test_what_words_say_by_themselves_is_summed_in_use_as_in_training() -> None:
    arrays = Training(replace(TINY, epochs=2), LINES, lists=FRUIT).run()
    texts = ["you are a banana", "push top now", "you are a very very bad melon", "quince"]
    about = {"version": "test", "categories": CATEGORIES}
    logits = []
    for each in (arrays, {**arrays, "lexical": np.zeros_like(arrays["lexical"])}):
        scores = Network({**each, "calibration": plain()}, about).predict(texts)[:, 0].astype(float)
        logits.append(np.log(scores / (1 - scores)))
    encoder = Encoder(opened(arrays))
    rows = encoder.reader.rows(texts)
    matrix = encoder.matrix(arrays["lexical"].shape[1])
    summed = lexical.texts(rows, matrix[: matrix.shape[0] // 2]) @ arrays["lexical"][0]
    np.testing.assert_allclose(logits[0] - logits[1], WORDS_SHARE * summed, atol=1e-3)
    assert summed[3] > summed[1], "a bad fruit says more than a place to go to"


def test_words_of_abuse_weigh_more_the_more_sure_the_listeners_are() -> None:
    found = np.eye(3)[[0, 0, 1, 1, 2, 2] * 20]
    weights = lexical.fitted(sparse.csr_matrix(found), [1.0, 0.9, 0.6, 0.4, 0.0, 0.1] * 20, [1.0] * 120)
    assert weights[0] > weights[1] + 1 > weights[2] + 2
    assert weights.shape == (3,)


def test_a_trained_model_is_written_and_read_back(tmp_path: Path) -> None:
    arrays = {**Training(replace(TINY, members=2, epochs=2), LINES, lists=FRUIT).run(), "calibration": plain()}
    about = {"format": FORMAT, "version": "test", "categories": CATEGORIES}
    write(tmp_path / "model.npz", arrays, about)
    texts = ["you are a banana", "push bot now"]
    read = Network.load(tmp_path / "model.npz")
    np.testing.assert_allclose(read.predict(texts), Network(arrays, about).predict(texts), atol=0.01)
    assert read.version.startswith("test+")
    write(tmp_path / "again.npz", arrays, about)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "model.npz").read_bytes()


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['sklearn'] = None; sys.argv[1:] = []; import bench.train_toxicity as t; sys.exit(t.main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert "install the extra `train`" in done.stderr


def test_recall_is_taken_where_the_allowed_share_of_harmless_texts_is_flagged() -> None:
    toxic = np.array([True] * 4 + [False] * 100)
    scores = np.array([0.99, 0.97, 0.5, 0.1, 0.98, *np.linspace(0, 0.4, 99)])
    assert recall_at(toxic, scores) == pytest.approx(0.75)
    assert recall_at(toxic, scores, share=0.0) == pytest.approx(0.25)
    assert recall_at(toxic, np.full(104, 0.5)) == pytest.approx(0.01)
    low, high = limits(recall_at, toxic, scores)
    assert low <= 0.75 <= high


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    short = replace(TINY, epochs=1)
    texts = ["you are a banana", "push bot now"]
    first = trained(short).predict(texts)
    np.testing.assert_array_equal(first, trained(short).predict(texts))
    assert not np.allclose(first, trained(replace(short, seed=12)).predict(texts))


def test_kept_texts_are_not_learnt_from() -> None:
    kept = "push mid now"
    with_it = Training(TINY, LINES, lists=FRUIT)
    without = Training(TINY, LINES, lists=FRUIT, avoid=[kept.upper()])
    assert any(e.text == kept for e in with_it.epoch(1, LINES))
    assert not any(e.text == kept for n in range(3) for e in without.epoch(n, LINES))


def test_templates_are_filled_alike_from_the_same_seed() -> None:
    texts = [[e.text for e in examples(LINES, FRUIT, 5, seed)] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert {Filler(FRUIT, n).fill("a {bad_fruit|plum} b") for n in range(60)} == {f"a {w} b" for w in [*FRUIT["bad_fruit"], "plum"]}


def test_noise_keeps_most_of_a_text() -> None:
    text = "you are really such a banana and i hate it"
    chance = random.Random(1)
    heard = [spoken(text, chance) for _ in range(300)]
    assert len(set(heard)) > 50
    assert heard.count(text) > 50
    assert np.mean([len(set(h.split()) & set(text.split())) for h in heard]) > 7


def test_reliability_of_a_score_that_is_right_and_of_one_that_is_too_sure() -> None:
    chance = np.random.default_rng(1)
    scores = chance.random(20_000)
    abuse = (chance.random(20_000) < scores).astype(float)
    assert all(abs(mean - share) < 0.05 for _, mean, share in reliability(scores, abuse))
    sure = reliability(np.where(scores > 0.5, 0.99, 0.01), abuse)
    assert [n for n, _, _ in sure] == pytest.approx([10_000, 10_000], rel=0.05)
    assert [share for _, _, share in sure] == pytest.approx([0.25, 0.75], abs=0.03)
