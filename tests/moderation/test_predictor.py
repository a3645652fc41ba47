"""The predictor: who answers, and what is refused."""

from collections.abc import Mapping, Sequence

import pytest

from moderation.errors import InvalidInput, ScorerUnavailable
from moderation.models import Score
from moderation.predictor import MAX_RECORDS, MAX_TEXT, Predictor
from tests.fakes import FakeScorer

pytestmark = pytest.mark.unit


class FakeEndpoint:
    """Scores everything 0.9; gives records back."""

    name = "served"

    async def rate(self, text: str) -> tuple[Score, object]:
        return Score(0.9, "flag"), [{"raw": len(text)}]

    async def predict(self, rows: Sequence[Mapping[str, object]]) -> object:
        return list(rows)


async def test_the_endpoint_answers_where_there_is_one() -> None:
    local = FakeScorer()
    predictor = Predictor(FakeEndpoint(), local, 0.7)
    found = await predictor.text("words")
    assert (found.score, found.label, found.flagged, found.provider, found.predictions) == (0.9, "flag", True, "served", [{"raw": 5}])
    assert await predictor.records([{"a": 1}]) == [{"a": 1}]
    assert local.asked == []


async def test_without_one_the_local_scorer_answers_texts_and_says_so() -> None:
    predictor = Predictor(None, FakeScorer("ugly", name="embedded", categories={"insult": 0.8}), 0.7)
    found = await predictor.text("how ugly")
    assert (found.label, found.provider, dict(found.categories)) == ("flag", "embedded", {"insult": 0.8})
    assert found.predictions == [{"score": 0.95, "label": "flag", "categories": {"insult": 0.8}}]
    with pytest.raises(InvalidInput, match="DATABRICKS_ENDPOINT"):
        await predictor.records([{"a": 1}])


async def test_the_threshold_decides_not_the_scorers_label() -> None:
    assert (await Predictor(None, FakeScorer("ugly"), 0.99).text("how ugly")).label == "ok"


async def test_an_endpoint_that_is_away_is_told_and_nobody_answers_in_its_place() -> None:
    scorer = FakeScorer()
    scorer.error = ScorerUnavailable("away")
    with pytest.raises(ScorerUnavailable):
        await Predictor(None, scorer, 0.7).text("words")


@pytest.mark.parametrize("text", ["", "  \n", "x" * (MAX_TEXT + 1)])
async def test_texts_that_cannot_be_scored(text: str) -> None:
    with pytest.raises(InvalidInput):
        await Predictor(FakeEndpoint(), FakeScorer(), 0.7).text(text)


@pytest.mark.parametrize("count", [0, MAX_RECORDS + 1])
async def test_too_few_and_too_many_records(count: int) -> None:
    with pytest.raises(InvalidInput):
        await Predictor(FakeEndpoint(), FakeScorer(), 0.7).records([{"a": 1}] * count)
