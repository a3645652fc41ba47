"""Watched channels and seats. Implements `moderation.ports.WatchStore`."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import delete, insert, select

from bot.storage.database import Database
from bot.storage.tables import seats, watched_channels
from moderation.seats import Seat, Watched


class SqlWatchStore:
    """What outlives a restart. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watched(self) -> Sequence[Watched]:
        """All servers' watched channels, each server's in its order."""
        query = select(watched_channels).order_by(watched_channels.c.guild_id, watched_channels.c.position)
        async with self._database.read() as connection:
            return [Watched(row.guild_id, row.channel_id) for row in await connection.execute(query)]

    async def set_watched(self, guild_id: int, channels: Sequence[int]) -> None:
        """These and no others, in this order."""
        values = [{"guild_id": guild_id, "channel_id": channel, "position": place} for place, channel in enumerate(channels)]
        async with self._database.write() as connection:
            await connection.execute(delete(watched_channels).where(watched_channels.c.guild_id == guild_id))
            if values:
                await connection.execute(insert(watched_channels), values)

    async def seats(self) -> Sequence[Seat]:
        """Where the bot listened."""
        async with self._database.read() as connection:
            found = await connection.execute(select(seats))
            return [Seat(row.guild_id, row.channel_id, row.channel_name, row.by_watch) for row in found]

    async def take_seat(self, seat: Seat) -> None:
        """Insert or replace the server's."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(seats, asdict(seat)))

    async def give_up_seat(self, guild_id: int) -> None:
        """The bot is not to return there by itself."""
        async with self._database.write() as connection:
            await connection.execute(delete(seats).where(seats.c.guild_id == guild_id))
