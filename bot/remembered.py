"""Guild settings that are there while the database is away."""

import asyncio
from collections import OrderedDict

from moderation.errors import StorageError
from moderation.ports import GuildStore
from moderation.settings import GuildSettings

MAX_GUILDS = 4096
"""Guilds remembered; the least recently asked for goes first."""
PATIENCE_SECONDS = 1.0
"""How long the database may take before what is remembered has to do."""


class RememberedSettings:
    """Asks the database first, so that changes count at once, and remembers its answers. Sessions ask when they start."""

    def __init__(self, guilds: GuildStore) -> None:
        self._guilds = guilds
        self._known: OrderedDict[int, GuildSettings] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    async def settings(self, guild_id: int) -> GuildSettings:
        """The guild's settings. Raises `StorageError` when the database is away and nothing is remembered of that guild."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                found = await self._guilds.settings(guild_id)
        except (StorageError, TimeoutError) as error:
            if guild_id in self._known:
                return self._known[guild_id]
            raise StorageError("The database does not answer, and this server's settings are not known yet.", retryable=True) from error
        self._known[guild_id] = found
        self._known.move_to_end(guild_id)
        while len(self._known) > MAX_GUILDS:
            self._known.popitem(last=False)
        return found
