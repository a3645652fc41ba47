"""Rows of posted cards from which a member's words are to be removed. They name messages, nobody, so they may outlive the member's data."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.records import alert_without_user, decode_alert
from bot.storage.database import Database
from bot.storage.served import served
from bot.storage.tables import alert_channels, alert_segments, alerts, notice_mentions, outbox, redactions
from moderation.errors import StorageError
from moderation.shards import ALL_SHARDS, Shards

MAX_CHANNELS = 10
"""Channels of a server in which a card is looked for."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """A card to be edited."""

    message_id: int
    guild_id: int
    whole: bool
    """The card is about the member; otherwise only its context quotes them."""
    channels: tuple[int, ...]
    """Where it may stand: the server's alert channels, past ones included."""


class SqlRedactions:
    """The table. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database, shards: Shards = ALL_SHARDS) -> None:
        """`shards`: whose servers' cards this process edits."""
        self._database = database
        self._shards = shards

    async def forget(self, user_id: int, shards: Shards = ALL_SHARDS) -> int:
        """Note the cards that quote that user, and the notices that name them, before their rows go; how many. `shards`: whose servers'."""
        columns = (alerts.c.message_id, alerts.c.guild_id)
        own = select(*columns, literal(True).label("whole")).where(alerts.c.speaker_id == user_id)
        quoting = select(alert_segments.c.alert_id).where(alert_segments.c.speaker_id == user_id)
        others = select(*columns, literal(False).label("whole")).where(alerts.c.id.in_(quoting), alerts.c.speaker_id != user_id)
        posted = alerts.c.message_id.is_not(None)
        mention = (notice_mentions.c.message_id, notice_mentions.c.guild_id)
        named = select(*mention, literal(True).label("whole")).where(notice_mentions.c.user_id == user_id)
        under_way = select(outbox.c.message_id, outbox.c.guild_id, outbox.c.payload).where(outbox.c.message_id.is_not(None))
        async with self._database.write() as connection:
            found: set[tuple[int, int, bool]] = set()
            for query in (others.where(posted), own.where(posted), named):
                found |= {(r.message_id, r.guild_id, r.whole) for r in await connection.execute(query)}
            for r in await connection.execute(under_way.where(outbox.c.payload != "")):
                found |= {(r.message_id, r.guild_id, whole) for whole in _quotes(r.payload, user_id)}
            ours = [each for each in sorted(found) if shards.serves(each[1])]
            for message_id, guild_id, whole in ours:
                await self._note(connection, guild_id, message_id, whole=whole)
        return len(ours)

    async def note(self, guild_id: int, message_id: int, *, whole: bool) -> None:
        """That card is to be edited."""
        async with self._database.write() as connection:
            await self._note(connection, guild_id, message_id, whole=whole)

    async def _note(self, connection: AsyncConnection, guild_id: int, message_id: int, *, whole: bool) -> None:
        """Once more: what is to be removed does not become less."""
        row = {"message_id": message_id, "guild_id": guild_id, "whole": whole, "attempts": 0}
        insert = self._database.insert(redactions).values(row)
        fresh = {"whole": or_(redactions.c.whole, insert.excluded.whole), "attempts": 0}
        await connection.execute(insert.on_conflict_do_update(index_elements=["message_id"], set_=fresh))

    async def pending(self, limit: int) -> list[Redaction]:
        """What is to be done, least tried first."""
        mine = select(redactions).where(served(redactions.c.guild_id, self._shards))
        query = mine.order_by(redactions.c.attempts, redactions.c.message_id).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            channels: dict[int, tuple[int, ...]] = {}
            for guild_id in {row.guild_id for row in rows}:
                known = select(alert_channels.c.channel_id).where(alert_channels.c.guild_id == guild_id).limit(MAX_CHANNELS)
                channels[guild_id] = tuple((await connection.execute(known)).scalars())
        return [Redaction(row.message_id, row.guild_id, row.whole, channels[row.guild_id]) for row in rows]

    async def done(self, message_id: int) -> None:
        """The card quotes them no more."""
        async with self._database.write() as connection:
            await connection.execute(delete(redactions).where(redactions.c.message_id == message_id))

    async def failed(self, message_id: int) -> None:
        """It could not be edited now."""
        mine = update(redactions).where(redactions.c.message_id == message_id)
        async with self._database.write() as connection:
            await connection.execute(mine.values(attempts=redactions.c.attempts + 1))

    async def waiting(self) -> int:
        """Cards still to be edited."""
        async with self._database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(redactions))).scalar_one())


def _quotes(payload: str, user_id: int) -> Iterator[bool]:
    """Whether that alert is about the user, where it names them at all. Of another version's alert nobody can say."""
    with suppress(StorageError):
        alert = decode_alert(payload)
        kept = alert_without_user(alert, user_id)
        if kept != alert:
            yield kept is None
