"""Micro-batches: what many ask for one by one is done together, a few batches at a time.

    submit() ─▶ waiting (bounded) ─▶ a batch: full, or its first item waited long enough ─▶ work() ─▶ each its own answer

Nothing piles up: what does not fit is refused at once, and whoever gives up takes their item out.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from moderation.errors import ModerationError, ScorerUnavailable, ScoringFailed, ScoringTimeout

In = TypeVar("In")
Out = TypeVar("Out")

Work = Callable[[Sequence[In], float], Awaitable[Sequence[Out]]]
"""(items, monotonic second by which the last of them must be answered) → an answer for each, in order."""

LAST_WORD_SECONDS = 0.25
"""How much longer than its deadline an item waits whose batch is under way: the work ends with the deadline, and knows why."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[In, Out]):
    item: In
    since: float
    deadline: float
    answer: asyncio.Future[Out]


class Batcher(Generic[In, Out]):
    """Use as an async context manager; leaving it refuses what still waits."""

    def __init__(
        self,
        work: Work[In, Out],
        *,
        max_size: int,
        max_wait: float,
        max_waiting: int,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The bounds.

        Args:
            work: answers a batch.
            max_size: items in a batch.
            max_wait: seconds that the first item of a batch waits for others.
            max_waiting: items that wait; one more is refused at once.
            concurrency: batches at the same time; while all are busy, items wait and the next batches grow.
            clock: monotonic seconds, the event loop's own.
        """
        self._work = work
        self._max_size = max_size
        self._max_wait = max_wait
        self._max_waiting = max_waiting
        self._concurrency = concurrency
        self._clock = clock
        self._queue: deque[_Waiting[In, Out]] = deque()
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._gathering = asyncio.Lock()
        self._workers: list[asyncio.Task[None]] = []
        self.refused = 0
        """Items that found the queue full."""
        self.expired = 0
        """Items whose deadline passed before they were answered."""

    async def __aenter__(self) -> Self:
        self._workers = [asyncio.create_task(self._run(), name=f"batch {n}") for n in range(self._concurrency)]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        _settle(self._queue, [ScorerUnavailable("The bot is shutting down.")] * len(self._queue))
        self._queue.clear()

    def __len__(self) -> int:
        """Items that wait for a batch."""
        return len(self._queue)

    async def submit(self, item: In, deadline: float) -> Out:
        """The item's answer.

        Raises `ScorerUnavailable` when too many wait already, `ScoringTimeout` when there is no answer by `deadline` (monotonic
        seconds), and whatever the batch's work raised.
        """
        if not self._workers:
            raise ScorerUnavailable("The bot is shutting down.")
        if len(self._queue) >= self._max_waiting:
            self.refused += 1
            raise ScorerUnavailable("Too many texts wait for a score already; this one is refused.", retry_after=self._max_wait)
        waiting = _Waiting[In, Out](item, self._clock(), deadline, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._some.set()
        if len(self._queue) >= self._max_size:
            self._full.set()
        try:
            await asyncio.wait({waiting.answer}, timeout=max(deadline - self._clock(), 0.0))
            if not waiting.answer.done() and waiting not in self._queue:
                await asyncio.wait({waiting.answer}, timeout=LAST_WORD_SECONDS)
            if not waiting.answer.done():
                self.expired += 1
                raise ScoringTimeout("There was no score within the deadline.")
            return waiting.answer.result()
        finally:
            if not waiting.answer.cancel() and not waiting.answer.cancelled():
                waiting.answer.exception()  # seen, even where the asker was cancelled in the same moment
            with suppress(ValueError):
                self._queue.remove(waiting)

    async def _run(self) -> None:
        while True:
            async with self._gathering:  # one batch forms at a time, so that few items do not become many small batches
                batch = await self._gather()
            if batch:
                await self._answer(batch)

    async def _gather(self) -> list[_Waiting[In, Out]]:
        while not self._queue:
            self._some.clear()
            await self._some.wait()
        left = self._queue[0].since + self._max_wait - self._clock()
        if len(self._queue) < self._max_size and left > 0:
            self._full.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), left)
        return [self._queue.popleft() for _ in range(min(len(self._queue), self._max_size))]

    async def _answer(self, batch: Sequence[_Waiting[In, Out]]) -> None:
        try:
            answers: Sequence[Out | Exception] = await self._work([w.item for w in batch], max(w.deadline for w in batch))
            if len(answers) != len(batch):
                raise ScoringFailed(f"{len(batch)} items were answered with {len(answers)} answers.")
        except ModerationError as error:
            answers = [error] * len(batch)
        except asyncio.CancelledError:
            _settle(batch, [ScorerUnavailable("The bot is shutting down.")] * len(batch))
            raise
        except Exception as error:  # whatever it is, it must not end the worker
            answers = [ScoringFailed(f"Scoring failed with {type(error).__name__}.")] * len(batch)
        _settle(batch, answers)


def _settle(batch: Iterable[_Waiting[In, Out]], answers: Iterable[Out | Exception]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.answer.done():  # the asker gave up
            continue
        if isinstance(answer, Exception):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)
