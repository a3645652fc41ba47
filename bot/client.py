"""The discord.py client: what it asks of the gateway, its cogs, and the commands it registers."""

import logging
from collections.abc import Callable, Sequence

import aiohttp
import discord
from discord import app_commands
from discord.ext import commands

from bot.delivery import LONGEST_RATE_LIMIT
from cogs.errors import on_app_command_error
from moderation.context import REQUEST_ID

log = logging.getLogger(__name__)


def intents() -> discord.Intents:
    """Guilds and voice states: no privileged intent, no message content."""
    return discord.Intents(guilds=True, voice_states=True)


class Tree(app_commands.CommandTree):
    """Slash commands whose log lines carry the interaction's id."""

    async def interaction_check(self, interaction: discord.Interaction) -> bool:
        """Runs first in the task of each command."""
        REQUEST_ID.set(str(interaction.id))
        return True


class EarshotClient(commands.Bot):
    """Logs in, registers the slash commands, and says when it is ready."""

    def __init__(self, cogs: Callable[["EarshotClient"], Sequence[commands.Cog]], connector: aiohttp.BaseConnector | None = None) -> None:
        """`connector`: aiohttp's, for REST, gateway and voice gateway alike; None for discord.py's own."""
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            tree_cls=Tree,
            intents=intents(),
            allowed_mentions=discord.AllowedMentions.none(),
            connector=connector,
        )
        self._make_cogs = cogs
        self.tree.error(on_app_command_error)

    async def setup_hook(self) -> None:
        """Between login and the gateway: cogs, then their commands at Discord."""
        for cog in self._make_cogs(self):
            await self.add_cog(cog)
        commands_ = await self.tree.sync()
        self.http.max_ratelimit_timeout = LONGEST_RATE_LIMIT  # from here on; registering commands may wait for longer
        log.info("slash commands registered", extra={"count": len(commands_)})

    async def on_ready(self) -> None:
        """The guilds are here."""
        log.info("connected to Discord", extra={"guilds": len(self.guilds)})

    def drop_session(self) -> None:
        """Let go of the HTTP session of a login that failed: discord.py makes another for each attempt and leaves the one before open."""
        session = getattr(self.http, "_HTTPClient__session", None)
        if isinstance(session, aiohttp.ClientSession):
            session.detach()  # unlike close, it leaves the connector usable
