"""Whom the posted notices name, so that a deletion finds them. Rows go with the notices' age, or when a notice names nobody any more."""

from collections.abc import Set
from datetime import datetime

from sqlalchemy import delete, insert

from bot.storage.database import Database
from bot.storage.served import served
from bot.storage.tables import notice_mentions
from moderation.shards import ALL_SHARDS, Shards


class SqlNoticeMentions:
    """The table. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def name(self, guild_id: int, message_id: int, user_ids: Set[int], at: datetime) -> None:
        """That notice names these members and no others. `at`: wall time, UTC."""
        values = [{"message_id": message_id, "user_id": user, "guild_id": guild_id, "posted_at": at} for user in sorted(user_ids)]
        async with self._database.write() as connection:
            await connection.execute(delete(notice_mentions).where(notice_mentions.c.message_id == message_id))
            if values:
                await connection.execute(insert(notice_mentions), values)

    async def forget(self, user_id: int, shards: Shards = ALL_SHARDS) -> int:
        """No notice in those shards' servers is known to name that member; how many were. They must have been noted for editing before."""
        theirs = delete(notice_mentions).where(notice_mentions.c.user_id == user_id, served(notice_mentions.c.guild_id, shards))
        async with self._database.write() as connection:
            return (await connection.execute(theirs)).rowcount
