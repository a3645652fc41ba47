"""Deletes what is older than it may be: transcripts, alerts, and sessions of which nothing is left. A batch is one short transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.database import Database
from bot.storage.erasures import KEEP
from bot.storage.served import served
from bot.storage.tables import alert_segments, alerts, coverage, erasures, flags, guild_privacy, notice_mentions, segments, sessions
from moderation.shards import ALL_SHARDS, Shards

BATCH = 500
"""Rows that one transaction deletes at most, besides what hangs on them: others write in between."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep deleted."""

    segments: int = 0
    alerts: int = 0
    sessions: int = 0


class SqlRetention:
    """Every method raises `StorageError` when the database does not do it; what is deleted by then stays deleted."""

    def __init__(self, database: Database, *, shards: Shards = ALL_SHARDS, batch: int = BATCH) -> None:
        """`shards`: whose servers' rows this process sweeps."""
        self._database = database
        self._shards = shards
        self._batch = batch

    async def sweep(self, now: datetime, days: int) -> Swept:
        """Delete what is too old at `now`. `days`: the operator's limit; servers may have shorter ones. 0: only sessions going on."""
        said = told = ended = 0
        async with self._database.read() as connection:
            ours = select(sessions.c.guild_id).where(served(sessions.c.guild_id, self._shards))
            guilds = list((await connection.execute(ours.distinct())).scalars())
            chosen = {row.guild_id: row for row in await connection.execute(select(guild_privacy))}
        for guild_id in guilds:
            mine = chosen.get(guild_id)
            transcripts, cards = (_days(days, own) for own in ((mine.transcript_days, mine.alert_days) if mine else (None, None)))
            said += await self._all(segments, guild_id, _old(segments, now, transcripts))
            told += await self._all(alerts, guild_id, _old(alerts, now, cards))
            ended += await self._all(sessions, guild_id, _empty(now, transcripts))
        async with self._database.write() as connection:
            await connection.execute(delete(notice_mentions).where(notice_mentions.c.posted_at < now - timedelta(days=days)))
            await connection.execute(delete(erasures).where(erasures.c.requested_at < now - KEEP))
        return Swept(said, told, ended)

    async def _all(self, table: Table, guild_id: int, old: ColumnElement[bool]) -> int:
        count = 0
        while True:
            async with self._database.write() as connection:
                ids = list(
                    (await connection.execute(select(table.c.id).where(table.c.guild_id == guild_id, old).limit(self._batch))).scalars()
                )
                if ids:
                    await _delete(connection, table, ids)
            count += len(ids)
            if len(ids) < self._batch:
                return count


async def _delete(connection: AsyncConnection, table: Table, ids: list[str]) -> None:
    """The rows, and first what hangs on them."""
    hanging = {
        segments: flags.c.segment_id,
        alerts: alert_segments.c.alert_id,
        sessions: coverage.c.session_id,
    }[table]
    await connection.execute(delete(hanging.table).where(hanging.in_(ids)))
    await connection.execute(delete(table).where(table.c.id.in_(ids)))


def _days(limit: int, own: int | None) -> int:
    return limit if own is None else min(limit, own)


def _old(table: Table, now: datetime, days: int) -> ColumnElement[bool]:
    over = exists().where(sessions.c.id == table.c.session_id, sessions.c.ended_at.is_not(None))
    return over if days == 0 else table.c.spoken_at < now - timedelta(days=days)


def _empty(now: datetime, days: int) -> ColumnElement[bool]:
    said, told = (~exists().where(t.c.session_id == sessions.c.id) for t in (segments, alerts))
    return (sessions.c.ended_at <= now - timedelta(days=days)) & said & told
