"""Joining and leaving Discord voice channels: checks first, connects, tells the members, and only then listens."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable

import aiohttp
import discord

from bot.sources.discord import DiscordSource
from bot.sources.entering import full, full_sentence, obstacle
from bot.sources.notice import NOTICE, ChannelNotice
from bot.sources.statuses import ChannelStatuses, StatusKeeper, VocalChannel
from moderation.errors import AfkChannel, ConsentRequired, VoiceDisconnected, VoiceUnavailable
from moderation.models import Session

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
"""How long Discord may take to let the bot in. A refusal (channel full) has no answer: only time tells."""

GHOST_SECONDS = 2.0
"""How long Discord may take to confirm that the bot left a call of which it knows nothing any more."""

KeepPacket = Callable[[str, int, float, bytes], None]
"""Takes a session id, a speaker id, the media second at which the packet starts, and the Opus packet."""


class DiscordVoiceGateway:
    """Implements `moderation.ports.VoiceGateway` with a discord.py client."""

    def __init__(
        self,
        client: discord.Client,
        *,
        keep: KeepPacket,
        accept: Callable[[int, int], bool] = lambda guild_id, user_id: True,
        notice: Callable[[int], str] = lambda guild_id: NOTICE,
        keeper: StatusKeeper | None = None,
        timeout: float = CONNECT_SECONDS,
    ) -> None:
        """`accept(guild_id, user_id)`: whether that member may be heard at all; asked on the socket-reader thread, so it must be quick.

        `notice(guild_id)`: what the members of that server's channels are told. `keeper`: where their own statuses outlive a restart.
        """
        self._client = client
        self._keep = keep
        self._accept = accept
        self._notice = ChannelNotice(ChannelStatuses(client), notice, keeper)
        self._notice.on_untold = self._untold
        self._timeout = timeout
        self._sources: dict[int, DiscordSource] = {}
        self._told: dict[int, VocalChannel] = {}
        self._moves: dict[int, asyncio.Task[None]] = {}
        self.on_moved: Callable[[int, int, str], Awaitable[None]] | None = None
        """Told (guild id, channel id, channel name) after a move, before anybody there is heard."""

    async def join(self, session: Session) -> DiscordSource:
        """Connect to the session's channel, tell its members, then listen.

        Raises `VoiceUnavailable` (saying why, and what to do), `ConsentRequired` when the members could not be told.
        """
        channel = self._enterable(session)
        source = DiscordSource(
            channel.guild,
            keep=functools.partial(self._keep, session.id),
            accept=functools.partial(self._accept, session.guild_id),
        )
        try:
            await self._connect(channel, source)
            self._sources[session.guild_id] = source
            source.on_move(functools.partial(self._moved, source))
            source.on_close(functools.partial(self._closing, session.guild_id, source))
            await self._tell(source)
        except BaseException:
            await source.aclose()
            raise
        return source

    async def leave(self, guild_id: int) -> bool:
        """Leave the guild's voice channel; whether there was one to leave."""
        source = self._sources.get(guild_id)
        if source is None or source.ended:
            return False
        await source.aclose()
        return True

    def source(self, guild_id: int) -> DiscordSource | None:
        """What is heard in that guild now."""
        return self._sources.get(guild_id)

    async def renew(self, guild_id: int, change: Callable[[], None]) -> None:
        """Stop hearing, make the change, tell the members of the channel anew, hear again. Without a session: only the change.

        Raises `ConsentRequired` when they could not be told; the bot has left then.
        """
        source = self._sources.get(guild_id)
        if source is not None:
            source.pause()
        change()
        if source is None:
            return
        try:
            await self._tell(source)
        except ConsentRequired as error:
            source.fail(error)
            await source.aclose()
            raise

    async def aclose(self) -> None:
        """Leave every channel."""
        await asyncio.gather(*(self.leave(guild_id) for guild_id in list(self._sources)))

    def _enterable(self, session: Session) -> VocalChannel:
        guild = self._client.get_guild(session.guild_id)
        channel = guild.get_channel(session.channel_id) if guild is not None else None
        if guild is None or channel is None:
            raise VoiceUnavailable(
                f"There is no channel {session.channel_id} that Earshot knows in this server. It may have been deleted, or hidden."
            )
        if not isinstance(channel, discord.VoiceChannel | discord.StageChannel):
            raise VoiceUnavailable(f"<#{channel.id}> is not a voice channel. Choose a voice or stage channel.")
        if (other := guild.voice_client) is not None:
            where = getattr(other.channel, "id", channel.id)
            raise VoiceUnavailable(f"Earshot is already in <#{where}>, and can be in one channel of a server only. Make it leave first.")
        if (found := obstacle(channel)) is not None:
            raise VoiceUnavailable(found.why)
        return channel

    async def _connect(self, channel: VocalChannel, source: DiscordSource) -> None:
        try:
            await self._end_ghost(channel.guild)
            await channel.connect(cls=source.voice_client, timeout=self._timeout, reconnect=True, self_deaf=False)
        except (TimeoutError, discord.ConnectionClosed):
            raise VoiceUnavailable(self._why_not(channel, source)) from None
        except (aiohttp.ClientError, OSError) as error:  # nobody to ask to be let in
            raise VoiceUnavailable("The connection to Discord is lost; it is tried again by itself. Try again in a minute.") from error
        except discord.ClientException as error:
            raise VoiceUnavailable("Earshot is already joining a channel of this server. Wait for it, or make it leave first.") from error

    async def _end_ghost(self, guild: discord.Guild) -> None:
        """A call that ended while the main gateway was away: Discord thinks the bot in it still, and would send it nowhere."""
        if guild.me.voice is None or guild.me.voice.channel is None:
            return
        told = self._client.wait_for("voice_state_update", check=lambda member, _, now: member.id == guild.me.id and now.channel is None)
        gone = asyncio.ensure_future(told)
        try:
            await guild.change_voice_state(channel=None)
            await asyncio.wait({gone}, timeout=GHOST_SECONDS)
        finally:
            gone.cancel()

    def _why_not(self, channel: VocalChannel, source: DiscordSource) -> str:
        client = source.connection
        if client is not None and client.udp_unanswered:
            return (
                f"Discord's voice server for <#{channel.id}> did not answer on UDP. "
                "Let the machine that runs Earshot send and receive UDP on ports 50000 to 65535."
            )
        if client is not None and client.close_code is not None:
            return (
                f"Discord's voice server for <#{channel.id}> refused Earshot again and again, last with close code {client.close_code} "
                "(https://docs.discord.com/developers/topics/opcodes-and-status-codes#voice). Try again in a minute."
            )
        if full(channel):
            return full_sentence(channel)
        return (
            f"Discord did not let Earshot into <#{channel.id}> within {self._timeout:.0f} seconds. The channel may be full, "
            "or Discord's voice servers may be away: make room or give Earshot's role the permission Move Members there, then try again."
        )

    async def _tell(self, source: DiscordSource) -> None:
        """Tell the members of the channel that the bot is in, and listen."""
        channel = source.channel
        if channel is None:
            return
        before = self._told.pop(source.guild_id, None)
        if before is not None:
            await self._notice.withdraw(before)
        await self._notice.tell(channel)
        self._told[source.guild_id] = channel
        if source.channel is not None and source.channel.id == channel.id:
            source.listen()

    async def _untold(self, guild_id: int, error: ConsentRequired) -> None:
        source = self._sources.get(guild_id)
        if source is not None:
            source.fail(error)
            await source.aclose()

    def _moved(self, source: DiscordSource, channel_id: int) -> None:
        """Somebody moved the bot: the members of its new channel are told before they are heard."""
        log.info("moved to another voice channel", extra={"channel_id": channel_id})
        guild_id = source.guild_id
        before = self._moves.pop(guild_id, None)
        if before is not None:
            before.cancel()
        self._moves[guild_id] = asyncio.get_running_loop().create_task(self._settle(source), name="voice move")

    async def _settle(self, source: DiscordSource) -> None:
        try:
            if source.channel is not None and source.channel == source.channel.guild.afk_channel:
                raise AfkChannel("Earshot was moved to the AFK channel and left. Let it join a channel where people speak.")
            channel = source.channel
            if channel is not None and self.on_moved is not None:
                await self.on_moved(source.guild_id, channel.id, channel.name)
            await self._tell(source)
        except (AfkChannel, ConsentRequired) as error:
            source.fail(error)
            await source.aclose()
        except Exception:  # it would stay there and hear nobody: better join anew
            log.exception("could not follow a move")
            source.fail(VoiceDisconnected("Earshot was moved and could not tell the members there, for a fault of its own."))
            await source.aclose()

    async def _closing(self, guild_id: int, source: DiscordSource) -> None:
        move = self._moves.pop(guild_id, None)
        if move is not None and move is not asyncio.current_task():
            move.cancel()
        if self._sources.get(guild_id) is source:
            del self._sources[guild_id]
        told = self._told.pop(guild_id, None)
        if told is not None:
            await self._notice.withdraw(told)
