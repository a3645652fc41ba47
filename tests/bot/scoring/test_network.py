"""The model file: the one that ships is whole, others are refused with a reason, and scores do not depend on company."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.scoring import features, network
from bot.scoring.network import MAX_FILE_BYTES, MODEL_FILE, ModelInvalid, Network

pytestmark = pytest.mark.integration

TEXTS = ["hello there", "you are such an idiot", "push mid now", "", "i d i o t", "shut up you id1ot"]


@pytest.fixture(scope="module")
def shipped() -> Network:
    return Network.load()


def changed(to: Path, **changes: NDArray[Any] | None) -> Path:
    """A copy of the shipped file with arrays replaced (None: left out)."""
    with np.load(MODEL_FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez(to, **{name: a for name, a in arrays.items() if a is not None})
    return to


def test_the_shipped_model_ranks_abuse_over_talk(shipped: Network) -> None:
    scores = shipped.predict(TEXTS)
    assert scores.shape == (len(TEXTS), 6)
    assert ((scores >= 0) & (scores <= 1)).all()
    talk, abuse = scores[[0, 2], 0], scores[[1, 4, 5], 0]
    assert talk.max() < 0.3
    assert abuse.min() > 0.6
    assert scores[3, 0] == 0
    assert shipped.categories[scores[1, 1:].argmax()] == "insult"


def test_the_shipped_file_is_small_and_says_what_it_is(shipped: Network) -> None:
    assert MODEL_FILE.stat().st_size <= MAX_FILE_BYTES
    assert shipped.version.endswith(f"+{shipped.digest[:8]}")
    assert {"recipe", "data", "format", "version"} <= set(shipped.about)


def test_a_text_scores_the_same_alone_and_in_any_batch(shipped: Network) -> None:
    alone = np.concatenate([shipped.predict([t]) for t in TEXTS])
    np.testing.assert_allclose(shipped.predict(TEXTS), alone, atol=1e-5)
    many = shipped.predict(TEXTS * 300)
    np.testing.assert_allclose(many, np.tile(alone, (300, 1)), atol=1e-5)
    assert shipped.predict([]).shape == (0, 6)


def test_forgetting_words_changes_no_score(shipped: Network) -> None:
    before = shipped.predict(TEXTS)
    shipped.predict([f"w{n}x" for n in range(33_000)])
    np.testing.assert_allclose(shipped.predict(TEXTS), before, atol=1e-5)


def test_threads_do_not_disturb_each_other(shipped: Network) -> None:
    expected = shipped.predict(TEXTS)
    wrong: list[str] = []

    def score(prefix: str) -> None:
        for n in range(20):
            shipped.predict([f"{prefix}{n}{k}" for k in range(50)])
            if not np.allclose(shipped.predict(TEXTS), expected, atol=1e-5):
                wrong.append(prefix)

    threads = [threading.Thread(target=score, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_modules_work_alone_beside_their_file(tmp_path: Path, shipped: Network) -> None:
    """As they are packed for a serving endpoint: no Earshot there."""
    for module in (features, network):
        shutil.copy(str(module.__file__), tmp_path)
    shutil.copy(MODEL_FILE, tmp_path / "model.npz")
    code = "import json, network, sys; print(json.dumps(network.Network.load('model.npz').predict(json.loads(sys.argv[1])).tolist()))"
    done = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-c", code, json.dumps(TEXTS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONSAFEPATH": ""},
    )
    np.testing.assert_allclose(np.array(json.loads(done.stdout)), shipped.predict(TEXTS), atol=1e-5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"nowhere\.npz cannot be read .*No such file.*make train"):
        Network.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    content = MODEL_FILE.read_bytes()
    path = tmp_path / "half.npz"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelInvalid, match="not a whole toxicity model"):
        Network.load(path)


def test_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    content = bytearray(MODEL_FILE.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "flipped.npz"
    path.write_bytes(content)
    with pytest.raises(ModelInvalid, match="not a whole toxicity model"):
        Network.load(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = changed(tmp_path / "pickled.npz", known=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ModelInvalid, match="not a whole toxicity model"):
        Network.load(path)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    path.write_bytes(b"PK" + bytes(MAX_FILE_BYTES))
    with pytest.raises(ModelInvalid, match="more than 5,000,000 bytes"):
        Network.load(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"about": None}, "not a whole toxicity model"),
        ({"about": np.array("[]")}, "format 2"),
        ({"about": np.array('{"format": 1}')}, "format 2"),
        ({"first": None}, "see first"),
        ({"table": np.zeros((1, 4, 32), np.float16)}, "see table"),
        ({"lexical": np.zeros((3, 4), np.float16)}, "see lexical"),
        ({"kinds": np.zeros(3, np.uint64)}, "see kinds"),
        ({"out_bias": np.full((3, 6), np.nan, np.float32)}, "see out_bias"),
        ({"surplus": np.zeros(1)}, "see surplus"),
        ({"calibration": np.zeros((2, 2))}, "see calibration"),
        ({"known": np.array(["a"])}, "see table, lexical, kinds"),
        ({"common": np.array(["a"])}, "see common"),
        ({"near": np.ones(1, np.uint32), "owners": np.full(1, 60_000, np.uint16)}, "see owners"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelInvalid, match=reason):
        Network.load(changed(tmp_path / "other.npz", **changes))
