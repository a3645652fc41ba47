"""The embedded scorer as the rest of Earshot sees it: who speaks harmlessly hardly ever reaches the threshold, most abuse does."""

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
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


async def test_harmless_talk_of_players_is_hardly_ever_flagged(scorer: EmbeddedScorer) -> None:
    texts = [k.text for k in heldout()["voice"] if not k.toxic]
    assert len(texts) >= 100
    flagged = [t for t, s in zip(texts, await scorer.score(texts), strict=True) if s.score >= THRESHOLD]
    assert flagged == []


async def test_short_lines_of_play_are_not_taken_for_abuse(scorer: EmbeddedScorer) -> None:
    """Most lines of chats are a word or two; names, laughter, other languages and typing errors among them."""
    harmless = [
        "drow",
        "go top",
        "hahahah",
        "jajajaja",
        "zxcv",
        "salut",
        "ss bot",
        "pos 4",
        "from peru",
        "t54",
        "omg",
        "ok ok",
        "kill rosh",
    ]
    abuse = ["noob", "idiot", "stfu", "kys", "you dog", "trash team", "fuck you", "puta", "suka blyat", "retarded mid", "u suck"]
    talk = [s.score for s in await scorer.score(harmless)]
    bad = [s.score for s in await scorer.score(abuse)]
    assert max(talk) < THRESHOLD
    assert np.mean([b > t for b in bad for t in talk]) > 0.97


async def test_questions_of_everyday_life_are_not_taken_for_threats(scorer: EmbeddedScorer) -> None:
    asked = [
        "what is your address",
        "what is your phone number",
        "give me your number",
        "where do you live",
        "how old are you",
        "how much is the blue widget",
        "i want to order a blue widget how much is the price",
        "my ticket number is four seven two nine",
        "thank you for the help see you tomorrow",
        "i hate this game",
    ]
    flagged = [t for t, s in zip(asked, await scorer.score(asked), strict=True) if s.score >= THRESHOLD]
    assert flagged == []


async def test_categories_share_out_the_score_and_plain_insults_are_named_so(scorer: EmbeddedScorer) -> None:
    insults = ["you are an idiot", "you are a stupid idiot and everybody knows it", "shut up you pathetic loser", "nobody wants you here"]
    for text, score in zip(insults, await scorer.score(insults), strict=True):
        assert sum(score.categories.values()) == pytest.approx(score.score, abs=1e-4)
        assert max(score.categories, key=lambda c: score.categories[c]) == "insult", text


async def test_scores_at_the_top_are_told_apart(scorer: EmbeddedScorer) -> None:
    texts = sorted({k.text for kept in heldout().values() for k in kept})
    scores = np.array([s.score for s in await scorer.score(texts)])
    top = np.sort(scores)[-len(scores) // 20 :]
    assert len(np.unique(top)) > 0.9 * len(top)
    assert (scores > 0.9999).mean() < 0.01


@pytest.mark.parametrize("kind", KINDS)
async def test_most_abuse_of_each_kind_is_flagged_and_named(scorer: EmbeddedScorer, kind: str) -> None:
    texts = [k.text for k in heldout()["voice"] if k.toxic and k.kind == kind]
    assert len(texts) >= 59
    scores = await scorer.score(texts)
    assert sum(s.label == "flag" for s in scores) / len(scores) >= 0.8
    named = sum(max(s.categories, key=lambda c: s.categories[c]) == kind for s in scores)
    assert named / len(scores) >= 0.7


def test_a_bad_file_is_a_detector_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="cannot be read"):
        EmbeddedScorer.load(tmp_path / "none.npz")


def test_scoring_needs_no_machine_learning_library() -> None:
    code = "import sys, bot.scoring.embedded; print([m for m in ('scipy', 'sklearn', 'pandas', 'bench') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
