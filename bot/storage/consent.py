"""Rows of members' choices and servers' privacy settings. Implements `moderation.consent.ConsentStore`."""

from dataclasses import asdict

from sqlalchemy import delete, select

from bot.storage.database import Database
from bot.storage.tables import consents, guild_privacy
from moderation.consent import Choice, ConsentMode, GuildPrivacy


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
            return [GuildPrivacy(row.guild_id, ConsentMode(row.mode)) for row in found]

    async def save_guild(self, privacy: GuildPrivacy) -> None:
        """Insert or replace."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(guild_privacy, {"guild_id": privacy.guild_id, "mode": str(privacy.mode)}))

    async def forget(self, user_id: int) -> int:
        """Delete that user's consent; how many rows. A refusal stays: without it they would be heard again."""
        mine = delete(consents).where(consents.c.user_id == user_id, consents.c.heard.is_(True))
        async with self._database.write() as connection:
            return (await connection.execute(mine)).rowcount
