"""A discord.py voice client that listens: connect with `channel.connect(cls=functools.partial(EarshotVoiceClient, listener=...))`."""

import asyncio
import contextlib
import logging
import struct
from typing import TYPE_CHECKING

import aiohttp
import discord
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bot.voice.connection import EarshotConnection, EndReason
from bot.voice.deafness import Remedy
from bot.voice.websocket import CallListener, discovery_request

if TYPE_CHECKING:
    import davey

log = logging.getLogger(__name__)

SILENCE = b"\xf8\xff\xfe"
"""An Opus frame of silence. DAVE sends it unencrypted."""

SILENCE_FRAMES = 5
"""How many are sent after connecting: a voice server may send nothing to a client that it has not heard (discord-api-docs issue 808)."""


LEAVE_SECONDS = 3.0
"""How long Discord may take to confirm that we left; then we are gone anyway."""

SESSION_TIMED_OUT = 4009
"""Voice close code after which the session cannot be resumed: closing with it makes the connection leave and join again."""


class EarshotVoiceClient(discord.VoiceClient):
    """Listens for a `CallListener`, survives reconnects and moves, and says when it is gone for good.

    Must be made inside the running loop. `ended` resolves once, with the reason, when the connection is over and will not come back.
    """

    supported_modes = ("aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize")  # type: ignore[assignment]  # discord.py's names lack AES
    """In the order of preference."""

    keepalive_seconds = 5.0
    """Between two UDP keepalives (8 bytes, a counter; undocumented, official clients send them): they hold a NAT's mapping in silence."""

    _connection: EarshotConnection

    def __init__(self, client: discord.Client, channel: discord.abc.Connectable, *, listener: CallListener) -> None:
        self._listener = listener
        super().__init__(client, channel)
        self.ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._keepalives = 0
        self._keepalive_timer: asyncio.TimerHandle | None = None
        self._sealer: tuple[bytes, AESGCM] | None = None

    def create_connection_state(self) -> EarshotConnection:
        """Called by discord.py while constructing."""
        return EarshotConnection(self, self._listener)

    @property
    def dave_session(self) -> "davey.DaveSession | None":
        """The DAVE session in use now, None in an unencrypted call. Ask each time: reconnects may replace it."""
        return self._connection.dave_session

    @property
    def dave_epoch(self) -> int | None:
        """The MLS epoch, None without a group."""
        session = self._connection.dave_session
        return session.epoch if session is not None else None

    @property
    def dave_version(self) -> int:
        """The DAVE protocol version of the call, 0: not end-to-end encrypted."""
        return self._connection.dave_protocol_version

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and came back."""
        return self._connection.reconnects

    @property
    def recoveries(self) -> int:
        """How often DAVE's keys were lost and asked for anew (op 31)."""
        return self._connection.recovery.asked

    @property
    def udp_unanswered(self) -> bool:
        """Whether the voice server did not answer on UDP."""
        return self._connection.udp_unanswered

    @property
    def close_code(self) -> int | None:
        """How the voice server last closed the websocket; None once connected."""
        return self._connection.close_code

    async def apply(self, remedy: Remedy) -> None:
        """Do something about deafness; errors of a line that is breaking anyway are ignored."""
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
            if remedy is Remedy.REKEY and self._connection.dave_session is not None:
                self._connection.recovery.asked += 1
                await self._connection.ask_for_keys(0)
            else:
                await self._connection.ws.close(SESSION_TIMED_OUT)

    def greet(self) -> None:
        """Make the voice server and the network's NAT know us: silence frames now, keepalives from now on."""
        if self.ended.done():
            return
        for _ in range(SILENCE_FRAMES):
            self.send_audio_packet(SILENCE, encode=False)
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
        self._keepalive()

    def ask(self) -> None:
        """Ask the voice server for a sign of life, in both ways that are known."""
        with contextlib.suppress(OSError):
            self._connection.send_packet(discovery_request(self._connection.ssrc))
            self._send_keepalive()

    def _send_keepalive(self) -> None:
        self._keepalives = (self._keepalives + 1) & 0xFFFFFFFF
        with contextlib.suppress(OSError):
            self._connection.send_packet(struct.pack("<Q", self._keepalives))

    def _keepalive(self) -> None:
        self._send_keepalive()
        self._keepalive_timer = self.loop.call_later(self.keepalive_seconds, self._keepalive)

    def _encrypt_aead_aes256_gcm_rtpsize(self, header: bytes, data: bytes) -> bytes:
        """Seal an RTP packet: 12-byte nonce of a 4-byte counter and zeros, the counter appended, the header authenticated."""
        key = bytes(self.secret_key)
        if self._sealer is None or self._sealer[0] != key:
            self._sealer = (key, AESGCM(key))
        counter = struct.pack(">I", self._incr_nonce)
        self.checked_add("_incr_nonce", 1, 0xFFFFFFFF)
        return bytes(header) + self._sealer[1].encrypt(counter + bytes(8), bytes(data), bytes(header)) + counter

    async def reassert(self) -> None:
        """The main gateway began a new session, to which the bot is in no channel: say where it is, and go on with what it answers.

        The cache has new objects for the server and its channels; a channel that is gone is left to the voice server to say.
        """
        guild = self.client.get_guild(self.guild.id)
        channel = guild.get_channel(self.channel.id) if guild is not None else None
        if self.ended.done() or guild is None or not isinstance(channel, discord.VoiceChannel | discord.StageChannel):
            return
        self.channel = channel
        log.info("the main gateway's session is new, saying where I am", extra={"guild_id": guild.id})
        with contextlib.suppress(OSError, aiohttp.ClientError, discord.ConnectionClosed):  # gone again: the next session asks again
            await guild.change_voice_state(channel=channel, self_deaf=self._connection.self_deaf)

    async def disconnect(self, *, force: bool = False) -> None:
        """Leave the channel, whatever state the connection is in; idempotent."""
        if self.ended.done():
            return
        if self._connection.end_reason is not None:
            await asyncio.wait([self.ended])
            return
        self._connection.end_reason = EndReason.LEFT
        self._connection.timeout = min(self._connection.timeout, LEAVE_SECONDS)
        await super().disconnect(force=True)

    def cleanup(self) -> None:
        """Called by discord.py when the connection is over. Only the first call counts: a later one could remove a successor."""
        if self.ended.done():
            return
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
        if self.guild.voice_client is self:
            super().cleanup()
        self.ended.set_result(self._connection.end_reason or EndReason.UNREACHABLE)
