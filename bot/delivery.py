"""Alert cards in a guild's alert channel, through discord.py."""

import hashlib
import io

import aiohttp
import discord

from cogs.embeds import alert_card
from moderation.errors import DeliveryFailed
from moderation.models import Alert
from moderation.settings import GuildSettings

NONCE_LENGTH = 25
"""Characters a message nonce may have (Discord docs, Create Message)."""
SERVER_ERROR = 500


class DiscordAlertDelivery:
    """Posts and edits cards. Mentions in them never ping; a retried post is the same message, by its nonce."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None) -> int | None:
        """The new card's message id; None when the guild set no channel. Raises `DeliveryFailed`."""
        if settings.alert_channel_id is None:
            return None
        channel = self._client.get_partial_messageable(settings.alert_channel_id)
        try:
            message = await channel.send(
                embed=alert_card(alert),
                files=_files(alert, clip),
                nonce=nonce(alert),
                allowed_mentions=discord.AllowedMentions.none(),
            )
        except (discord.HTTPException, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _failed(error, settings.alert_channel_id) from error
        return message.id

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        """Bring the card up to date; a clip replaces the one before, None leaves it. Raises `DeliveryFailed`."""
        if settings.alert_channel_id is None:
            return
        message = self._client.get_partial_messageable(settings.alert_channel_id).get_partial_message(message_id)
        try:
            await message.edit(
                embed=alert_card(alert),
                attachments=_files(alert, clip) or discord.utils.MISSING,
                allowed_mentions=discord.AllowedMentions.none(),
            )
        except (discord.HTTPException, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _failed(error, settings.alert_channel_id) from error


def nonce(alert: Alert) -> str:
    """The same for every attempt to post the same alert, so that Discord recognises a retry."""
    return hashlib.sha256(alert.id.encode()).hexdigest()[:NONCE_LENGTH]


def _files(alert: Alert, clip: bytes | None) -> list[discord.File]:
    if not clip:
        return []
    return [discord.File(io.BytesIO(clip), filename=f"evidence-{alert.reference}.ogg")]


def _failed(error: Exception, channel_id: int) -> DeliveryFailed:
    where = f"<#{channel_id}>"
    if isinstance(error, discord.Forbidden):
        return DeliveryFailed(f"I may not post in {where}: grant me View Channel, Send Messages, Embed Links and Attach Files there.")
    if isinstance(error, discord.NotFound):
        return DeliveryFailed(f"The alert channel {where}, or the card in it, is gone: choose one with `/alerts channel`.")
    retryable = not isinstance(error, discord.HTTPException) or error.status >= SERVER_ERROR
    return DeliveryFailed(f"Discord did not take the alert for {where}.", retryable=retryable)
