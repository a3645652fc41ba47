"""What runs beside everything else: started in one TaskGroup, stopped in reverse when the application's stack unwinds."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Self

DRAIN_SECONDS = 5.0
"""Seconds that alerts and rows still waiting have at shutdown."""


class Background:
    """The one TaskGroup of the process."""

    def __init__(self, stack: AsyncExitStack, group: asyncio.TaskGroup) -> None:
        self._stack = stack
        self._group = group

    @classmethod
    async def open(cls, stack: AsyncExitStack) -> Self:
        """Enter the group; what is pushed on the stack afterwards closes before the group does."""
        return cls(stack, await stack.enter_async_context(asyncio.TaskGroup()))

    def start(self, name: str, run: Callable[[], Awaitable[None]], close: Callable[[], None] | None = None) -> None:
        """Run it until the stack unwinds; if it has a `close`, it then has `DRAIN_SECONDS` to finish what waits."""

        async def work() -> None:
            await run()

        task = self._group.create_task(work(), name=name)

        async def stop() -> None:
            if close is not None:
                close()
                await asyncio.wait({task}, timeout=DRAIN_SECONDS)
            task.cancel()

        self._stack.push_async_callback(stop)
