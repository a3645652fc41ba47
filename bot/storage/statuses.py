"""Members' own channel statuses while the bot's notice stands in their place. Implements `bot.sources.statuses.StatusKeeper`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select

from bot.storage.database import Database
from bot.storage.tables import kept_statuses

KEEP_DAYS = 30
"""A status that could not be put back for so long is of no use to anybody any more."""


def _now() -> datetime:
    return datetime.now(UTC)


class SqlStatuses:
    """The table: a row for each channel. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database, now: Callable[[], datetime] = _now) -> None:
        """`now`: wall time, UTC."""
        self._database = database
        self._now = now

    async def keep(self, guild_id: int, channel_id: int, status: str | None) -> None:
        """Remember the status instead of what was remembered; what is too old is dropped on the way."""
        now = self._now()
        row = {"channel_id": channel_id, "guild_id": guild_id, "status": status, "kept_at": now}
        async with self._database.write() as connection:
            await connection.execute(delete(kept_statuses).where(kept_statuses.c.kept_at < now - timedelta(days=KEEP_DAYS)))
            await connection.execute(self._database.upsert(kept_statuses, row))

    async def kept(self, channel_id: int) -> str | None:
        """What is remembered of the channel, if anything."""
        async with self._database.read() as connection:
            found: str | None = await connection.scalar(select(kept_statuses.c.status).where(kept_statuses.c.channel_id == channel_id))
            return found

    async def drop(self, channel_id: int) -> None:
        """Remember it no more."""
        async with self._database.write() as connection:
            await connection.execute(delete(kept_statuses).where(kept_statuses.c.channel_id == channel_id))
