"""What a scorer says about a text or about records, on request. Slash command and HTTP ask the same object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moderation.errors import InvalidInput
from moderation.models import Score
from moderation.ports import Endpoint, Scorer

MAX_TEXT = 5_000
"""Characters of a text."""
MAX_RECORDS = 1_000
"""Records in one request."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a text comes to."""

    score: float
    """0..1."""
    flagged: bool
    """Whether the score reaches the threshold."""
    provider: str
    """Name of the scorer that answered."""
    categories: Mapping[str, float]
    """Category → 0..1."""
    predictions: object
    """As the endpoint gave them; without one, a list of the same shape with the local scorer's figures."""

    @property
    def label(self) -> str:
        """`flag` or `ok`."""
        return "flag" if self.flagged else "ok"


class Predictor:
    """The serving endpoint where there is one, else the scorer that comes along. Asking never falls back from one to the other."""

    def __init__(self, endpoint: Endpoint | None, local: Scorer, threshold: float) -> None:
        """`threshold`: 0..1, from which on a text is flagged."""
        self._endpoint = endpoint
        self._local = local
        self._threshold = threshold

    @property
    def provider(self) -> str:
        """Who answers."""
        return (self._endpoint or self._local).name

    async def text(self, text: str) -> Prediction:
        """Raises `InvalidInput` for an empty or overlong text, and a kind of `ScoringFailed`."""
        if not text.strip():
            raise InvalidInput("The text is empty; give some words to score.")
        if len(text) > MAX_TEXT:
            raise InvalidInput(f"The text has {len(text):,} characters; {MAX_TEXT:,} are the most. Shorten it, or send it in parts.")
        if self._endpoint is not None:
            score, predictions = await self._endpoint.rate(text)
        else:
            (score,) = await self._local.score([text])
            predictions = [{"score": score.score, "label": self._label(score), "categories": dict(score.categories)}]
        return Prediction(score.score, score.score >= self._threshold, self.provider, score.categories, predictions)

    async def records(self, records: Sequence[Mapping[str, object]]) -> object:
        """The endpoint's predictions for records of its own columns, as it gave them.

        Raises `InvalidInput` where there is no endpoint, there are too many records or none, or the endpoint does not take them, and a
        kind of `ScoringFailed`.
        """
        if self._endpoint is None:
            raise InvalidInput("Records are for a serving endpoint, and none is set up: send a text, or set DATABRICKS_ENDPOINT.")
        if not 1 <= len(records) <= MAX_RECORDS:
            raise InvalidInput(f"There are {len(records):,} records; send 1 to {MAX_RECORDS:,}.")
        return await self._endpoint.predict(records)

    def _label(self, score: Score) -> str:
        return "flag" if score.score >= self._threshold else "ok"
