"""Watched channels and seats. Implements `moderation.ports.WatchStore`."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import bindparam, delete, select, update

from bot.storage.database import Database
from bot.storage.served import served
from bot.storage.tables import seats, watched_channels
from moderation.seats import Seat, Watched
from moderation.shards import ALL_SHARDS, Shards

COUNTS = ("uncovered_seconds", "down_seconds", "counted_since", "counted_until")
"""Columns of `watched_channels` besides who and in which order; named like the fields of `Watched`."""


class SqlWatchStore:
    """What outlives a restart. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database, shards: Shards = ALL_SHARDS) -> None:
        """`shards`: of whose servers rows are read."""
        self._database = database
        self._shards = shards

    async def watched(self) -> Sequence[Watched]:
        """Watched channels of this process's servers, each server's in its order."""
        mine = select(watched_channels).where(served(watched_channels.c.guild_id, self._shards))
        query = mine.order_by(watched_channels.c.guild_id, watched_channels.c.position)
        async with self._database.read() as connection:
            found = await connection.execute(query)
            return [Watched(r.guild_id, r.channel_id, *(getattr(r, name) for name in COUNTS)) for r in found]

    async def set_watched(self, guild_id: int, channels: Sequence[int]) -> None:
        """These and no others, in this order; what is counted of those that stay is kept."""
        own = watched_channels.c.guild_id == guild_id
        async with self._database.write() as connection:
            await connection.execute(delete(watched_channels).where(own, watched_channels.c.channel_id.not_in(channels)))
            for place, channel in enumerate(channels):
                row = {"guild_id": guild_id, "channel_id": channel, "position": place}
                await connection.execute(self._database.upsert(watched_channels, row))

    async def save_counts(self, channels: Sequence[Watched]) -> None:
        """What is counted of them; of those that are watched no more, nothing."""
        table = watched_channels
        changed = update(table).where(table.c.guild_id == bindparam("guild"), table.c.channel_id == bindparam("channel"))
        values = [{"guild": c.guild_id, "channel": c.channel_id, **{name: getattr(c, name) for name in COUNTS}} for c in channels]
        if values:
            async with self._database.write() as connection:
                await connection.execute(changed, values)

    async def seats(self) -> Sequence[Seat]:
        """Where the bot listened, in this process's servers."""
        async with self._database.read() as connection:
            found = await connection.execute(select(seats).where(served(seats.c.guild_id, self._shards)))
            return [Seat(row.guild_id, row.channel_id, row.channel_name, row.by_watch) for row in found]

    async def take_seat(self, seat: Seat) -> None:
        """Insert or replace the server's."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(seats, asdict(seat)))

    async def give_up_seat(self, guild_id: int) -> None:
        """The bot is not to return there by itself."""
        async with self._database.write() as connection:
            await connection.execute(delete(seats).where(seats.c.guild_id == guild_id))
