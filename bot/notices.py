"""Notices in a guild's alert channel, through discord.py. Implements `moderation.ports.NoticeBoard`."""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import discord

from bot.delivery import NONCE_LENGTH, answered, channel_of, deleted
from bot.storage.notices import SqlNoticeMentions
from cogs.notices import notice_card
from moderation.errors import DeliveryFailed, StorageError
from moderation.notices import Notice
from moderation.settings import GuildSettings

log = logging.getLogger(__name__)


class DiscordNotices:
    """Posts and edits notices. They ping nobody; a retried post is the same message, by its nonce. Whom they name is noted."""

    def __init__(self, client: discord.Client, settings: Callable[[int], Awaitable[GuildSettings]], mentions: SqlNoticeMentions) -> None:
        """`settings`: a guild's, even while the database is away."""
        self._client = client
        self._settings = settings
        self._mentions = mentions

    async def show(self, notice: Notice, message_id: int | None) -> int | None:
        """Post or edit; None where the guild chose no alert channel. Raises `DeliveryFailed`, or `StorageError` where that is not known."""
        shown = await self._show(notice, message_id)
        if shown is not None and (notice.names or message_id is not None):
            try:
                await self._mentions.name(notice.guild_id, shown, notice.names, datetime.now(UTC))
            except StorageError as error:  # it stands all the same; only a deletion would not find it
                log.error("whom a notice names was not noted", extra={"guild_id": notice.guild_id, "code": error.code})
        return shown

    async def _show(self, notice: Notice, message_id: int | None) -> int | None:
        settings = await self._settings(notice.guild_id)
        if settings.alert_channel_id is None:
            return None
        channel = channel_of(self._client, settings.alert_channel_id)
        embed, nobody = notice_card(notice), discord.AllowedMentions.none()
        if message_id is None:
            key = hashlib.sha256(notice.key.encode()).hexdigest()[:NONCE_LENGTH]
            sending = channel.send(embed=embed, nonce=key, allowed_mentions=nobody)
            return (await answered(self._client, sending, settings.alert_channel_id)).id
        editing = channel.get_partial_message(message_id).edit(embed=embed, allowed_mentions=nobody)
        try:
            await answered(self._client, editing, settings.alert_channel_id)
        except DeliveryFailed as error:
            if not deleted(error):  # a deleted one stays so
                raise
        return message_id
