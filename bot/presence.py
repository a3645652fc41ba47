"""Who is in which voice channel, from discord.py's cache. Implements `moderation.ports.Presence`."""

from bot.client import EarshotClient
from bot.sources.entering import obstacle, voice_channel
from moderation.seats import Obstacle


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
        channel = voice_channel(self._client.get_guild(guild_id), channel_id)
        if channel is None:
            return 0
        members = (channel.guild.get_member(user_id) for user_id in channel.voice_states)
        return sum(1 for member in members if member is None or not member.bot)

    def name(self, guild_id: int, channel_id: int) -> str:
        """The channel's name, empty where there is no such channel."""
        channel = voice_channel(self._client.get_guild(guild_id), channel_id)
        return channel.name if channel is not None else ""

    def obstacle(self, guild_id: int, channel_id: int) -> Obstacle | None:
        """What is known to stand in the way of entering it."""
        channel = voice_channel(self._client.get_guild(guild_id), channel_id)
        return obstacle(channel) if channel is not None else None
