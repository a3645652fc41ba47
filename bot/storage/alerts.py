"""Rows of alerts. Implements `moderation.ports.AlertStore`. What was said stands in `segments` alone; alerts name segments."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select

from bot.storage import rows
from bot.storage.database import Database
from bot.storage.rows import StoredAlert, Values
from bot.storage.served import served
from bot.storage.sessions import MAX_ROWS
from bot.storage.tables import alert_segments, alerts, sessions
from moderation.models import Alert, TranscriptSegment
from moderation.shards import ALL_SHARDS, Shards

CONTEXT, GROUPED = "context", "grouped"


class SqlAlertStore:
    """Alerts and the segments they name. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_alert(self, alert: Alert, message_id: int | None) -> None:
        """Insert, or bring up to date; a message id that is known is kept."""
        database = self._database
        insert = database.insert(alerts).values(_values(alert, message_id))
        fresh: dict[str, ColumnElement[Any]] = {c.name: insert.excluded[c.name] for c in alerts.c if not c.primary_key}
        fresh["message_id"] = func.coalesce(insert.excluded.message_id, alerts.c.message_id)
        named = _named(alert)
        async with database.write() as connection:
            await connection.execute(database.insert(sessions).values(rows.session_values(alert.session)).on_conflict_do_nothing())
            await connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=fresh))
            await connection.execute(delete(alert_segments).where(alert_segments.c.alert_id == alert.id))
            if named:
                await connection.execute(alert_segments.insert(), named)

    async def recent_alerts(self, guild_id: int, limit: int) -> Sequence[tuple[str, int, str]]:
        """(alert id, speaker id, state), newest first."""
        query = select(alerts.c.id, alerts.c.speaker_id, alerts.c.state).where(alerts.c.guild_id == guild_id)
        newest = query.order_by(alerts.c.spoken_at.desc(), alerts.c.id).limit(min(limit, MAX_ROWS))
        async with self._database.read() as connection:
            return [(row.id, row.speaker_id, row.state) for row in await connection.execute(newest)]

    async def alert(self, guild_id: int, alert_id: str) -> StoredAlert | None:
        """One alert of that guild."""
        async with self._database.read() as connection:
            found = await connection.execute(select(alerts).where(alerts.c.guild_id == guild_id, alerts.c.id == alert_id))
            row = found.one_or_none()
            if row is None:
                return None
            query = select(alert_segments).where(alert_segments.c.alert_id == alert_id)
            named = (await connection.execute(query.order_by(alert_segments.c.start_seconds, alert_segments.c.segment_id))).all()
        return StoredAlert(
            id=row.id,
            guild_id=row.guild_id,
            session_id=row.session_id,
            channel_id=row.channel_id,
            speaker_id=row.speaker_id,
            segment_id=row.segment_id,
            state=row.state,
            severity=row.severity,
            categories=tuple(row.categories),
            start=row.start_seconds,
            end=row.end_seconds,
            spoken_at=row.spoken_at,
            message_id=row.message_id,
            context=tuple(n.segment_id for n in named if n.role == CONTEXT),
            grouped=tuple(n.segment_id for n in named if n.role == GROUPED),
        )

    async def forget(self, user_id: int, shards: Shards = ALL_SHARDS) -> int:
        """Delete the alerts about that user, and their turns around others' alerts; how many rows. `shards`: whose servers'."""
        about = (alerts.c.speaker_id == user_id, served(alerts.c.guild_id, shards))
        own = select(alerts.c.id).where(*about)
        async with self._database.write() as connection:
            named = alert_segments.c
            theirs = (named.speaker_id == user_id) & served(named.guild_id, shards)
            first = await connection.execute(delete(alert_segments).where(theirs | named.alert_id.in_(own)))
            then = await connection.execute(delete(alerts).where(*about))
            return first.rowcount + then.rowcount


def _values(alert: Alert, message_id: int | None) -> Values:
    start, end = alert.evidence_span
    return {
        "id": alert.id,
        "guild_id": alert.session.guild_id,
        "session_id": alert.session.id,
        "channel_id": alert.session.channel_id,
        "speaker_id": alert.speaker.id,
        "segment_id": alert.segment.id,
        "state": str(alert.state),
        "severity": alert.severity,
        "score": alert.verdict.score,
        "confidence": alert.verdict.confidence,
        "categories": list(alert.categories),
        "start_seconds": start,
        "end_seconds": end,
        "spoken_at": rows.spoken_at(alert.session, alert.segment),
        "grouped_dropped": alert.grouped_dropped,
        "message_id": message_id,
    }


def _named(alert: Alert) -> list[Values]:
    """The segments around it, each once."""
    named = {f.segment.id: _name(alert, f.segment, CONTEXT) for f in alert.context}
    named |= {f.segment.id: _name(alert, f.segment, GROUPED) for f in alert.grouped}
    return list(named.values())


def _name(alert: Alert, segment: TranscriptSegment, role: str) -> Values:
    return {
        "alert_id": alert.id,
        "segment_id": segment.id,
        "guild_id": alert.session.guild_id,
        "speaker_id": segment.speaker_id,
        "role": role,
        "start_seconds": segment.start,
    }
