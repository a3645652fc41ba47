"""The status lines of voice channels, which discord.py 2.7.1 does not know, and what members had written there before the bot came."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import aiohttp
import discord

log = logging.getLogger(__name__)

REQUEST_CHANNEL_INFO = 43
"""Main gateway opcode: ask for the statuses of a guild's voice channels."""

INFO_SECONDS = 1.0
"""How long to wait for the present status; without an answer there is none to put back."""

MAX_ECHOES = 4
"""Own changes of one channel that may be on their way back from Discord; an older one's echo counts as somebody else's change."""

FAILURES = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError)

VocalChannel = discord.VoiceChannel | discord.StageChannel


class StatusKeeper(Protocol):
    """Remembers members' own statuses for as long as the bot's notice stands in their place, restarts included."""

    async def keep(self, guild_id: int, channel_id: int, status: str | None) -> None:
        """Remember it instead of what was remembered. Raises `StorageError`."""

    async def kept(self, channel_id: int) -> str | None:
        """What is remembered of the channel, if anything. Raises `StorageError`."""

    async def drop(self, channel_id: int) -> None:
        """It was put back. Raises `StorageError`."""


class ForgetfulKeeper:
    """Remembers until the process ends."""

    def __init__(self) -> None:
        self._statuses: dict[int, str | None] = {}

    async def keep(self, guild_id: int, channel_id: int, status: str | None) -> None:
        """In a dict."""
        self._statuses[channel_id] = status

    async def kept(self, channel_id: int) -> str | None:
        """From it."""
        return self._statuses.get(channel_id)

    async def drop(self, channel_id: int) -> None:
        """From it."""
        self._statuses.pop(channel_id, None)


class ChannelStatuses:
    """The statuses of the voice channels that are watched.

    discord.py 2.7.1 has no events for them, so the two dispatches are taken from its parser table:
    https://docs.discord.com/developers/events/gateway-events#voice-channel-status-update and `#channel-info`.
    """

    def __init__(self, client: discord.Client) -> None:
        self._known: dict[int, str | None] = {}
        self._echoes: dict[int, deque[str | None]] = {}
        self.on_changed: Callable[[int, str | None], None] | None = None
        """Told (channel id, status) when somebody else changed a watched channel's status."""
        self._asked: dict[int, asyncio.Event] = {}
        parsers: dict[str, Callable[[Any], None]] = client._connection.parsers
        parsers["VOICE_CHANNEL_STATUS_UPDATE"] = self._updated
        parsers["CHANNEL_INFO"] = self._informed

    async def watch(self, channel: VocalChannel) -> tuple[bool, str | None]:
        """Whether Discord told the channel's status, and the status; kept up to date until `forget`."""
        self._known.setdefault(channel.id, None)
        self._echoes.setdefault(channel.id, deque(maxlen=MAX_ECHOES))
        answered = self._asked.setdefault(channel.guild.id, asyncio.Event())
        try:
            gateway = channel.guild._state._get_websocket(channel.guild.id)
            await gateway.send_as_json({"op": REQUEST_CHANNEL_INFO, "d": {"guild_id": str(channel.guild.id), "fields": ["status"]}})
            await asyncio.wait_for(answered.wait(), INFO_SECONDS)
        except (*FAILURES, AttributeError):
            log.info("no answer about the channel's status", extra={"guild_id": channel.guild.id})
        finally:
            self._asked.pop(channel.guild.id, None)
        return answered.is_set(), self._known.get(channel.id)

    def get(self, channel_id: int) -> str | None:
        """The status as last told."""
        return self._known.get(channel_id)

    async def set(self, channel: discord.VoiceChannel, status: str | None, within: float) -> bool:
        """Change a watched channel's status; whether Discord did it within so many seconds."""
        echoes = self._echoes.setdefault(channel.id, deque(maxlen=MAX_ECHOES))
        echoes.append(status)
        try:
            async with asyncio.timeout(within):
                await channel.edit(status=status)
        except FAILURES as error:
            log.warning("could not set the channel's status", extra={"channel_id": channel.id, "error": type(error).__name__})
            return False
        if channel.id in self._known:
            self._known[channel.id] = status
        return True

    def forget(self, channel_id: int) -> None:
        """Watch it no more."""
        self._known.pop(channel_id, None)
        self._echoes.pop(channel_id, None)

    def _updated(self, data: dict[str, Any]) -> None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            channel_id, status = int(data["id"]), data.get("status") or None
            if channel_id not in self._known:
                return
            self._known[channel_id] = status
            if not self._is_echo(channel_id, status) and self.on_changed is not None:
                self.on_changed(channel_id, status)

    def _is_echo(self, channel_id: int, status: str | None) -> bool:
        """Discord tells the one who changed a status of it as well, in order."""
        echoes = self._echoes.get(channel_id, deque())
        if status not in echoes:
            return False
        while echoes.popleft() != status:
            pass
        return True

    def _informed(self, data: dict[str, Any]) -> None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            for channel in data["channels"]:
                channel_id = int(channel["id"])
                if channel_id in self._known:
                    self._known[channel_id] = channel.get("status") or None
            if answered := self._asked.get(int(data["guild_id"])):
                answered.set()
