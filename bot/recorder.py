"""Writes what happens to the database: one worker, in order, so that nobody waits for a disk.

    emit, submit ─▶ queue ─▶ database
                      └─ while it is locked, away or full ─▶ journal ─▶ (it is back) ─▶ database, in order ─▶ the journal is deleted
                                                    └─ where the disk takes no more ─▶ memory, bounded and counted

The stores take everything twice without harm, so a crash in the middle of a replay only begins it again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.journal import Journal, Line
from bot.records import Entry, Record, decode, encode, without_user
from bot.writing import RecordWriter
from moderation.errors import StorageError
from moderation.events import Event, SegmentFlagged, SegmentTranscribed, SessionEnded, SessionStarted

log = logging.getLogger(__name__)

MAX_QUEUED = 4096
"""Records in memory. When full, the newest is refused and counted: those already waiting stay in order."""
PATIENCE_SECONDS = 0.5
"""How long one record may take before those behind it go to the journal: a crash meanwhile would lose them."""
FIRST_PAUSE = 0.25
"""Seconds until a database that is away is tried again; doubles each time."""
LONGEST_PAUSE = 10.0
STUCK_SECONDS = 30.0
"""After which a write that neither succeeds nor fails is cancelled."""
BATCH = 32
"""Entries replayed before those that came meanwhile are journalled."""


@dataclass(slots=True, eq=False)
class _Queued:
    entry: Entry
    safe: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def resolve(self, safe: bool) -> None:
        if not self.safe.done():
            self.safe.set_result(safe)


class Recorder:
    """A `Sink` that turns events into rows, and the one door through which alerts are written."""

    def __init__(self, writer: RecordWriter, journal: Journal, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now`: wall time, for rows."""
        self._writer = writer
        self._journal = journal
        self._now = now
        self._queue: deque[_Queued] = deque()
        self._held: deque[Entry] = deque()
        self._news = asyncio.Event()
        self._lock = asyncio.Lock()
        self._closed = False
        self._stuck: asyncio.Task[None] | None = None
        self._stuck_since = 0.0
        self._failures = 0
        self.away = journal.waiting > 0
        """Whether records go to the journal, because the database does not take them or has not caught up yet."""
        self.written = 0
        """Records that became rows."""
        self.failed = 0
        """Records that the database refuses for what they are."""
        self.dropped = 0
        """Records lost because neither database nor disk took them for too long."""
        self.journalled = 0
        """Records that went to the journal."""
        self.replayed = 0
        """Records that came from the journal."""

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return len(self._queue) + len(self._held) + self._journal.waiting

    @property
    def unsafe(self) -> int:
        """Records that are in memory alone because the disk does not take them: a crash would lose them."""
        return len(self._held)

    async def emit(self, event: Event) -> None:
        """Queue an event; never waits."""
        if isinstance(event, SegmentTranscribed) and not event.segment.final:
            return
        if isinstance(event, SessionStarted | SegmentTranscribed | SegmentFlagged | SessionEnded):
            self.submit(event)

    def submit(self, record: Record) -> "asyncio.Future[bool]":
        """Queue a record; the future is true once it is committed or journalled, false when it is neither."""
        queued = _Queued(Entry(self._now(), record))
        if self._closed or len(self._queue) + len(self._held) >= MAX_QUEUED:
            self.dropped += 1
            queued.resolve(False)
        else:
            self._queue.append(queued)
            self._news.set()
        return queued.safe

    def close(self) -> None:
        """No more records; `run` returns when all are written, or at least journalled."""
        self._closed = True
        self._news.set()

    async def recover(self) -> None:
        """Replay what an earlier process left in the journal, as far as the database takes it now."""
        if self._journal.damaged:
            log.warning("lines of the journal were cut off or changed, they are skipped", extra={"lines": self._journal.damaged})
        while self.away and await self._replay():
            pass

    async def run(self) -> None:
        """Write until closed."""
        pause = 0.0
        while True:
            self._news.clear()
            if self.away:
                await self._spill()
                if pause <= 0 or self._closed:
                    went_on = await self._replay()
                    pause = 0.0 if went_on else min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
                    self._failures = 0 if went_on else min(self._failures + 1, 10)
            while self._queue and not self.away:
                await self._take()
            if self._closed and not self._queue and (not self.away or pause):
                return
            if not self.away or pause:
                pause = await self._sleep(pause if self.away else None)

    async def _sleep(self, seconds: float | None) -> float:
        """Until there is news; how much of the pause is left."""
        clock = asyncio.get_running_loop().time
        end = clock() + (seconds or 0.0)
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return 0.0
        return max(end - clock(), 0.001) if seconds else 0.0

    async def _take(self) -> None:
        async with self._lock:
            if not self._queue:
                return
            queued = self._queue[0]
            if await self._commit(queued.entry):
                self._queue.popleft()
                queued.resolve(True)
                return
            self.away = True
            log.warning("the database takes no rows, they go to the journal", extra={"waiting": self.waiting})

    async def _commit(self, entry: Entry) -> bool:
        """Whether the entry needs no further thought; False: the database is away."""
        task = asyncio.create_task(self._writer.write(entry), name="row")
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
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

    async def _spill(self) -> None:
        """From memory to the journal; what it does not take stays in memory, in order."""
        async with self._lock:
            queued = [*self._queue]
            self._queue.clear()
            self._held.extend(q.entry for q in queued)
            safe = True
            encoded = [(entry, self._encoded(entry)) for entry in self._held]
            self._held = deque(entry for entry, line in encoded if line is not None)
            if self._held:
                lines = [line for _, line in encoded if line is not None]
                try:
                    await asyncio.to_thread(self._journal.append, lines)
                    self.journalled += len(lines)
                    self._held.clear()
                except OSError as error:
                    safe = False
                    log.error("the journal takes no rows, they wait in memory", extra={"error": error.errno, "waiting": self.waiting})
            for q in queued:
                q.resolve(safe)

    def _encoded(self, entry: Entry) -> bytes | None:
        try:
            return encode(entry)
        except StorageError as error:
            self.failed += 1
            log.error("an event was not recorded", extra={"event": type(entry.record).__name__, "code": error.code})
            return None

    async def _replay(self) -> bool:
        """Bring the oldest that wait into the database; whether it took them."""
        if not await self._unstuck():
            return False
        async with self._lock:
            try:
                lines = await asyncio.to_thread(self._journal.peek, BATCH)
            except OSError as error:
                log.error("the journal cannot be read", extra={"error": error.errno})
                return False
            for line in lines:
                if not await self._replay_line(line):
                    return False
            while not lines and self._held:
                if not await self._commit(self._held[0]):
                    return False
                self._held.popleft()
            if not lines:
                await asyncio.to_thread(self._journal.clear)
                self.away = False
                log.info("the database has caught up", extra={"replayed": self.replayed})
        return True

    async def _replay_line(self, line: Line) -> bool:
        try:
            entry = decode(line.data)
        except StorageError as error:
            self.failed += 1
            log.error("a journalled event cannot be read", extra={"code": error.code})
        else:
            if not await self._commit(entry):
                return False
            self.replayed += 1
        self._journal.advance(line)
        return True

    async def _unstuck(self) -> bool:
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

    async def caught_up(self, timeout: float) -> None:
        """Wait until what is queued now is written or journalled, at most so many seconds."""
        if waiting := [queued.safe for queued in self._queue]:
            await asyncio.wait(waiting, timeout=timeout)

    async def forget(self, user_id: int) -> int:
        """Drop everything about that user from memory and journal; how many records. Call it before the stores' own `forget`."""

        def change(line: bytes) -> bytes | None:
            try:
                entry = decode(line)
            except StorageError:
                return None  # nobody can say whom it is about
            kept = without_user(entry.record, user_id)
            return line if kept == entry.record else None if kept is None else encode(Entry(entry.at, kept))

        async with self._lock:
            if self._stuck is not None:  # it is in the journal, too; it must not be committed later
                self._stuck.cancel()
                await asyncio.wait({self._stuck})
            count = await asyncio.to_thread(self._journal.rewrite, change)
            held = [(e, without_user(e.record, user_id)) for e in self._held]
            self._held = deque(Entry(e.at, kept) for e, kept in held if kept is not None)
            count += sum(kept != e.record for e, kept in held)
            for queued in list(self._queue):
                kept = without_user(queued.entry.record, user_id)
                count += kept != queued.entry.record
                if kept is None:
                    self._queue.remove(queued)
                    queued.resolve(False)
                else:
                    queued.entry = Entry(queued.entry.at, kept)
        return count
