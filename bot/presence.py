"""Who is in which voice channel, from discord.py's cache. Implements `moderation.ports.Presence`."""

import discord

from bot.client import EarshotClient


class DiscordPresence:
    """Counts people; bots are none. Voice states need no privileged intent."""

    def __init__(self, client: EarshotClient) -> None:
        self._client = client

    def ready(self) -> bool:
        """Whether the servers of some shard are known."""
        return self._client.is_ready()

    def knows(self, guild_id: int) -> bool:
        """Whether that server's shard has told what is in it."""
        guild = self._client.get_guild(guild_id)
        return guild is not None and not guild.unavailable

    def people(self, guild_id: int, channel_id: int) -> int:
        """How many are in the channel; 0 where there is no such channel. Who is not known to be a bot counts."""
        guild = self._client.get_guild(guild_id)
        channel = guild.get_channel(channel_id) if guild is not None else None
        if guild is None or not isinstance(channel, discord.VoiceChannel | discord.StageChannel):
            return 0
        members = (guild.get_member(user_id) for user_id in channel.voice_states)
        return sum(1 for member in members if member is None or not member.bot)

    def name(self, guild_id: int, channel_id: int) -> str:
        """The channel's name, empty where there is no such channel."""
        guild = self._client.get_guild(guild_id)
        channel = guild.get_channel(channel_id) if guild is not None else None
        return channel.name if channel is not None else ""
