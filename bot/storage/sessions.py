"""Rows of sessions and what was said in them. Implements `moderation.ports.SessionStore`."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage import rows
from bot.storage.database import Database
from bot.storage.rows import Counts, StoredSession
from bot.storage.served import served
from bot.storage.tables import alerts, flags, lexicon_terms, segments, sessions
from bot.storage.tables import coverage as coverages
from moderation.models import Coverage, Finding, Session, TranscriptSegment, Verdict
from moderation.shards import ALL_SHARDS, Shards

MAX_ROWS = 1000
"""Rows that one call returns at most."""

STALE = "process-ended"
"""`end_reason` of sessions whose process ended without ending them."""


class SqlSessionStore:
    """Sessions, segments, flags and coverage. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start_session(self, session: Session) -> None:
        """A session began."""
        async with self._database.write() as connection:
            await self._ensure(connection, session)

    async def move_session(self, session: Session) -> None:
        """A session went to another channel, the one that it names."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(sessions, rows.session_values(session)))

    async def end_session(self, session: Session, ended_at: datetime, reason: str, coverage: Sequence[Coverage]) -> None:
        """A session ended, with what was heard of each speaker."""
        ended = {**rows.session_values(session), "ended_at": ended_at, "end_reason": reason}
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(sessions, ended))
            for speaker in coverage:
                await connection.execute(self._database.upsert(coverages, rows.coverage_values(session, speaker)))

    async def add_segment(self, session: Session, segment: TranscriptSegment, verdict: Verdict) -> None:
        """A final segment with its flags; again: one row, with the newer verdict. Its session is added where it is missing."""
        async with self._database.write() as connection:
            await self._ensure(connection, session)
            await connection.execute(self._database.upsert(segments, rows.segment_values(session, segment, verdict)))
            await connection.execute(delete(flags).where(flags.c.segment_id == segment.id))
            if verdict.flags:
                await connection.execute(flags.insert(), rows.flag_values(session, segment, verdict))

    async def close_stale(self, now: datetime, shards: Shards = ALL_SHARDS) -> int:
        """End the sessions that began before `now` and were never ended, at the last word heard in them; how many.

        Call it before the process starts sessions of its own. Those of other processes' shards may go on: they are left alone.
        """
        last = select(func.max(segments.c.spoken_at)).where(segments.c.session_id == sessions.c.id).scalar_subquery()
        stale = update(sessions).where(sessions.c.ended_at.is_(None), sessions.c.started_at < now, served(sessions.c.guild_id, shards))
        async with self._database.write() as connection:
            result = await connection.execute(stale.values(ended_at=func.coalesce(last, sessions.c.started_at), end_reason=STALE))
            return result.rowcount

    async def recent_sessions(self, guild_id: int, limit: int = 20) -> list[StoredSession]:
        """A guild's sessions, newest first."""
        count = select(func.count()).where(segments.c.session_id == sessions.c.id).scalar_subquery()
        query = select(sessions, count.label("segments")).where(sessions.c.guild_id == guild_id)
        async with self._database.read() as connection:
            found = await connection.execute(query.order_by(sessions.c.started_at.desc(), sessions.c.id).limit(min(limit, MAX_ROWS)))
            return [StoredSession(rows.to_session(r), r.ended_at, r.end_reason, r.segments) for r in found]

    async def segments(self, guild_id: int, session_id: str, *, after: float = -1.0, limit: int = 200) -> list[Finding]:
        """What was said in a session, with flags, in time order; `after`: only what began later (media seconds), for paging."""
        wanted = (segments.c.guild_id == guild_id, segments.c.session_id == session_id, segments.c.start_seconds > after)
        query = select(segments).where(*wanted).order_by(segments.c.start_seconds, segments.c.id).limit(min(limit, MAX_ROWS))
        async with self._database.read() as connection:
            said = (await connection.execute(query)).all()
            ids = [row.id for row in said]
            found = await connection.execute(select(flags).where(flags.c.segment_id.in_(ids)).order_by(flags.c.position))
            by_segment: dict[str, list[Row[Any]]] = defaultdict(list)
            for row in found:
                by_segment[row.segment_id].append(row)
            return [rows.to_finding(row, by_segment[row.id]) for row in said]

    async def coverage(self, guild_id: int, session_id: str) -> list[Coverage]:
        """What was heard of each speaker of an ended session."""
        query = select(coverages).where(coverages.c.guild_id == guild_id, coverages.c.session_id == session_id)
        async with self._database.read() as connection:
            return [rows.to_coverage(row) for row in await connection.execute(query.order_by(coverages.c.speaker_id))]

    async def counts(self, guild_id: int) -> Counts:
        """How many rows the guild has."""
        tables = {"sessions": sessions, "segments": segments, "flags": flags, "alerts": alerts, "terms": lexicon_terms}
        columns = [select(func.count()).where(t.c.guild_id == guild_id).scalar_subquery().label(n) for n, t in tables.items()]
        async with self._database.read() as connection:
            return Counts(*(await connection.execute(select(*columns))).one())

    async def forget(self, user_id: int, shards: Shards = ALL_SHARDS) -> int:
        """Delete what that user said, its flags, and how much of them was heard; how many rows. `shards`: whose servers'."""
        async with self._database.write() as connection:
            count = 0
            for table in (flags, segments, coverages):
                theirs = delete(table).where(table.c.speaker_id == user_id, served(table.c.guild_id, shards))
                count += (await connection.execute(theirs)).rowcount
            return count

    async def _ensure(self, connection: AsyncConnection, session: Session) -> None:
        values = rows.session_values(session)
        await connection.execute(self._database.insert(sessions).values(values).on_conflict_do_nothing())
