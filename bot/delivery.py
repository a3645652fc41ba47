"""Alert cards in a guild's alert channel, through discord.py."""

import asyncio
import hashlib
import io
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import aiohttp
import discord
from discord.utils import MISSING

from cogs.embeds import alert_card, alert_mark
from moderation.errors import DeliveryFailed
from moderation.models import Alert
from moderation.settings import GuildSettings

T = TypeVar("T")

NONCE_LENGTH = 25
"""Characters a message nonce may have (Discord docs, Create Message)."""
BAD_REQUEST = 400
UNKNOWN_MESSAGE = 10008
"""Discord's code: the message was deleted."""
REQUEST_SECONDS = 20.0
"""How long one request may take, discord.py's own retries included."""
LONGEST_RATE_LIMIT = 30.0
"""A longer Retry-After is handed to the outbox instead of being slept out (30 s is the least that discord.py takes)."""
UNREADY_SECONDS = 2.0
"""Pause before another attempt while Discord is not connected for the first time."""
REPAIR_SECONDS = 60.0
"""Pause before another attempt when somebody has to give the bot a permission or a channel."""
LOOK_BACK = 1000
"""Messages after the alert that are looked through for its card."""
CLOCK_SLACK = timedelta(minutes=2)
"""How far this machine's clock may be off Discord's."""

_ERRORS = (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError, RuntimeError)
"""RuntimeError is aiohttp's, for a session that is closed."""


class DiscordAlertDelivery:
    """Posts and edits cards. Mentions in them never ping; a retried post is the same message, by its nonce."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None, *, late: bool = False) -> int | None:
        """The new card's message id; None when the guild set no channel. Raises `DeliveryFailed`.

        Args:
            alert: what to tell.
            settings: the guild's.
            clip: Ogg Opus.
            late: not the first attempt: where the clip is gone meanwhile, the card says so.
        """
        if settings.alert_channel_id is None:
            return None
        sending = self._channel(settings.alert_channel_id).send(
            embed=alert_card(alert, clip_lost=late and clip is None and settings.keep_evidence),
            files=_files(alert, clip),
            nonce=nonce(alert),
            allowed_mentions=discord.AllowedMentions.none(),
        )
        return (await answered(self._client, sending, settings.alert_channel_id)).id

    async def find(self, alert: Alert, settings: GuildSettings) -> int | None:
        """The message id of the alert's card, if it stands in the channel already. Raises `DeliveryFailed`.

        Discord remembers nonces for a few minutes, and hides them in the channel's history: the card's footer names the alert.
        """
        if settings.alert_channel_id is None:
            return None
        return await answered(self._client, self._look(alert, self._channel(settings.alert_channel_id)), settings.alert_channel_id)

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        """Bring the card up to date; a clip replaces the one before, none leaves it. A card that was deleted stays so.

        Raises `DeliveryFailed`.
        """
        if settings.alert_channel_id is None:
            return
        message = self._channel(settings.alert_channel_id).get_partial_message(message_id)
        files = _files(alert, clip) if clip else MISSING
        editing = message.edit(embed=alert_card(alert), attachments=files, allowed_mentions=discord.AllowedMentions.none())
        try:
            await answered(self._client, editing, settings.alert_channel_id)
        except DeliveryFailed as error:
            if not deleted(error):
                raise

    def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return channel_of(self._client, channel_id)

    async def _look(self, alert: Alert, channel: discord.PartialMessageable) -> int | None:
        raised = alert.session.started_at + timedelta(seconds=alert.evidence_span[0])
        async for message in channel.history(limit=LOOK_BACK, after=raised - CLOCK_SLACK, oldest_first=True):
            mine = self._client.user is not None and message.author.id == self._client.user.id
            if mine and any((e.footer.text or "").endswith(alert_mark(alert)) for e in message.embeds):
                return message.id
        return None


def channel_of(client: discord.Client, channel_id: int) -> discord.PartialMessageable:
    """The channel, once Discord is there. Raises `DeliveryFailed`."""
    if not client.is_ready():
        raise DeliveryFailed("Discord is not connected yet.", retryable=True, retry_after=UNREADY_SECONDS)
    return client.get_partial_messageable(channel_id)


async def answered(client: discord.Client, request: Coroutine[Any, Any, T], channel_id: int) -> T:
    """What Discord says. Raises `DeliveryFailed`, whatever is in the way: a refusal, a rate limit, the network, no answer."""
    task = asyncio.ensure_future(request)
    try:
        done, _ = await asyncio.wait({task}, timeout=REQUEST_SECONDS)
        # While it sleeps out a global rate limit, a request must not be cancelled: discord.py would never send anything again.
        if not done and client.http._global_over.is_set():
            raise TimeoutError
        return await task
    except _ERRORS as error:
        raise delivery_failed(error, channel_id) from error
    finally:
        task.cancel()


def deleted(error: DeliveryFailed) -> bool:
    """Whether it failed because somebody deleted the message that was to be edited."""
    return isinstance(error.__cause__, discord.NotFound) and error.__cause__.code == UNKNOWN_MESSAGE


def nonce(alert: Alert) -> str:
    """The same for every attempt to post the same alert, so that Discord recognises a retry."""
    return hashlib.sha256(alert.id.encode()).hexdigest()[:NONCE_LENGTH]


def _files(alert: Alert, clip: bytes | None) -> list[discord.File]:
    if not clip:
        return []
    return [discord.File(io.BytesIO(clip), filename=f"evidence-{alert.reference}.ogg")]


def delivery_failed(error: Exception, channel_id: int) -> DeliveryFailed:
    """What to tell of a refusal by discord.py, Discord or the network, and whether to try again."""
    where = f"<#{channel_id}>"
    if isinstance(error, discord.Forbidden):
        permissions = "View Channel, Send Messages, Embed Links, Attach Files and Read Message History"
        return DeliveryFailed(f"I may not post in {where}: grant me {permissions} there.", retryable=True, retry_after=REPAIR_SECONDS)
    if isinstance(error, discord.NotFound):
        text = f"The alert channel {where}, or the card in it, is gone: choose one with `/alerts channel`."
        return DeliveryFailed(text, retryable=True, retry_after=REPAIR_SECONDS)
    refused = isinstance(error, discord.HTTPException) and error.status == BAD_REQUEST
    wait = error.retry_after if isinstance(error, discord.RateLimited) else 0.0
    return DeliveryFailed(f"Discord did not take the alert for {where}.", retryable=not refused, retry_after=wait)
