"""Scores by a Databricks serving endpoint: batched, in time, and left alone while it fails.

    score(texts) ─▶ batcher ─▶ breaker ─▶ endpoint (retries) ─▶ answers ─▶ scores
    rate(text), predict(records) ───▶ breaker ─▶ endpoint ─▶ its answer as it is

Live segments and people who ask by command or HTTP wait in separate queues, so that neither keeps the other waiting.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from bot.scoring.answers import read_scores
from bot.scoring.batching import Batcher
from bot.scoring.breaker import Breaker, State, Ticket
from bot.scoring.serving import RequestRefused, ServingEndpoint, records, split
from config.output_specs import OutputSpec
from moderation.errors import InvalidInput, ModerationError, ScorerUnavailable
from moderation.models import Score

log = logging.getLogger(__name__)

MAX_BATCH = 32
"""Texts in one request: rows cost little beside the round trip."""
MAX_WAIT = 0.02
"""Seconds the first text waits for others: little beside a round trip, enough for those who pause at the same time."""
MAX_WAITING = 256
"""Texts that wait; one more is refused. At one sentence in three seconds that is far more than a machine can hear."""
CONCURRENCY = 4
"""Requests at the same time, live ones; as many again for whoever asks by command or HTTP."""
MAX_ASKING = 32
"""Requests by command or HTTP that wait; one more is refused."""
MAX_TEXT = 5_000
"""Characters of a text that are sent; minutes of speech without a pause."""
PREDICT_SECONDS = 10.0
"""Deadline of what a person or a client asks for and waits for."""


@dataclass(slots=True)
class ScoringStats:
    """Counted since the start; `observe` is told of every batch that was answered."""

    scored: int = 0
    """Texts."""
    batches: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """Texts without a score, by the error's code."""
    observe: Callable[[int, float], None] = lambda size, seconds: None
    """(texts, seconds of the request)."""


@dataclass(frozen=True, slots=True)
class _Request:
    body: Mapping[str, object]
    read: Callable[[Any], object]
    """Raises where the answer does not fit."""
    own: bool = True
    """Made here; otherwise somebody else chose its records."""


class DatabricksScorer:
    """A `Scorer`, and the `Endpoint` behind `predict`. An async context manager."""

    name = "databricks"

    def __init__(
        self,
        endpoint: ServingEndpoint,
        *,
        column: str,
        spec: OutputSpec,
        threshold: float,
        deadline: float,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_batch: int = MAX_BATCH,
        max_wait: float = MAX_WAIT,
        max_waiting: int = MAX_WAITING,
        concurrency: int = CONCURRENCY,
        splits: bool = False,
    ) -> None:
        """What is asked, and how patiently.

        Args:
            endpoint: asks.
            column: of the model's input that takes the text.
            spec: how the answers are read.
            threshold: 0..1, from which on a text counts as toxic.
            deadline: seconds that a text's score may take, waiting and retries included.
            breaker: None makes one.
            clock: monotonic seconds, the event loop's own.
            max_batch: see `Batcher`, as for the next three.
            max_wait: seconds.
            max_waiting: texts.
            concurrency: requests.
            splits: send `dataframe_split` instead of `dataframe_records`.
        """
        self._endpoint = endpoint
        self._column = column
        self._spec = spec
        self._threshold = threshold
        self._deadline = deadline
        self._clock = clock
        self._request = split if splits else records
        self._batcher = Batcher[str, Score](
            self._score_batch, max_size=max_batch, max_wait=max_wait, max_waiting=max_waiting, concurrency=concurrency, clock=clock
        )
        self._single = Batcher[_Request, Any](
            self._answer_single, max_size=1, max_wait=0.0, max_waiting=MAX_ASKING, concurrency=concurrency, clock=clock
        )
        self.breaker = breaker or Breaker(clock)
        self.stats = ScoringStats()
        self.last_error: ModerationError | None = None
        """Why the latest request failed; None when it did not."""
        self.succeeded_at = -math.inf
        """Monotonic second of the latest request that did not."""

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        await self._single.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._single.__aexit__(kind, error, trace)
        await self._batcher.__aexit__(kind, error, trace)

    @property
    def endpoint(self) -> ServingEndpoint:
        """Whom it asks."""
        return self._endpoint

    @property
    def refused(self) -> int:
        """Texts and requests turned away because too many waited."""
        return self._batcher.refused + self._single.refused

    @property
    def waiting(self) -> int:
        """Texts and requests that wait."""
        return len(self._batcher) + len(self._single)

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        """One score a text, in order. Raises a kind of `ScoringFailed`: all texts have a score, or none."""
        deadline = self._clock() + self._deadline
        try:
            if self.breaker.state is State.OPEN:
                self.breaker.enter()  # refuses at once: waiting for a batch would be in vain
            return await _all([self._batcher.submit(text[:MAX_TEXT], deadline) for text in texts])
        except ModerationError as error:
            self.stats.failed[error.code] = self.stats.failed.get(error.code, 0) + len(texts)
            raise

    async def rate(self, text: str) -> tuple[Score, Any]:
        """A text's score, and the endpoint's predictions as they came. Raises a kind of `ScoringFailed`."""
        request = self._request(self._column, [text[:MAX_TEXT]])
        answer = await self._single.submit(_Request(request, lambda found: self._read(found, 1)), self._clock() + PREDICT_SECONDS)
        return self._read(answer, 1)[0], predictions(answer)

    async def predict(self, rows: Sequence[Mapping[str, object]]) -> Any:  # noqa: ANN401 (JSON)
        """The endpoint's predictions for records of its own columns, as they came.

        Raises `InvalidInput` when the endpoint does not take them, and a kind of `ScoringFailed`.
        """
        request = _Request({"dataframe_records": list(rows)}, predictions, own=False)
        try:
            return predictions(await self._single.submit(request, self._clock() + PREDICT_SECONDS))
        except RequestRefused as refused:
            raise InvalidInput(
                f"The serving endpoint {self._endpoint.name} does not take these records ({refused.told}). "
                "Check their columns and types against its model's input schema, or send fewer."
            ) from None

    async def _score_batch(self, texts: Sequence[str], deadline: float) -> Sequence[Score]:
        started = self._clock()
        request = _Request(self._request(self._column, texts), lambda answer: self._read(answer, len(texts)))
        scores = self._read(await self._ask(request, deadline), len(texts))
        self.stats.batches += 1
        self.stats.scored += len(texts)
        self.stats.observe(len(texts), self._clock() - started)
        return scores

    async def _answer_single(self, requests: Sequence["_Request"], deadline: float) -> Sequence[Any]:
        return [await self._ask(request, deadline) for request in requests]

    def _read(self, answer: object, count: int) -> list[Score]:
        return read_scores(answer, count, self._spec, self._threshold)

    async def _ask(self, request: "_Request", deadline: float) -> Any:  # noqa: ANN401 (JSON)
        """An answer that can be read, past the breaker."""
        ticket = self.breaker.enter()
        try:
            answer = await self._endpoint.invoke(request.body, deadline)
            request.read(answer)
        except ModerationError as error:
            if not request.own and isinstance(error, RequestRefused):  # the asker's own records: that says nothing about the endpoint
                self.breaker.abandoned(ticket)
            else:
                self._failed(ticket, error)
            raise
        except BaseException:
            self.breaker.abandoned(ticket)
            raise
        self._succeeded(ticket)
        return answer

    def _failed(self, ticket: Ticket, error: ModerationError) -> None:
        before, self.last_error = self.breaker.opened, error
        self.breaker.failed(ticket, error.retry_after if isinstance(error, ScorerUnavailable) else 0.0)
        if self.breaker.opened != before:
            log.warning("the serving endpoint is given a rest", extra={"endpoint": self._endpoint.name, "code": error.code})

    def _succeeded(self, ticket: Ticket) -> None:
        before = self.breaker.state
        self.succeeded_at = self._clock()
        self.breaker.succeeded(ticket)
        if self.breaker.state is not State.CLOSED:
            return  # it was let in before all others failed
        self.last_error = None
        if before is not State.CLOSED:
            log.info("the serving endpoint answers again", extra={"endpoint": self._endpoint.name})

    @property
    def trouble(self) -> str:
        """Why texts are not scored at the moment, for people; empty when all is well."""
        if self.breaker.state is State.CLOSED and self.last_error is None:
            return ""
        return str(self.last_error or ScorerUnavailable(f"The serving endpoint {self._endpoint.name} failed repeatedly."))


def predictions(answer: Any) -> Any:  # noqa: ANN401 (JSON)
    """What an answer holds beside its envelope."""
    return answer["predictions"] if isinstance(answer, dict) and "predictions" in answer else answer


async def _all(asked: Sequence[Coroutine[Any, Any, Score]]) -> list[Score]:
    """All answers; the first error, once everybody is done."""
    scores: list[Score] = []
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        scores.append(answer)
    return scores
