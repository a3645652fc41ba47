"""What runs beside everything else: started in one TaskGroup, stopped in reverse when the application's stack unwinds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Self

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
"""Seconds before what failed is begun anew, at most: 1, 2, 4 … 60."""
DRAIN_SECONDS = 5.0
"""Seconds that alerts and rows still waiting have at shutdown."""


class Background:
    """The one TaskGroup of the process. What runs in it and fails is logged and begun anew: it ends neither the calls nor the others."""

    def __init__(self, stack: AsyncExitStack, group: asyncio.TaskGroup) -> None:
        self._stack = stack
        self._group = group
        self.failures = 0
        """How often something failed that should not."""

    @classmethod
    async def open(cls, stack: AsyncExitStack) -> Self:
        """Enter the group; what is pushed on the stack afterwards closes before the group does."""
        return cls(stack, await stack.enter_async_context(asyncio.TaskGroup()))

    def start(self, name: str, run: Callable[[], Awaitable[None]], close: Callable[[], None] | None = None) -> None:
        """Run it until the stack unwinds; if it has a `close`, it then has `DRAIN_SECONDS` to finish what waits."""

        async def work() -> None:
            for attempt in count():
                try:
                    await run()
                    break
                except Exception:
                    self.failures += 1
                    log.exception("something in the background failed, it is begun anew", extra={"what": name})
                    await asyncio.sleep(min(2.0 ** min(attempt, 16), LONGEST_PAUSE))

        task = self._group.create_task(work(), name=name)

        async def stop() -> None:
            if close is not None:
                close()
                await asyncio.wait({task}, timeout=DRAIN_SECONDS)
            task.cancel()

        self._stack.push_async_callback(stop)
