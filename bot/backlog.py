"""What the database does not take now, in order: in the journal, and in memory where the disk takes no more."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

from bot.committing import Committer
from bot.journal import Journal, Line
from bot.records import Entry, decode, encode, without_user
from moderation.errors import StorageError

log = logging.getLogger(__name__)

BATCH = 32
"""Entries replayed before those that came meanwhile are journalled."""


class Backlog:
    """The caller sees to it that only one of its methods runs at a time."""

    def __init__(self, journal: Journal, committer: Committer) -> None:
        self._journal = journal
        self._committer = committer
        self._held: deque[Entry] = deque()
        self.failed = 0
        """Records that cannot be written to the journal or read from it for what they are."""
        self.journalled = 0
        """Records that went to the journal."""
        self.replayed = 0
        """Records that came from the journal."""

    def __len__(self) -> int:
        return len(self._held) + self._journal.waiting

    @property
    def held(self) -> int:
        """Records that are in memory alone because the disk does not take them: a crash would lose them."""
        return len(self._held)

    @property
    def damaged(self) -> int:
        """Lines of the journal that were cut off or changed."""
        return self._journal.damaged

    async def take(self, entries: Iterable[Entry]) -> bool:
        """To the journal; what it does not take stays in memory, in order. Whether all is safe."""
        self._held.extend(entries)
        encoded = [(entry, self._encoded(entry)) for entry in self._held]
        self._held = deque(entry for entry, line in encoded if line is not None)
        if not self._held:
            return True
        lines = [line for _, line in encoded if line is not None]
        try:
            await asyncio.to_thread(self._journal.append, lines)
        except OSError as error:
            log.error("the journal takes no rows, they wait in memory", extra={"error": error.errno, "waiting": len(self)})
            return False
        self.journalled += len(lines)
        self._held.clear()
        return True

    def _encoded(self, entry: Entry) -> bytes | None:
        try:
            return encode(entry)
        except StorageError as error:
            self.failed += 1
            log.error("an event was not recorded", extra={"event": type(entry.record).__name__, "code": error.code})
            return None

    async def replay(self) -> bool | None:
        """Bring the oldest that wait into the database: True when nothing waits any more, None when more does, False when it is away."""
        try:
            lines = await asyncio.to_thread(self._journal.peek, BATCH)
        except OSError as error:
            log.error("the journal cannot be read", extra={"error": error.errno})
            return False
        for line in lines:
            if not await self._replay_line(line):
                return False
        if lines:
            return None
        while self._held:
            if not await self._committer.commit(self._held[0]):
                return False
            self._held.popleft()
        await asyncio.to_thread(self._journal.clear)
        return True

    async def _replay_line(self, line: Line) -> bool:
        try:
            entry = decode(line.data)
        except StorageError as error:
            self.failed += 1
            log.error("a journalled event cannot be read", extra={"code": error.code})
        else:
            if not await self._committer.commit(entry):
                return False
            self.replayed += 1
        self._journal.advance(line)
        return True

    async def forget(self, user_id: int) -> int:
        """Drop everything about that user; how many records. Raises `StorageError` when the journal cannot be rewritten."""

        def change(line: bytes) -> bytes | None:
            try:
                entry = decode(line)
            except StorageError:
                return None  # nobody can say whom it is about
            kept = without_user(entry.record, user_id)
            return line if kept == entry.record else None if kept is None else encode(Entry(entry.at, kept))

        try:
            count = await asyncio.to_thread(self._journal.rewrite, change)
        except OSError as error:
            raise StorageError(f"The journal cannot be rewritten ({error.strerror}).", retryable=True) from None
        held = [(e, without_user(e.record, user_id)) for e in self._held]
        self._held = deque(Entry(e.at, kept) for e, kept in held if kept is not None)
        return count + sum(kept != e.record for e, kept in held)
