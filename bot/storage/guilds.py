"""Per-guild settings and lexicon terms. Implements `moderation.ports.GuildStore`."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import bindparam, delete, select

from bot.storage import rows
from bot.storage.database import Database
from bot.storage.tables import alert_channels, guild_settings, lexicon_terms
from moderation.settings import GuildSettings
from moderation.terms import Term


class SqlGuildStore:
    """What guilds chose. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settings(self, guild_id: int) -> GuildSettings:
        """The guild's settings, defaults where none were saved."""
        async with self._database.read() as connection:
            found = await connection.execute(select(guild_settings).where(guild_settings.c.guild_id == guild_id))
            row = found.one_or_none()
        return rows.to_settings(row) if row is not None else GuildSettings(guild_id)

    async def save_settings(self, settings: GuildSettings) -> None:
        """Insert or update."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(guild_settings, asdict(settings)))
            if settings.alert_channel_id is not None:
                channel = {"guild_id": settings.guild_id, "channel_id": settings.alert_channel_id}
                await connection.execute(self._database.insert(alert_channels).values(channel).on_conflict_do_nothing())

    async def terms(self, guild_id: int) -> Sequence[Term]:
        """The guild's own lexicon terms, by name."""
        async with self._database.read() as connection:
            found = await connection.execute(select(lexicon_terms).where(lexicon_terms.c.guild_id == guild_id))
            return sorted((rows.to_term(row) for row in found), key=lambda t: t.term)

    async def set_term(self, guild_id: int, term: Term) -> None:
        """Add or replace a term."""
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(lexicon_terms, _values(guild_id, term)))

    async def remove_term(self, guild_id: int, term: str) -> bool:
        """Whether it was there."""
        mine = delete(lexicon_terms).where(lexicon_terms.c.guild_id == guild_id, lexicon_terms.c.term == term)
        async with self._database.write() as connection:
            return (await connection.execute(mine)).rowcount > 0

    async def change_terms(self, guild_id: int, put: Sequence[Term], remove: Sequence[str]) -> None:
        """Remove terms, then add or replace others, in one transaction."""
        async with self._database.write() as connection:
            if remove:
                gone = delete(lexicon_terms).where(lexicon_terms.c.guild_id == guild_id, lexicon_terms.c.term == bindparam("gone"))
                await connection.execute(gone, [{"gone": term} for term in remove])
            if put:
                columns: rows.Values = {column.name: bindparam(column.name) for column in lexicon_terms.columns}
                await connection.execute(self._database.upsert(lexicon_terms, columns), [_values(guild_id, term) for term in put])

    async def forget(self, user_id: int) -> int:
        """Delete all rows about that user: there are none here, guilds' choices name nobody."""
        return 0


def _values(guild_id: int, term: Term) -> rows.Values:
    """A row of `lexicon_terms`."""
    return {"guild_id": guild_id, "term": term.term, "type": str(term.type), "category": term.category, "severity": term.severity}
