"""Whether the bot may enter a voice channel, as far as the cache can tell: what is asked before it joins, and before it watches one."""

import discord

from bot.sources.statuses import VocalChannel
from moderation.seats import Obstacle


def obstacle(channel: VocalChannel) -> Obstacle | None:
    """What stands in the way; None: nothing that is known."""
    if channel == channel.guild.afk_channel:
        return Obstacle(f"<#{channel.id}> is this server's AFK channel, where nobody can speak. Choose another.", lasting=True)
    allowed = channel.permissions_for(channel.guild.me)
    missing = [name for name, has in (("View Channel", allowed.view_channel), ("Connect", allowed.connect)) if not has]
    if missing:
        why = f"Earshot may not join <#{channel.id}>: give its role the permission {' and '.join(missing)} there."
        return Obstacle(why, lasting=True)
    return Obstacle(full_sentence(channel), lasting=False) if full(channel) else None


def full(channel: VocalChannel) -> bool:
    """Whether there is no room, and no permission to do without."""
    if not channel.user_limit or channel.permissions_for(channel.guild.me).move_members:
        return False
    return len(channel.voice_states) >= channel.user_limit


def full_sentence(channel: VocalChannel) -> str:
    """That, and what to do."""
    return f"<#{channel.id}> is full. Make room, raise its user limit, or give Earshot's role the permission Move Members there."


def voice_channel(guild: discord.Guild | None, channel_id: int) -> VocalChannel | None:
    """The channel, where it is one for voices."""
    channel = guild.get_channel(channel_id) if guild is not None else None
    return channel if isinstance(channel, discord.VoiceChannel | discord.StageChannel) else None
