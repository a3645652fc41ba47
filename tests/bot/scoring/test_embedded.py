"""The embedded scorer as the rest of Earshot sees it: who speaks harmlessly stays below the threshold, most abuse is above."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from bench.training.heldout import heldout
from bot.scoring.embedded import THRESHOLD, EmbeddedScorer
from moderation.errors import DetectorError
from moderation.ports import Scorer

pytestmark = pytest.mark.integration

KINDS = ("insult", "threat", "hate", "sexual", "self_harm")


@pytest.fixture(scope="module")
def scorer() -> EmbeddedScorer:
    return EmbeddedScorer.load()


async def test_scores_come_in_order_with_labels_and_categories(scorer: EmbeddedScorer) -> None:
    port: Scorer = scorer
    talk, abuse = await port.score(["nice shot mate", "you are a fucking idiot"])
    assert (port.name, talk.label, abuse.label) == ("embedded", "ok", "flag")
    assert talk.score < 0.3
    assert abuse.score >= THRESHOLD
    assert set(abuse.categories) == set(KINDS)
    assert max(abuse.categories, key=lambda c: abuse.categories[c]) == "insult"
    assert await port.score([]) == []


async def test_a_large_batch_scores_as_small_ones_and_leaves_the_loop_free(scorer: EmbeddedScorer) -> None:
    texts = [f"hello number {n} you idiot" for n in range(3000)]
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(other_work())
    scores = await scorer.score(texts)
    other.cancel()
    assert turns > 1, "the event loop did nothing else meanwhile"
    few = await scorer.score(texts[:4])
    assert [s.score for s in scores[:4]] == pytest.approx([s.score for s in few], abs=1e-5)


async def test_harmless_talk_of_players_is_not_flagged(scorer: EmbeddedScorer) -> None:
    texts = [k.text for k in heldout()["voice"] if not k.toxic]
    assert len(texts) >= 100
    flagged = [t for t, s in zip(texts, await scorer.score(texts), strict=True) if s.score >= THRESHOLD]
    assert flagged == []


@pytest.mark.parametrize("kind", KINDS)
async def test_most_abuse_of_each_kind_is_flagged_and_named(scorer: EmbeddedScorer, kind: str) -> None:
    texts = [k.text for k in heldout()["voice"] if k.toxic and k.kind == kind]
    assert len(texts) >= 59
    scores = await scorer.score(texts)
    assert sum(s.label == "flag" for s in scores) / len(scores) >= 0.85
    named = sum(max(s.categories, key=lambda c: s.categories[c]) == kind for s in scores)
    assert named / len(scores) >= 0.7


def test_a_bad_file_is_a_detector_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="cannot be read"):
        EmbeddedScorer.load(tmp_path / "none.npz")


def test_scoring_needs_no_machine_learning_library() -> None:
    code = "import sys, bot.scoring.embedded; print([m for m in ('scipy', 'sklearn', 'pandas', 'bench') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
