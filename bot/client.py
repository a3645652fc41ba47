"""The discord.py client: what it asks of the gateway, its cogs, and the commands it registers."""

import logging
from collections.abc import Callable, Sequence

import aiohttp
import discord
from discord import app_commands
from discord.ext import commands

from bot.delivery import LONGEST_RATE_LIMIT
from bot.shards import ShardedBot
from bot.voice.client import EarshotVoiceClient
from cogs.errors import on_app_command_error
from moderation.context import REQUEST_ID
from moderation.shards import ALL_SHARDS, Shards

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


class EarshotClient(ShardedBot):
    """Logs in, registers the slash commands, and says when it is ready."""

    def __init__(
        self,
        cogs: Callable[["EarshotClient"], Sequence[commands.Cog]],
        connector: aiohttp.BaseConnector | None = None,
        shards: Shards = ALL_SHARDS,
    ) -> None:
        """`connector`: aiohttp's, for REST, gateway and voice gateway alike; None for discord.py's own."""
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            tree_cls=Tree,
            intents=intents(),
            allowed_mentions=discord.AllowedMentions.none(),
            connector=connector,
            shard_count=shards.count,
            shard_ids=list(shards.ids) or None,  # type: ignore[arg-type]  # None is discord.py's own default
        )
        self.our_shards = shards
        self._to_reassert: list[EarshotVoiceClient] = []
        self._make_cogs = cogs
        self.tree.error(on_app_command_error)

    async def setup_hook(self) -> None:
        """Between login and the gateway: cogs, then their commands at Discord, which one process registers for all."""
        for cog in self._make_cogs(self):
            await self.add_cog(cog)
        if self.our_shards.first:
            commands_ = await self.tree.sync()
            log.info("slash commands registered", extra={"count": len(commands_)})
        self.http.max_ratelimit_timeout = LONGEST_RATE_LIMIT  # from here on; registering commands may wait for longer

    async def on_ready(self) -> None:
        """The guilds of all shards are here."""
        log.info("connected to Discord", extra={"guilds": len(self.guilds), "shards": len(self.shards)})

    async def on_shard_connect(self, shard_id: int) -> None:
        """A new session of that shard: Discord has forgotten where the bot was in voice."""
        await super().on_shard_connect(shard_id)
        known = [voice for voice in self.voice_clients if isinstance(voice, EarshotVoiceClient)]
        self._to_reassert += [voice for voice in known if voice.guild.shard_id == shard_id and voice not in self._to_reassert]

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """What is in the guild is known: Discord is told where the bot was in it."""
        for voice in [voice for voice in self._to_reassert if voice.guild.id == guild.id]:
            self._to_reassert.remove(voice)
            await voice.reassert()

    def drop_session(self) -> None:
        """Let go of the HTTP session of a login that failed: discord.py makes another for each attempt and leaves the one before open."""
        session = getattr(self.http, "_HTTPClient__session", None)
        if isinstance(session, aiohttp.ClientSession):
            session.detach()  # unlike close, it leaves the connector usable
