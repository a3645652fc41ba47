"""The scorer that comes along, loaded when it is first asked: who never asks pays neither memory nor time for it."""

import asyncio
from collections.abc import Callable, Sequence

from moderation.errors import ModerationError, ScoringFailed
from moderation.models import Score
from moderation.ports import Scorer


class LocalScorer:
    """A `Scorer` around another one that is made at first use, off the event loop."""

    name = "embedded"

    def __init__(self, load: Callable[[], Scorer]) -> None:
        """`load` runs in a thread, once; where it fails, the next text tries again."""
        self._load = load
        self._loaded: Scorer | None = None
        self._loading = asyncio.Lock()

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        """One score a text, in order. Raises a kind of `ScoringFailed`."""
        async with self._loading:
            if self._loaded is None:
                try:
                    self._loaded = await asyncio.to_thread(self._load)
                except ModerationError as error:
                    raise ScoringFailed(str(error)) from error
        return await self._loaded.score(texts)
