"""Notices in a guild's alert channel, through discord.py. Implements `moderation.ports.NoticeBoard`."""

import hashlib

import aiohttp
import discord

from bot.delivery import NONCE_LENGTH, delivery_failed
from cogs.notices import notice_card
from moderation.notices import Notice
from moderation.ports import GuildStore


class DiscordNotices:
    """Posts and edits notices. They ping nobody; a retried post is the same message, by its nonce."""

    def __init__(self, client: discord.Client, guilds: GuildStore) -> None:
        self._client = client
        self._guilds = guilds

    async def show(self, notice: Notice, message_id: int | None) -> int | None:
        """Post or edit; None where the guild chose no alert channel. Raises `DeliveryFailed`."""
        settings = await self._guilds.settings(notice.guild_id)
        if settings.alert_channel_id is None:
            return None
        channel = self._client.get_partial_messageable(settings.alert_channel_id)
        embed, nobody = notice_card(notice), discord.AllowedMentions.none()
        try:
            if message_id is not None:
                await channel.get_partial_message(message_id).edit(embed=embed, allowed_mentions=nobody)
                return message_id
            key = hashlib.sha256(notice.key.encode()).hexdigest()[:NONCE_LENGTH]
            return (await channel.send(embed=embed, nonce=key, allowed_mentions=nobody)).id
        except (discord.HTTPException, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise delivery_failed(error, settings.alert_channel_id) from error
