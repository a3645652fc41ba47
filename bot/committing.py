"""Writing one entry with patience: a database that neither takes nor refuses it in time counts as away, and the write is not forgotten."""

import asyncio
import logging

from bot.records import Entry
from bot.writing import RecordWriter
from moderation.errors import StorageError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.5
"""How long one record may take before those behind it go to the journal: a crash meanwhile would lose them."""
START_SECONDS = 10.0
"""The same at the start: what is replayed is in the journal, and nothing is behind it yet."""
STUCK_SECONDS = 30.0
"""After which a write that neither succeeds nor fails is cancelled."""


class Committer:
    """One write at a time; the caller sees to that."""

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self.patient = False
        """Whether to wait as long as at the start."""
        self._stuck: asyncio.Task[None] | None = None
        self._stuck_since = 0.0
        self.written = 0
        """Records that became rows."""
        self.failed = 0
        """Records that the database refuses for what they are."""

    async def commit(self, entry: Entry) -> bool:
        """Whether the entry needs no further thought; False: the database is away."""
        task = asyncio.create_task(self._writer.write(entry), name="row")
        done, _ = await asyncio.wait({task}, timeout=START_SECONDS if self.patient else PATIENCE_SECONDS)
        if not done:
            self._stuck, self._stuck_since = task, asyncio.get_running_loop().time()
            return False
        error = task.exception()
        if error is None:
            self.written += 1
            return True
        code = error.code if isinstance(error, StorageError) else type(error).__name__
        if isinstance(error, StorageError) and error.retryable:
            return False
        self.failed += 1
        log.error("an event was not recorded", extra={"event": type(entry.record).__name__, "code": code})
        return True

    async def unstuck(self) -> bool:
        """Whether no write is under way. Its record is in the journal, so how it ended does not matter."""
        task = self._stuck
        if task is None:
            return True
        if not task.done() and asyncio.get_running_loop().time() - self._stuck_since > STUCK_SECONDS:
            task.cancel()
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if not done:
            return False
        self._stuck = None
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain
        return True

    async def abandon(self) -> None:
        """Cancel a write that is under way: it must not be committed later."""
        if self._stuck is not None:
            self._stuck.cancel()
            await asyncio.wait({self._stuck})
