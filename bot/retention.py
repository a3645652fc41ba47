"""Sweeps what may not be kept any longer: at the start, every hour, and soon after each session."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from bot.storage.retention import SqlRetention
from moderation.errors import StorageError
from moderation.events import Event, SessionEnded

log = logging.getLogger(__name__)

EVERY_SECONDS = 3600.0
SETTLE_SECONDS = 5.0
"""After a session's end, until its last rows are written."""


class Retention:
    """A `Sink` that notices ended sessions, and the sweeper."""

    def __init__(self, rows: SqlRetention, days: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`days`: the operator's limit. `now`: wall time."""
        self._rows = rows
        self._days = days
        self._now = now
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self.deleted = 0
        """Rows of transcripts, alerts and sessions so far."""
        self.failed = 0
        """Sweeps that the database did not finish; the next one goes on."""

    async def emit(self, event: Event) -> None:
        """Notice that a session ended."""
        if isinstance(event, SessionEnded):
            self._news.set()

    def close(self) -> None:
        """No more sweeps; `run` returns after the one it is at. What is due then is deleted at the next start."""
        self._closing.set()
        self._news.set()

    async def run(self) -> None:
        """Until closed."""
        while not self._closing.is_set():
            await self.sweep()
            if await _happens(self._news, EVERY_SECONDS):
                await _happens(self._closing, SETTLE_SECONDS)
                self._news.clear()

    async def sweep(self) -> None:
        """Once; a database that is away is only logged."""
        try:
            swept = await self._rows.sweep(self._now(), self._days)
        except StorageError as error:
            self.failed += 1
            log.error("what may not be kept any longer could not be deleted, trying again in an hour", extra={"code": error.code})
            return
        self.deleted += swept.segments + swept.alerts + swept.sessions
        if swept.segments or swept.alerts or swept.sessions:
            log.info("retention", extra={"segments": swept.segments, "alerts": swept.alerts, "sessions": swept.sessions})


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether it does within so many seconds."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
