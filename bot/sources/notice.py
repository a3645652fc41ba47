"""Telling a voice channel's members that the bot listens, before it does.

The notice is the channel's status line, which every member sees under the channel's name; where that may not be set, a message in
the channel's own text chat. The members' own status is kept and put back. Where somebody replaces the notice while the bot listens,
it is set once more, and after that written into the chat: nobody is heard without having been told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import discord

from bot.sources.statuses import FAILURES, ChannelStatuses, ForgetfulKeeper, StatusKeeper, VocalChannel
from moderation.errors import ConsentRequired, StorageError

log = logging.getLogger(__name__)

T = TypeVar("T")

NOTICE = "🎙️ Earshot listens here: what is said is transcribed for this server's moderators. /privacy opt-out if you do not want that."
NOTICE_OPT_IN = (
    "🎙️ Earshot listens here to those who agree: /privacy opt-in and what you say is transcribed for this server's moderators. "
    "Nobody else is heard."
)
"""At most 500 characters (Discord's limit for a status). Free of names: it is the same for all."""

HTTP_SECONDS = 8.0
"""How long one way of telling may take, rate limits and retries included, before the next is tried."""

WITHDRAW_SECONDS = 3.0
"""How long putting the status back may hold up leaving."""

KEEP_SECONDS = 1.0
"""How long remembering the members' status may hold up telling them."""

RETELLS = 1
"""How often a notice that somebody replaced is set again; then it is written into the chat instead."""


@dataclass(slots=True)
class _Told:
    """A channel whose status is the notice."""

    channel: discord.VoiceChannel
    text: str
    own: str | None
    """The members' own status."""
    replaced: int = 0
    """How often somebody replaced the notice."""


class ChannelNotice:
    """Tells channels, and takes it back when the bot leaves."""

    def __init__(
        self,
        statuses: ChannelStatuses,
        text: Callable[[int], str] = lambda guild_id: NOTICE,
        keeper: StatusKeeper | None = None,
    ) -> None:
        """`text`: what the members of that server are told now."""
        self._statuses = statuses
        self._text = text
        self._keeper = keeper or ForgetfulKeeper()
        self._told: dict[int, _Told] = {}
        """By channel id."""
        self._turns: dict[int, asyncio.Lock] = {}
        """By server: who comes back at once does not tell while the notice of before is being withdrawn."""
        self._retelling: dict[int, asyncio.Task[None]] = {}
        self.on_untold: Callable[[int, ConsentRequired], Awaitable[None]] | None = None
        """Told (guild id, why) when the notice was replaced and the members could not be told again."""
        statuses.on_changed = self._replaced

    async def tell(self, channel: VocalChannel) -> None:
        """Tell the members; the bot must be connected already, or Discord asks for more permissions.

        Raises `ConsentRequired` when neither way worked.
        """
        async with self._turn(channel):
            told = await self._set_status(channel) or await self._send_message(channel)
        if told:
            return
        raise ConsentRequired(
            f"Earshot cannot tell the members of <#{channel.id}> that it listens, so it does not listen. "
            "Give its role the permission Set Voice Channel Status or Send Messages in that channel, then let it join again."
        )

    async def withdraw(self, channel: VocalChannel) -> None:
        """Put the members' status back, unless they changed it meanwhile. Best while still connected; failure is only logged.

        Where Discord refuses, because the bot is out already and may not manage channels, their status stays remembered for next time.
        """
        await self._retold(channel.id)
        async with self._turn(channel):
            told = self._told.pop(channel.id, None)
            if told is None:
                return
            mine = self._statuses.get(channel.id) == told.text
            if not mine or await self._statuses.set(told.channel, told.own, WITHDRAW_SECONDS):
                await self._drop(channel.id)
            self._statuses.forget(channel.id)

    async def _retold(self, channel_id: int) -> None:
        """Let a notice that is being set again come through: cancelled on its way, it might stand in Discord unknown to us."""
        retelling = self._retelling.pop(channel_id, None)
        if retelling is not None and retelling is not asyncio.current_task():
            await asyncio.wait([retelling], timeout=WITHDRAW_SECONDS)
            retelling.cancel()

    def _turn(self, channel: VocalChannel) -> asyncio.Lock:
        return self._turns.setdefault(channel.guild.id, asyncio.Lock())

    async def _set_status(self, channel: VocalChannel) -> bool:
        permissions = channel.permissions_for(channel.guild.me)
        if not isinstance(channel, discord.VoiceChannel) or not permissions.set_voice_channel_status:
            return False
        (answered, before), text = await self._statuses.watch(channel), self._text(channel.guild.id)
        # What an earlier call left behind is ours, not the members'; theirs was remembered then.
        own = before if answered and before not in (text, NOTICE, NOTICE_OPT_IN) else await self._kept(channel.id)
        await self._keep(channel, own)
        if not await self._statuses.set(channel, text, HTTP_SECONDS):
            self._statuses.forget(channel.id)
            return False
        self._told[channel.id] = _Told(channel, text, own)
        return True

    async def _send_message(self, channel: VocalChannel) -> bool:
        try:
            async with asyncio.timeout(HTTP_SECONDS):
                await channel.send(self._text(channel.guild.id), allowed_mentions=discord.AllowedMentions.none())
        except FAILURES as error:
            log.warning("could not write into the channel's chat", extra={"channel_id": channel.id, "error": type(error).__name__})
            return False
        return True

    def _replaced(self, channel_id: int, status: str | None) -> None:
        """Somebody else changed the status of a channel that was told."""
        told = self._told.get(channel_id)
        if told is None or status == told.text:
            return
        told.own = status
        told.replaced += 1
        before = self._retelling.pop(channel_id, None)
        if before is not None:
            before.cancel()
        self._retelling[channel_id] = asyncio.get_running_loop().create_task(self._tell_again(told), name="notice")

    async def _tell_again(self, told: _Told) -> None:
        channel = told.channel
        await self._keep(channel, told.own)
        if self._told.get(channel.id) is not told:  # the bot has left meanwhile
            return
        if told.replaced <= RETELLS and await self._statuses.set(channel, told.text, HTTP_SECONDS):
            return
        self._told.pop(channel.id, None)
        self._statuses.forget(channel.id)
        await self._drop(channel.id)
        log.info("the notice was replaced; it is written into the chat", extra={"channel_id": channel.id})
        if not await self._send_message(channel) and self.on_untold is not None:
            why = f"Somebody replaced the notice that Earshot listens in <#{channel.id}>, and it cannot tell the members again. "
            fix = "Let its role set the channel's status or send messages there, then let it join again."
            await self.on_untold(channel.guild.id, ConsentRequired(why + fix))

    async def _keep(self, channel: discord.VoiceChannel, own: str | None) -> None:
        await self._stored(self._keeper.keep(channel.guild.id, channel.id, own), channel.id)

    async def _drop(self, channel_id: int) -> None:
        await self._stored(self._keeper.drop(channel_id), channel_id)

    async def _kept(self, channel_id: int) -> str | None:
        return await self._stored(self._keeper.kept(channel_id), channel_id)

    async def _stored(self, work: Awaitable[T], channel_id: int) -> T | None:
        """The keeper's answer; a database that is away holds nobody up, it only costs the members' status after a crash."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                return await work
        except (StorageError, TimeoutError) as error:
            log.warning("the channel's own status is not remembered", extra={"channel_id": channel_id, "error": type(error).__name__})
            return None
