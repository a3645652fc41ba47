"""The shipped model is the one that the data and the recipe in this repository make."""

import json
from hashlib import sha256

import pytest

from bench.train_toxicity import RECORD, data_hashes
from bench.training.corpus import templates, word_lists
from bench.training.heldout import heldout
from bot.scoring.network import MODEL_FILE, Network

pytestmark = pytest.mark.integration


def test_the_shipped_model_was_made_from_this_data() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["data"] == data_hashes(), "the data changed: run `make train`"
    assert record["model"] == sha256(MODEL_FILE.read_bytes()).hexdigest(), "the model changed: run `make train`"
    assert Network.load().about == {name: value for name, value in record.items() if name != "model"}


def test_templates_are_balanced() -> None:
    """Harmless look-alikes are as many as abuse, counted in ways to say something."""
    found = templates()
    abuse = sum(1 for t in found if t.target >= 0.5)
    assert 0.4 <= abuse / len(found) <= 0.6
    assert len(word_lists()) > 30


def test_kept_sets_are_large_and_mixed() -> None:
    for kept in heldout().values():
        assert len(kept) >= 200
        assert 0.25 <= sum(k.toxic for k in kept) / len(kept) <= 0.75
