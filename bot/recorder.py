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

from bot.backlog import Backlog
from bot.committing import Committer
from bot.journal import Journal
from bot.records import Entry, Record, without_user
from bot.writing import RecordWriter
from moderation.events import Event, SegmentFlagged, SegmentTranscribed, SessionEnded, SessionMoved, SessionStarted

log = logging.getLogger(__name__)

MAX_QUEUED = 4096
"""Records in memory. When full, the newest is refused and counted: those already waiting stay in order."""
FIRST_PAUSE = 0.25
"""Seconds until a database that is away is tried again; doubles each time."""
LONGEST_PAUSE = 10.0


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
        self._committer = Committer(writer)
        self._backlog = Backlog(journal, self._committer)
        self._now = now
        self._queue: deque[_Queued] = deque()
        self._news = asyncio.Event()
        self._lock = asyncio.Lock()
        self._closed = False
        self._failures = 0
        self.away = journal.waiting > 0
        """Whether records go to the journal, because the database does not take them or has not caught up yet."""
        self.dropped = 0
        """Records lost because neither database nor disk took them for too long."""

    @property
    def written(self) -> int:
        """Records that became rows."""
        return self._committer.written

    @property
    def failed(self) -> int:
        """Records that could not be written for what they are."""
        return self._committer.failed + self._backlog.failed

    @property
    def journalled(self) -> int:
        """Records that went to the journal."""
        return self._backlog.journalled

    @property
    def replayed(self) -> int:
        """Records that came from the journal."""
        return self._backlog.replayed

    @property
    def refused(self) -> int:
        """Records, or parts of them, about members whose data another process was asked to delete."""
        return self._writer.refused

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return len(self._queue) + len(self._backlog)

    @property
    def unsafe(self) -> int:
        """Records that are in memory alone because the disk does not take them: a crash would lose them."""
        return self._backlog.held

    async def emit(self, event: Event) -> None:
        """Queue an event; never waits."""
        if isinstance(event, SegmentTranscribed) and not event.segment.final:
            return
        if isinstance(event, SessionStarted | SessionMoved | SegmentTranscribed | SegmentFlagged | SessionEnded):
            self.submit(event)

    def submit(self, record: Record) -> "asyncio.Future[bool]":
        """Queue a record; the future is true once it is committed or journalled, false when it is neither."""
        queued = _Queued(Entry(self._now(), record))
        if self._closed or len(self._queue) + self._backlog.held >= MAX_QUEUED:
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
        if self._backlog.damaged:
            log.warning("lines of the journal were cut off or changed, they are skipped", extra={"lines": self._backlog.damaged})
        self._committer.patient = True
        try:
            while self.away and await self._replay():
                pass
        finally:
            self._committer.patient = False

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
            if await self._committer.commit(queued.entry):
                self._queue.popleft()
                queued.resolve(True)
                return
            self.away = True
            log.warning("the database takes no rows, they go to the journal", extra={"waiting": self.waiting})

    async def _spill(self) -> None:
        """From the queue to the journal."""
        async with self._lock:
            queued = [*self._queue]
            self._queue.clear()
            safe = await self._backlog.take(q.entry for q in queued)
            for q in queued:
                q.resolve(safe)

    async def _replay(self) -> bool:
        """Bring the oldest that wait into the database; whether it took them."""
        if not await self._committer.unstuck():
            return False
        async with self._lock:
            empty = await self._backlog.replay()
            if empty:
                self.away = False
                log.info("the database has caught up", extra={"replayed": self.replayed})
        return empty is not False

    async def caught_up(self, timeout: float) -> None:
        """Wait until what is queued now is written or journalled, at most so many seconds."""
        if waiting := [queued.safe for queued in self._queue]:
            await asyncio.wait(waiting, timeout=timeout)

    async def forget(self, user_id: int) -> int:
        """Drop everything about that user from memory and journal; how many records. Call it before the stores' own `forget`."""
        async with self._lock:
            await self._committer.abandon()  # it is in the journal, too
            count = await self._backlog.forget(user_id)
            for queued in list(self._queue):
                kept = without_user(queued.entry.record, user_id)
                count += kept != queued.entry.record
                if kept is None:
                    self._queue.remove(queued)
                    queued.resolve(False)
                else:
                    queued.entry = Entry(queued.entry.at, kept)
        return count
