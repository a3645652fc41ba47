"""The bounded channel: order, overflow rules, closing, waiting for room."""

import asyncio

import pytest

from moderation.inbox import Inbox, Overflow

pytestmark = pytest.mark.unit


async def drain(inbox: Inbox[int]) -> list[int]:
    return [i async for i in inbox]


@pytest.mark.parametrize(("rule", "left"), [(Overflow.DROP_OLDEST, [3, 4, 5]), (Overflow.DROP_NEWEST, [1, 2, 3])])
async def test_overflow(rule: Overflow, left: list[int]) -> None:
    inbox = Inbox[int](3, rule)
    for n in range(1, 6):
        inbox.put(n)
    assert inbox.dropped == 2
    inbox.close()
    assert await drain(inbox) == left


async def test_the_reader_waits_and_ends() -> None:
    inbox = Inbox[int](3, Overflow.DROP_OLDEST)
    reader = asyncio.create_task(drain(inbox))
    await asyncio.sleep(0)
    inbox.put(1)
    await asyncio.sleep(0)
    inbox.close()
    inbox.close()
    inbox.put(2)
    assert await reader == [1]
    assert inbox.dropped == 1


async def test_a_writer_that_waits_for_room_loses_nothing() -> None:
    inbox = Inbox[int](2, Overflow.DROP_OLDEST)

    async def write() -> None:
        for n in range(100):
            await inbox.room()
            inbox.put(n)
        inbox.close()

    reader, _ = await asyncio.gather(drain(inbox), write())
    assert reader == list(range(100))
    assert inbox.dropped == 0


async def test_closing_frees_a_waiting_writer() -> None:
    inbox = Inbox[int](1, Overflow.DROP_OLDEST)
    inbox.put(1)
    waiting = asyncio.create_task(inbox.room())
    await asyncio.sleep(0)
    inbox.close()
    await waiting
