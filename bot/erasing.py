"""Notices what other processes were asked to delete, and deletes it here, too."""

import asyncio
import logging

from moderation.errors import StorageError
from moderation.forgetting import Forgetting

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks at the table of requests: one look is a query on an index of a table that is nearly always empty."""
LONGEST_PAUSE = 5.0
"""The same while something fails: the pause doubles each time."""


class Catcher:
    """Runs where several processes share a database."""

    def __init__(self, forgetting: Forgetting) -> None:
        self._forgetting = forgetting
        self._closed = asyncio.Event()
        self._failing = False
        self.failed = 0
        """Looks at which something could not be read or deleted; it is tried again."""

    def close(self) -> None:
        """No more looks; `run` returns after the one it is at. What is asked for then is done at the next start."""
        self._closed.set()

    async def run(self) -> None:
        """Until closed."""
        failures = 0
        while not self._closed.is_set():
            failures = 0 if await self._look() else failures + 1
            pause = min(LOOK_SECONDS * 2 ** min(failures, 10), LONGEST_PAUSE)
            try:
                await asyncio.wait_for(self._closed.wait(), pause)
            except TimeoutError:
                continue

    async def _look(self) -> bool:
        try:
            if await self._forgetting.catch_up():
                self._failing = False
                return True
        except StorageError as error:
            if not self._failing:
                log.warning("what other processes deleted cannot be read, trying again", extra={"code": error.code})
        self._failing = True
        self.failed += 1
        return False
