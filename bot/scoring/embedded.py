"""The scorer that needs no service: a small network in this process."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bot.scoring.network import ModelInvalid, Network
from moderation.errors import DetectorError
from moderation.models import Score

INLINE = 16
"""Texts that are scored on the event loop (about a millisecond); more go to a thread."""
THRESHOLD = 0.7
"""Score from which a text is labelled `flag`: what the model is calibrated for (`TOXICITY_THRESHOLD` decides about alerts)."""


class EmbeddedScorer:
    """Scores texts with the model file that comes with Earshot, or another that `make train` made. Implements `moderation.ports.Scorer`."""

    name = "embedded"

    def __init__(self, network: Network, threshold: float = THRESHOLD) -> None:
        self._network = network
        self._threshold = threshold

    @classmethod
    def load(cls, path: Path | str | None = None, threshold: float = THRESHOLD) -> "EmbeddedScorer":
        """Read a model file, Earshot's own when None. Raises `DetectorError`, which says what is wrong with the file."""
        try:
            return cls(Network.load(path), threshold)
        except ModelInvalid as error:
            raise DetectorError(str(error)) from None

    @property
    def version(self) -> str:
        """Of the model: its version and the first digits of its file's SHA-256."""
        return self._network.version

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        """One score a text, in order, each with all categories. Large batches run in a thread: the event loop is not held."""
        if len(texts) <= INLINE and sum(map(len, texts)) <= INLINE * 200:
            return self._scored(texts)
        return await asyncio.to_thread(self._scored, texts)

    def _scored(self, texts: Sequence[str]) -> list[Score]:
        categories = self._network.categories
        return [
            Score(score, "flag" if score >= self._threshold else "ok", dict(zip(categories, each, strict=True)))
            for score, *each in self._network.predict(texts).tolist()
        ]
