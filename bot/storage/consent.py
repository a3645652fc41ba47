"""Rows of members' choices and servers' privacy settings. Implements `moderation.consent.ConsentStore`."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, select

from bot.storage.database import Database
from bot.storage.served import served
from bot.storage.tables import consents, guild_privacy
from moderation.consent import Choice, ConsentMode, GuildPrivacy
from moderation.shards import ALL_SHARDS, Shards


class SqlConsentStore:
    """Choices. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def choices(self) -> list[Choice]:
        """All there are."""
        async with self._database.read() as connection:
            return [Choice(**row._mapping) for row in await connection.execute(select(consents))]

    async def save_choice(self, choice: Choice) -> None:
        """Insert or replace."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(consents, asdict(choice)))

    async def guilds(self) -> list[GuildPrivacy]:
        """All servers whose moderators chose something."""
        async with self._database.read() as connection:
            found = await connection.execute(select(guild_privacy))
            return [_privacy(row) for row in found]

    async def guild(self, guild_id: int) -> GuildPrivacy:
        """That server's, defaults where its moderators chose nothing."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(guild_privacy).where(guild_privacy.c.guild_id == guild_id))).one_or_none()
        return _privacy(row) if row is not None else GuildPrivacy(guild_id)

    async def save_guild(self, privacy: GuildPrivacy) -> None:
        """Insert or replace."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(guild_privacy, asdict(privacy) | {"mode": str(privacy.mode)}))

    async def forget(self, user_id: int, shards: Shards = ALL_SHARDS) -> int:
        """Delete that user's consent in those shards' servers; how many rows. A refusal stays: without it they would be heard again."""
        given = (consents.c.user_id == user_id, consents.c.heard.is_(True))
        mine = delete(consents).where(*given, served(consents.c.guild_id, shards))
        async with self._database.write() as connection:
            return (await connection.execute(mine)).rowcount


def _privacy(row: Row[Any]) -> GuildPrivacy:
    return GuildPrivacy(row.guild_id, ConsentMode(row.mode), row.transcript_days, row.alert_days)
