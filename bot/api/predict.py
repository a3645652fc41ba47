"""`POST /api/ml/predict`: what the toxicity model says about a text, or about records."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bot.api.routes import Role, Route, answer, body_of
from moderation.errors import InvalidInput
from moderation.predictor import MAX_RECORDS, MAX_TEXT, Predictor


class Question(BaseModel):
    """Either a text or records."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(None, min_length=1, max_length=MAX_TEXT, description="Words to score.")
    records: list[dict[str, Any]] | None = Field(
        None, min_length=1, max_length=MAX_RECORDS, description="Rows of the serving endpoint's own columns."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.text is None) == (self.records is None):
            raise ValueError("send either a text or records")
        return self


class TextPrediction(BaseModel):
    """What a text comes to."""

    predictions: Any = Field(description="As the endpoint gave them.")
    score: float = Field(ge=0, le=1)
    label: str = Field(description="`flag` or `ok`.")
    flagged: bool = Field(description="Whether the score reaches TOXICITY_THRESHOLD.")
    categories: dict[str, float]
    provider: str = Field(description="Who answered: `databricks`, or the scorer that comes along.")


class RecordPredictions(BaseModel):
    """What records come to."""

    predictions: Any = Field(description="As the endpoint gave them.")
    provider: str


def routes(predictor: Predictor) -> Sequence[Route]:
    """`POST /api/ml/predict`."""

    async def predict(request: web.Request) -> web.Response:
        question = body_of(request, Question)
        if question.records is not None:
            found = await predictor.records([{name: _plain(value) for name, value in row.items()} for row in question.records])
            return answer(RecordPredictions(predictions=found, provider=predictor.provider))
        said = await predictor.text(question.text or "")
        return answer(
            TextPrediction(
                predictions=said.predictions,
                score=said.score,
                label=said.label,
                flagged=said.flagged,
                categories=dict(said.categories),
                provider=said.provider,
            )
        )

    return [
        Route(
            "POST",
            "/api/ml/predict",
            predict,
            "Score a text for toxicity, or ask the serving endpoint about records.",
            {200: [TextPrediction, RecordPredictions]},
            errors=(502, 503, 504),
            role=Role.READ,
            body=Question,
            tag="toxicity",
        )
    ]


def _plain(value: object) -> object:
    """JSON's fractions as the floats that models take."""
    match value:
        case Decimal():
            number = float(value)
            if not math.isfinite(number):
                raise InvalidInput("records: a number is too large.")
            return number
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
    return value
