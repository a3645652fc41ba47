"""Rows of alerts that the moderators do not have yet, so that another process can bring them.

A row goes when its card is up to date. One that cannot be delivered keeps its row without what was said, so that it is counted.
Where several processes share a database, each delivers its own servers' alerts.
"""

from datetime import datetime, timedelta

from sqlalchemy import Table, delete, func, select, update

from bot.records import AlertWaiting, alert_without_user, decode_alert, encode_alert
from bot.storage.database import Database
from bot.storage.rows import Values
from bot.storage.served import served
from bot.storage.tables import outbox
from moderation.errors import StorageError
from moderation.shards import ALL_SHARDS, Shards

PENDING, UNDELIVERABLE = "pending", "undeliverable"

KEEP_UNDELIVERABLE = timedelta(days=30)
"""How long it stays known that an alert could not be delivered."""


class SqlOutbox:
    """One lane's table. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database, shards: Shards = ALL_SHARDS, table: Table = outbox) -> None:
        """`shards`: whose servers' alerts this process delivers; `table`: one of those for a lane, all of the same shape."""
        self._database = database
        self._shards = shards
        self._table = table

    async def put(self, waiting: AlertWaiting) -> None:
        """Insert, or bring up to date."""
        alert = waiting.alert
        values: Values = {
            "alert_id": alert.id,
            "guild_id": alert.session.guild_id,
            "speaker_id": alert.speaker.id,
            "state": PENDING,
            "attempts": waiting.attempts,
            "since": waiting.since,
            "next_attempt_at": waiting.next_attempt_at,
            "message_id": waiting.message_id,
            "payload": encode_alert(alert),
        }
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(self._table, values))

    async def remove(self, alert_id: str) -> None:
        """It is delivered."""
        async with self._database.write() as connection:
            await connection.execute(delete(self._table).where(self._table.c.alert_id == alert_id))

    async def give_up(self, alert_id: str, now: datetime) -> None:
        """It cannot be delivered: what was said goes from the row. Rows that were given up long ago go, too."""
        old = delete(self._table).where(self._table.c.state == UNDELIVERABLE, self._table.c.since < now - KEEP_UNDELIVERABLE)
        async with self._database.write() as connection:
            given_up = (
                update(self._table).where(self._table.c.alert_id == alert_id).values(state=UNDELIVERABLE, payload="", next_attempt_at=None)
            )
            await connection.execute(given_up)
            await connection.execute(old)

    async def pending(self, limit: int) -> list[AlertWaiting]:
        """What waits, newest first, at most `limit`; a row that this version cannot read is given up."""
        mine = select(self._table).where(self._table.c.state == PENDING, served(self._table.c.guild_id, self._shards))
        newest = mine.order_by(self._table.c.since.desc(), self._table.c.alert_id).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(newest)).all()
        found, unreadable = [], []
        for row in rows:
            try:
                alert = decode_alert(row.payload)
            except StorageError:
                unreadable.append(row)
            else:
                found.append(AlertWaiting(alert, row.since, row.message_id, row.attempts, row.next_attempt_at))
        for row in unreadable:
            await self.give_up(row.alert_id, row.since)
        return found

    async def counts(self) -> dict[str, int]:
        """State → how many rows."""
        query = select(self._table.c.state, func.count().label("rows")).group_by(self._table.c.state)
        async with self._database.read() as connection:
            return {row.state: row.rows for row in await connection.execute(query)}

    async def forget(self, user_id: int, shards: Shards = ALL_SHARDS) -> int:
        """Delete the alerts about that user, and their turns from others' alerts; how many rows. `shards`: whose servers'.

        Of an alert that this version cannot read nobody can say whom it quotes: what was said goes from its row.
        """
        ours = served(self._table.c.guild_id, shards)
        count = 0
        async with self._database.write() as connection:
            said = select(self._table.c.alert_id, self._table.c.payload).where(self._table.c.payload != "", ours)
            for row in (await connection.execute(said)).all():
                payload = _without_user(row.payload, user_id)
                if payload != row.payload:
                    state = PENDING if payload else UNDELIVERABLE
                    mine = update(self._table).where(self._table.c.alert_id == row.alert_id)
                    await connection.execute(mine.values(payload=payload, state=state))
                    count += 1
            own = await connection.execute(delete(self._table).where(self._table.c.speaker_id == user_id, ours))
        return count + own.rowcount


def _without_user(payload: str, user_id: int) -> str:
    """Unchanged where it says nothing of the user, or is about them: then the whole row goes."""
    try:
        alert = decode_alert(payload)
    except StorageError:
        return ""
    kept = alert_without_user(alert, user_id)
    return payload if kept in (None, alert) else encode_alert(kept)
