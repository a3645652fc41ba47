"""Handing items from other threads to one task on the event loop: bounded, in bursts."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """Any thread puts, one task takes. The loop is woken once per burst: the next wake-up comes after the reader has caught up.

    When full, the oldest droppable item is dropped and counted; where none is droppable, the oldest of all.
    """

    def __init__(self, capacity: int, droppable: Callable[[T], bool]) -> None:
        """Must be made on the event loop that takes. `droppable`: False for items whose loss would break their stream."""
        self._loop = asyncio.get_running_loop()
        self._capacity = capacity
        self._droppable = droppable
        self._items: deque[T] = deque()
        self._guard = threading.Lock()
        self._woken = False
        self._closed = False
        self._news = asyncio.Event()
        self.dropped = 0
        """Items lost because it was full."""
        self.wakes = 0
        """How often the loop was woken."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Sequence[T]) -> None:
        """Add items in order; never waits."""
        if not items:
            return
        with self._guard:
            for item in items:
                if len(self._items) >= self._capacity:
                    self._make_room()
                self._items.append(item)
            wake, self._woken = not self._woken, True
        if wake:
            self._wake()

    def close(self) -> None:
        """The reader gets what is there and then ends. Idempotent."""
        self._closed = True
        self._wake()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            self._news.clear()
            while (item := self._take()) is not None:
                yield item
            if self._closed and not self._items:
                return
            await self._news.wait()

    def _take(self) -> T | None:
        with self._guard:
            if self._items:
                return self._items.popleft()
            self._woken = False
            return None

    def _make_room(self) -> None:
        victim = next((index for index, item in enumerate(self._items) if self._droppable(item)), 0)
        del self._items[victim]
        self.dropped += 1

    def _wake(self) -> None:
        self.wakes += 1
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._news.set)
