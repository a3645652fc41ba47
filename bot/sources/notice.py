"""Telling a voice channel's members that the bot listens, before it does.

The notice is the channel's status line, which every member sees under the channel's name; where that may not be set, a message in
the channel's own text chat. The members' own status is kept and put back.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import discord

from moderation.errors import ConsentRequired

log = logging.getLogger(__name__)

NOTICE = "🎙️ Earshot listens here: what is said is transcribed for this server's moderators. /privacy opt-out if you do not want that."
NOTICE_OPT_IN = (
    "🎙️ Earshot listens here to those who agree: /privacy opt-in and what you say is transcribed for this server's moderators. "
    "Nobody else is heard."
)
"""At most 500 characters (Discord's limit for a status). Free of names: it is the same for all."""

REQUEST_CHANNEL_INFO = 43
"""Main gateway opcode: ask for the statuses of a guild's voice channels."""

INFO_SECONDS = 1.0
"""How long to wait for the present status; without an answer there is none to put back."""

HTTP_SECONDS = 8.0
"""How long one way of telling may take, rate limits and retries included, before the next is tried."""

WITHDRAW_SECONDS = 3.0
"""How long putting the status back may hold up leaving."""

_FAILURES = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError)

VocalChannel = discord.VoiceChannel | discord.StageChannel


class ChannelStatuses:
    """The statuses of the voice channels that are watched.

    discord.py 2.7.1 has no events for them, so the two dispatches are taken from its parser table:
    https://docs.discord.com/developers/events/gateway-events#voice-channel-status-update and `#channel-info`.
    """

    def __init__(self, client: discord.Client) -> None:
        self._known: dict[int, str | None] = {}
        self._asked: dict[int, asyncio.Event] = {}
        parsers: dict[str, Callable[[Any], None]] = client._connection.parsers
        parsers["VOICE_CHANNEL_STATUS_UPDATE"] = self._updated
        parsers["CHANNEL_INFO"] = self._informed

    async def watch(self, channel: VocalChannel) -> str | None:
        """The channel's status now; kept up to date until `forget`."""
        self._known.setdefault(channel.id, None)
        answered = self._asked.setdefault(channel.guild.id, asyncio.Event())
        try:
            gateway = channel.guild._state._get_websocket(channel.guild.id)
            await gateway.send_as_json({"op": REQUEST_CHANNEL_INFO, "d": {"guild_id": str(channel.guild.id), "fields": ["status"]}})
            await asyncio.wait_for(answered.wait(), INFO_SECONDS)
        except (*_FAILURES, AttributeError):
            log.info("no answer about the channel's status", extra={"guild_id": channel.guild.id})
        finally:
            self._asked.pop(channel.guild.id, None)
        return self._known.get(channel.id)

    def get(self, channel_id: int) -> str | None:
        """The status as last told."""
        return self._known.get(channel_id)

    def note(self, channel_id: int, status: str | None) -> None:
        """Take a status for a watched channel's."""
        if channel_id in self._known:
            self._known[channel_id] = status

    def forget(self, channel_id: int) -> None:
        """Watch it no more."""
        self._known.pop(channel_id, None)

    def _updated(self, data: dict[str, Any]) -> None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self.note(int(data["id"]), data.get("status") or None)

    def _informed(self, data: dict[str, Any]) -> None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            for channel in data["channels"]:
                self._updated(channel)
            if answered := self._asked.get(int(data["guild_id"])):
                answered.set()


class ChannelNotice:
    """Tells channels, and takes it back when the bot leaves."""

    def __init__(self, statuses: ChannelStatuses, text: Callable[[int], str] = lambda guild_id: NOTICE) -> None:
        """`text`: what the members of that server are told now."""
        self._statuses = statuses
        self._text = text
        self._before: dict[int, tuple[str | None, str]] = {}
        """Channel id → the members' own status, and ours."""

    async def tell(self, channel: VocalChannel) -> None:
        """Tell the members; the bot must be connected already, or Discord asks for more permissions.

        Raises `ConsentRequired` when neither way worked.
        """
        if await self._set_status(channel) or await self._send_message(channel):
            return
        raise ConsentRequired(
            f"Earshot cannot tell the members of <#{channel.id}> that it listens, so it does not listen. "
            "Give its role the permission Set Voice Channel Status or Send Messages in that channel, then let it join again."
        )

    async def withdraw(self, channel: VocalChannel) -> None:
        """Put the members' status back, unless they changed it meanwhile. Best while still connected; failure is only logged."""
        if channel.id not in self._before or not isinstance(channel, discord.VoiceChannel):
            return
        before, text = self._before.pop(channel.id)
        try:
            if self._statuses.get(channel.id) == text:
                async with asyncio.timeout(WITHDRAW_SECONDS):
                    await channel.edit(status=before)
        except _FAILURES:
            log.warning("could not put the channel's status back", extra={"channel_id": channel.id})
        finally:
            self._statuses.forget(channel.id)

    async def _set_status(self, channel: VocalChannel) -> bool:
        permissions = channel.permissions_for(channel.guild.me)
        if not isinstance(channel, discord.VoiceChannel) or not permissions.set_voice_channel_status:
            return False
        before, text = await self._statuses.watch(channel), self._text(channel.guild.id)
        try:
            async with asyncio.timeout(HTTP_SECONDS):
                await channel.edit(status=text)
        except _FAILURES as error:
            self._statuses.forget(channel.id)
            log.warning("could not set the channel's status", extra={"channel_id": channel.id, "error": type(error).__name__})
            return False
        # What an earlier run that crashed left behind is ours, not the members'.
        own = None if before in (text, NOTICE, NOTICE_OPT_IN) else before
        self._before.setdefault(channel.id, (own, text))
        self._statuses.note(channel.id, text)
        return True

    async def _send_message(self, channel: VocalChannel) -> bool:
        try:
            async with asyncio.timeout(HTTP_SECONDS):
                await channel.send(self._text(channel.guild.id), allowed_mentions=discord.AllowedMentions.none())
        except _FAILURES as error:
            log.warning("could not write into the channel's chat", extra={"channel_id": channel.id, "error": type(error).__name__})
            return False
        return True
