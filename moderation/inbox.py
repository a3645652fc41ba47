"""A bounded, closable channel between tasks, with a stated rule for when it is full and a counter that shows it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Overflow(StrEnum):
    """What `put` does with a full inbox."""

    DROP_OLDEST = "drop-oldest"
    DROP_NEWEST = "drop-newest"


class Inbox(Generic[T]):
    """Many writers, one reader, all on one event loop. `put` never waits; what does not fit is dropped and counted."""

    def __init__(self, size: int, overflow: Overflow) -> None:
        """`size`: how many items it holds at most."""
        self._items: deque[T] = deque()
        self._size = size
        self._overflow = overflow
        self._closed = False
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self.dropped = 0
        """Items lost because the inbox was full, or that came after `close`."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Add an item; when full, drop by the overflow rule."""
        full = len(self._items) >= self._size
        if self._closed or (full and self._overflow is Overflow.DROP_NEWEST):
            self.dropped += 1
            return
        if full:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._ready.set()

    async def room(self) -> None:
        """Wait until `put` would drop nothing: for writers that can wait, such as files."""
        while len(self._items) >= self._size and not self._closed:
            self._room.clear()
            await self._room.wait()

    def remove(self, doomed: Callable[[T], bool]) -> list[T]:
        """Take out the items that are `doomed`, wherever they wait; not counted as dropped."""
        removed = [item for item in self._items if doomed(item)]
        self._items = deque(item for item in self._items if not doomed(item))
        self._room.set()
        return removed

    def change(self, change: Callable[[T], T | None]) -> int:
        """Change the items that wait, or take them out (None); how many were changed. Not counted as dropped."""
        changed = [(item, change(item)) for item in self._items]
        self._items = deque(new for _, new in changed if new is not None)
        self._room.set()
        return sum(new is not old for old, new in changed)

    def close(self) -> None:
        """No more items; the reader gets what is there and then ends. Idempotent."""
        self._closed = True
        self._ready.set()
        self._room.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            while self._items:
                item = self._items.popleft()
                self._room.set()
                yield item
            if self._closed:
                return
            self._ready.clear()
            await self._ready.wait()
