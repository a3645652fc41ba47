"""Writes what happens in sessions to the database: one worker, in order, so that the pipeline never waits for a disk."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from moderation.errors import StorageError
from moderation.events import Event, SegmentFlagged, SegmentTranscribed, SessionEnded, SessionStarted
from moderation.inbox import Inbox, Overflow
from moderation.ports import SessionStore

log = logging.getLogger(__name__)

INBOX_SIZE = 4096
"""Events that may wait for the database. When full, the newest is refused and counted: rows already waiting stay in order."""


class Recorder:
    """A `Sink` that turns events into rows."""

    def __init__(self, store: SessionStore, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now`: wall time, for rows."""
        self._store = store
        self._now = now
        self._inbox: Inbox[Event] = Inbox(INBOX_SIZE, Overflow.DROP_NEWEST)
        self.written = 0
        """Events that became rows."""
        self.failed = 0
        """Events the database refused."""

    @property
    def dropped(self) -> int:
        """Events lost because the database lagged too far behind."""
        return self._inbox.dropped

    @property
    def waiting(self) -> int:
        """Events that wait for the database."""
        return len(self._inbox)

    async def emit(self, event: Event) -> None:
        """Queue an event; never waits."""
        if isinstance(event, SegmentTranscribed) and not event.segment.final:
            return
        if isinstance(event, SessionStarted | SegmentTranscribed | SegmentFlagged | SessionEnded):
            self._inbox.put(event)

    def close(self) -> None:
        """No more events; `run` returns when all are written."""
        self._inbox.close()

    async def run(self) -> None:
        """Write until closed."""
        async for event in self._inbox:
            try:
                await self._write(event)
                self.written += 1
            except StorageError as error:
                self.failed += 1
                log.error("an event was not recorded", extra={"event": type(event).__name__, "code": error.code})

    async def _write(self, event: Event) -> None:
        match event:
            case SessionStarted(session):
                await self._store.start_session(session)
            case SegmentTranscribed(session, _, segment, verdict) | SegmentFlagged(session, _, segment, verdict):
                await self._store.add_segment(session, segment, verdict)
            case SessionEnded(session, coverage, reason):
                await self._store.end_session(session, self._now(), reason, coverage)
            case _:
                pass
