"""Handing items from threads to the loop."""

import asyncio
import threading

import pytest

from bot.sources.handover import Handover

pytestmark = pytest.mark.unit


def is_even(item: int) -> bool:
    return item % 2 == 0


async def drain(handover: Handover[int]) -> list[int]:
    return [item async for item in handover]


async def test_keeps_order_over_threads_and_ends_after_close() -> None:
    handover = Handover[int](10_000, is_even)

    def write() -> None:
        for start in range(0, 1000, 10):
            handover.put(range(start, start + 10))
        handover.close()

    reading = asyncio.create_task(drain(handover))
    writer = threading.Thread(target=write)
    writer.start()
    assert await reading == list(range(1000))
    writer.join()
    assert handover.dropped == 0


async def test_a_burst_wakes_the_loop_once() -> None:
    handover = Handover[int](100, is_even)
    items = aiter(handover)
    first = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    for item in range(50):
        handover.put([item])
    assert await first == 0
    assert [await anext(items) for _ in range(49)] == list(range(1, 50))
    assert handover.wakes == 1
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    handover.put([50])
    assert await waiting == 50
    assert handover.wakes == 2


async def test_full_drops_the_oldest_that_may_be_dropped() -> None:
    handover = Handover[int](4, is_even)
    handover.put([1, 2, 3, 4, 6, 8])
    assert handover.dropped == 2
    handover.close()
    assert await drain(handover) == [1, 3, 6, 8]


async def test_full_of_undroppable_items_drops_the_oldest_of_all() -> None:
    handover = Handover[int](2, is_even)
    handover.put([1, 3, 5])
    handover.close()
    assert await drain(handover) == [3, 5]
    assert handover.dropped == 1


async def test_items_put_while_the_reader_works_are_not_lost() -> None:
    handover = Handover[int](100, is_even)
    seen = []
    handover.put([0])
    async for item in handover:
        seen.append(item)
        if item < 5:
            handover.put([item + 1])
        else:
            handover.close()
    assert seen == [0, 1, 2, 3, 4, 5]


def test_a_thread_that_outlives_the_loop_does_not_fail() -> None:
    async def make() -> Handover[int]:
        return Handover[int](2, is_even)

    handover = asyncio.run(make())
    handover.put([1])
    assert len(handover) == 1
