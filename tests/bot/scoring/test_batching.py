"""Micro-batches: sizes, waiting, limits, deadlines, failures. Events decide when work is done, not the clock."""

import asyncio
from collections.abc import Sequence

import pytest

from bot.scoring.batching import Batcher
from moderation.errors import NotFound, ScorerUnavailable, ScoringFailed, ScoringTimeout

pytestmark = pytest.mark.unit
LONG = 600.0


class Work:
    """Doubles numbers, once it may; remembers batches."""

    def __init__(self, *, held: bool = False, error: Exception | None = None) -> None:
        self.batches: list[list[int]] = []
        self.error = error
        self.go, self.begun = asyncio.Event(), asyncio.Event()
        self.most = self.running = 0
        if not held:
            self.go.set()

    async def __call__(self, items: Sequence[int], deadline: float) -> Sequence[int]:
        self.batches.append(list(items))
        self.running += 1
        self.most = max(self.most, self.running)
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        if self.error:
            raise self.error
        return [2 * item for item in items]


def batcher(work: Work, *, max_size: int = 4, max_wait: float = 0.0, max_waiting: int = 8, concurrency: int = 1) -> Batcher[int, int]:
    return Batcher(work, max_size=max_size, max_wait=max_wait, max_waiting=max_waiting, concurrency=concurrency)


def deadline(seconds: float = LONG) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_everybody_gets_their_own_answer() -> None:
    work = Work()
    async with batcher(work) as made:
        assert await asyncio.gather(*(made.submit(n, deadline()) for n in range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert [len(b) for b in work.batches] == [4, 3]


async def test_a_full_batch_does_not_wait() -> None:
    work = Work()
    async with batcher(work, max_wait=LONG) as made, asyncio.timeout(60):
        assert len(await asyncio.gather(*(made.submit(n, deadline()) for n in range(4)))) == 4


async def test_a_batch_that_is_not_full_goes_when_its_first_item_waited_long_enough() -> None:
    work = Work()
    async with batcher(work, max_wait=0.01) as made, asyncio.timeout(60):
        assert await made.submit(1, deadline()) == 2


async def test_while_all_workers_are_busy_the_next_batch_grows_and_the_one_too_many_is_refused() -> None:
    work = Work(held=True)
    async with batcher(work, max_size=8, concurrency=2) as made:
        first = []
        for n in range(2):
            work.begun.clear()
            first.append(asyncio.create_task(made.submit(n, deadline())))
            await work.begun.wait()
        rest = [asyncio.create_task(made.submit(n, deadline())) for n in range(8)]
        await asyncio.sleep(0)
        assert len(made) == 8
        with pytest.raises(ScorerUnavailable, match="Too many"):
            await made.submit(99, deadline())
        work.go.set()
        await asyncio.gather(*first, *rest)
    assert [len(b) for b in work.batches] == [1, 1, 8]
    assert (made.refused, work.most, len(made)) == (1, 2, 0)


async def test_a_deadline_ends_the_wait_and_leaves_nothing_behind() -> None:
    work = Work(held=True)
    async with batcher(work) as made:
        hanging = asyncio.create_task(made.submit(1, deadline()))
        await work.begun.wait()
        with pytest.raises(ScoringTimeout):
            await made.submit(2, deadline(0.01))
        assert (len(made), made.expired) == (0, 1)
        work.go.set()
        assert await hanging == 2
    assert work.batches == [[1]]


async def test_work_that_ends_with_the_deadline_has_the_last_word() -> None:
    work = Work(held=True, error=ScorerUnavailable("It limits requests."))
    async with batcher(work) as made:
        ends = deadline(0.5)
        asking = asyncio.create_task(made.submit(1, ends))
        await work.begun.wait()
        asyncio.get_running_loop().call_at(ends + 0.05, work.go.set)
        with pytest.raises(ScorerUnavailable, match="limits requests"):
            await asking
    assert made.expired == 0


async def test_work_that_goes_on_after_the_deadline_is_left() -> None:
    work = Work(held=True)
    async with batcher(work) as made:
        with pytest.raises(ScoringTimeout):
            await made.submit(1, deadline(0.01))
        assert (made.expired, work.running) == (1, 1)


async def test_who_gives_up_is_taken_out() -> None:
    work = Work(held=True)
    async with batcher(work) as made:
        hanging = asyncio.create_task(made.submit(1, deadline()))
        await work.begun.wait()
        waiting = asyncio.create_task(made.submit(2, deadline()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert len(made) == 0
        work.go.set()
        await hanging


@pytest.mark.parametrize(("error", "kind"), [(NotFound("gone"), NotFound), (KeyError("spoken words"), ScoringFailed)])
async def test_a_failed_batch_fails_for_its_items_and_the_next_one_is_tried(error: Exception, kind: type[Exception]) -> None:
    work = Work(error=error)
    async with batcher(work) as made:
        found = await asyncio.gather(*(made.submit(n, deadline()) for n in range(3)), return_exceptions=True)
        assert all(isinstance(each, kind) and "spoken words" not in str(each) for each in found)
        work.error = None
        assert await made.submit(5, deadline()) == 10


async def test_closing_answers_everybody() -> None:
    work = Work(held=True)
    async with batcher(work, max_size=1) as made:
        tasks = [asyncio.create_task(made.submit(n, deadline())) for n in range(3)]
        await work.begun.wait()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [ScorerUnavailable] * 3
    with pytest.raises(ScorerUnavailable):
        await made.submit(9, deadline())
