"""The state of one voice connection: its UDP socket, its end, and every way back.

This module, its base `bot.voice.dave_state` and `bot.voice.websocket` alone touch discord.py's private connection state.

What discord.py 2.7.1 does wrong for a bot that listens, and what is done here instead:

* Its socket-reader thread sleeps in `select()` on the old UDP socket for up to 30 s after a move, and IP discovery waits for that
  thread: see `bot.voice.reader`. The old socket is leaked: here it is closed.
* Its poller task ends on anything unforeseen while heartbeats go on, so the bot looks connected and is deaf: the poller here always
  ends in a reconnect or in `ended`.
* Close code 4015 asks for a resume that discord.py can never complete: here a refused resume becomes a full reconnect.
* After one reconnect a later move is taken for a kick, because the flag of the reconnect's own leaving stays set: it is cleared.
* A handshake that was replaced by another (moved, or a new voice server, while connecting) cancels its caller: here the caller waits on.
"""

import asyncio
import contextlib
import logging
import random
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import aiohttp
from discord import ConnectionClosed
from discord.utils import MISSING
from discord.voice_state import ConnectionFlowState, SocketReader

from bot.voice.dave_state import DaveConnectionState
from bot.voice.reader import WakingReader
from bot.voice.websocket import ABNORMAL_CLOSURE, CallListener, VoiceGatewaySocket

if TYPE_CHECKING:
    from discord.types.voice import GuildVoiceState, VoiceServerUpdate

    from bot.voice.client import EarshotVoiceClient

log = logging.getLogger(__name__)

RECEIVE_BUFFER = 1 << 20
"""Bytes asked of the kernel: a second of forty speakers, should the reader thread be held up. The kernel may grant less."""

RESUME_SECONDS = 5.0
"""How long a resumed session may take to be accepted before a full reconnect is made instead."""

LOOK_SECONDS = 0.05
"""Between two looks at the connection's state, where its event may have been missed."""

ATTEMPTS_MAX = 3
"""Handshakes may replace one another (moved, a new voice server) while connecting: how many time-outs that may take in all."""

FINAL = frozenset({1000, 4012, 4016, 4017, 4021})
"""Close codes after which another attempt would fail alike: ended, unknown protocol or mode, DAVE required, too many attempts."""

NOT_RESUMABLE = frozenset({4001, 4002, 4003, 4004, 4005, 4006, 4009, 4011, 4014, 4020, 4022})
"""Close codes that end the voice session. After others (4015, a cut line) it is still there and is resumed: no packet is missed.
https://docs.discord.com/developers/topics/opcodes-and-status-codes#voice-voice-close-event-codes"""


_NO_WEBSOCKET: Any = None
"""For a `ConnectionClosed` with a code of its own: discord.py does not look at the websocket then."""


class EndReason(StrEnum):
    """Why a voice connection is gone for good."""

    LEFT = "left"
    """The bot left by itself."""
    DISCONNECTED = "disconnected"
    """Somebody disconnected the bot, or the channel is gone."""
    CLOSED = "closed"
    """The voice server closed the connection and wants no other."""
    UNREACHABLE = "unreachable"
    """Reconnecting failed."""
    FAILED = "failed"
    """A fault of ours: the poller broke."""


class EarshotConnection(DaveConnectionState):
    """State and reconnect logic of one voice connection, for a `CallListener`."""

    socket_type: type[socket.socket] = socket.socket

    reconnect_delays: tuple[float, ...] = (0.2, 1.0, 2.0, 4.0, 8.0)
    """Seconds before each attempt to reconnect, each lengthened by up to a half so that a failed server's clients do not return as one."""

    explain_seconds: float = 4.0
    """How long the main gateway may take to say why a voice server threw us out (4014, 4022). A move or a kick is told on both within
    a second, in either order; when nothing follows, nobody decided anything, and whoever supervises joins anew: 5 s with its pause."""

    def __init__(self, voice_client: "EarshotVoiceClient", listener: CallListener) -> None:
        super().__init__(voice_client)
        self._explained = asyncio.Event()
        self.listener = listener
        self.end_reason: EndReason | None = None
        self.reconnects = 0
        self.close_code: int | None = None
        """How the voice server last closed the websocket; None once connected."""
        self.udp_unanswered = False
        """Whether the voice server's UDP port has not answered: a firewall, most often."""
        self._outcome: asyncio.Future[None] | None = None
        self.add_socket_listener(listener.datagram)

    # The UDP socket.

    @property
    def _socket_reader(self) -> SocketReader:
        return self._reader

    @_socket_reader.setter
    def _socket_reader(self, reader: SocketReader) -> None:
        """discord.py makes its own reader and starts whatever it finds here: ours."""
        self._reader = WakingReader(self)

    def _create_socket(self) -> None:
        old = self.socket
        self.socket = self.socket_type(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if old is not MISSING:
            old.close()
        self._socket_reader.resume()

    # The websocket.

    async def _connect_websocket(self, resume: bool) -> VoiceGatewaySocket:
        try:
            ws = await VoiceGatewaySocket.from_connection_state(self, resume=resume, seq_ack=self.ws.seq_ack if resume else -1)
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionClosed(_NO_WEBSOCKET, shard_id=None, code=ABNORMAL_CLOSURE) from error
        if self.end_reason is not None:  # told to leave meanwhile: nobody else would ever close this one
            await ws.close()
            raise ConnectionClosed(_NO_WEBSOCKET, shard_id=None, code=4014)
        self.state = ConnectionFlowState.websocket_connected
        return ws

    async def _handshake_websocket(self) -> None:
        await super()._handshake_websocket()
        self.udp_unanswered, self.close_code = False, None
        self._explained.clear()
        self._disconnected.clear()
        self.voice_client.greet()

    async def _voice_connect(self, *, self_deaf: bool = False, self_mute: bool = False) -> None:
        if self.end_reason is not None:  # thrown out, or told to leave, while connecting: discord.py would go back in
            raise ConnectionClosed(_NO_WEBSOCKET, shard_id=None, code=4014)
        await super()._voice_connect(self_deaf=self_deaf, self_mute=self_mute)

    async def _inner_connect(self, reconnect: bool, self_deaf: bool, self_mute: bool, resume: bool) -> None:
        await super()._inner_connect(reconnect, self_deaf, self_mute, resume)
        if not self.is_connected():
            raise TimeoutError

    async def connect(self, *, reconnect: bool, timeout: float, self_deaf: bool, self_mute: bool, resume: bool, wait: bool = True) -> None:
        """Connect; with `wait`, return only when the attempt that counts (the last, should one replace another) has ended."""
        await super().connect(reconnect=reconnect, timeout=timeout, self_deaf=self_deaf, self_mute=self_mute, resume=resume, wait=False)
        attempt = self._connector
        if attempt is not None:
            attempt.add_done_callback(self._attempted)
        if wait:
            self._outcome = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait_for(self._outcome, ATTEMPTS_MAX * timeout)
            except (asyncio.CancelledError, TimeoutError):
                if self._connector is not None:
                    self._connector.cancel()
                raise

    def _attempted(self, attempt: "asyncio.Task[None]") -> None:
        """A cancelled attempt is not the outcome: another replaces it."""
        if attempt.cancelled():
            return
        error = attempt.exception()
        if self._outcome is None or self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(error)

    async def soft_disconnect(self, *, with_state: ConnectionFlowState = ConnectionFlowState.got_both_voice_updates) -> None:
        """Drop the websocket for another attempt. The attempt under way ends first: it would answer the closing by leaving the channel."""
        attempt = self._connector
        if attempt is not None and attempt is not asyncio.current_task() and not attempt.done():
            attempt.cancel()
            await asyncio.wait([attempt])
        await super().soft_disconnect(with_state=with_state)

    # Ending and mending.

    async def _voice_disconnect(self) -> None:
        # discord.py notes what it expects only after asking for it, when the answer may have come.
        self.state = ConnectionFlowState.disconnected
        self._expecting_disconnect = True
        self._disconnected.clear()
        try:
            await self.guild.change_voice_state(channel=None)
        except (aiohttp.ClientError, OSError):
            self._disconnected.set()  # the main gateway is away: no answer is to be waited for, and the websocket still to be closed

    async def voice_state_update(self, data: "GuildVoiceState") -> None:
        """The main gateway says where we are."""
        if data["channel_id"] is None and not self._expecting_disconnect:
            self.end_reason = self.end_reason or EndReason.DISCONNECTED
        if str(data["channel_id"]) != str(self.voice_client.channel.id):
            self._explained.set()
        await super().voice_state_update(data)
        if data["channel_id"] is not None:
            self._update_voice_channel(int(data["channel_id"]))  # discord.py forgets to when the voice server's update came first

    async def voice_server_update(self, data: "VoiceServerUpdate") -> None:
        """The main gateway says which voice server to use."""
        self._explained.set()
        await super().voice_server_update(data)

    def _update_voice_channel(self, channel_id: int | None) -> None:
        before = self.voice_client.channel.id
        channel = self.guild.get_channel(channel_id) if channel_id else None
        if channel is None or channel.id == before:
            return
        super()._update_voice_channel(channel_id)
        self.listener.channel_changed(channel.id)

    async def _poll_voice_ws(self, reconnect: bool) -> None:
        reason = EndReason.FAILED
        try:
            while (ended := await self._mend(await self._poll_until_closed(), reconnect)) is None:
                self.reconnects += 1
            reason = ended
        except asyncio.CancelledError:
            return  # replaced by another attempt, or ended by `soft_disconnect`
        except Exception:
            log.exception("the voice poller failed")
        if self.end_reason is None:  # else whoever set it disconnects
            self.end_reason = reason
            await self.disconnect()

    async def _poll_until_closed(self) -> int:
        """Serve the websocket until it ends; its close code, 1006 when it just fell silent."""
        try:
            while True:
                await self.ws.poll_event()
        except ConnectionClosed as closed:
            return closed.code
        except TimeoutError:
            return ABNORMAL_CLOSURE

    async def _mend(self, code: int, reconnect: bool) -> EndReason | None:
        """Bring the connection back after a close; None when it is back, else why it is gone."""
        log.info("voice websocket closed", extra={"code": code, "guild_id": self.guild.id})
        if self.end_reason is not None:
            return self.end_reason
        if code in FINAL:
            return EndReason.CLOSED
        if code in (4014, 4022):
            if self._disconnected.is_set():
                return EndReason.DISCONNECTED
            moved = await self._potential_reconnect()
            if moved or self.state in (ConnectionFlowState.disconnected, ConnectionFlowState.connected):
                return None if moved else EndReason.CLOSED  # nobody's decision reached us: the main gateway was away
        if code not in NOT_RESUMABLE and await self._resume():
            return None
        return await self._reconnect() if reconnect else EndReason.CLOSED

    async def _potential_reconnect(self) -> bool:
        try:
            if self._main_gateway_is_there():
                await asyncio.wait_for(self._explained.wait(), min(self.explain_seconds, self.timeout))
            async with asyncio.timeout(2 * self.timeout):
                return await super()._potential_reconnect()
        except TimeoutError:
            return False

    async def _wait_for_state(self, state: ConnectionFlowState, *other_states: ConnectionFlowState, timeout: float | None = None) -> None:
        """discord.py's own misses a state that is set before the task that waits for it has begun, and waits until the time-out."""
        async with asyncio.timeout(timeout):
            while self.state not in (state, *other_states):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._state_event.wait(), LOOK_SECONDS)

    def _main_gateway_is_there(self) -> bool:
        try:
            return self.guild._state._get_websocket(self.guild.id).open
        except (AttributeError, KeyError):  # not opened yet
            return False

    async def _resume(self) -> bool:
        """Take up the session on a new websocket (op 7, answered by op 9)."""
        old = self.ws
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                ws = await self._connect_websocket(True)
                self.ws, ws.secret_key = ws, old.secret_key
                while not ws.resumed:
                    await ws.poll_event()
        except (ConnectionClosed, TimeoutError):
            return False
        finally:
            await old.close()
        self.state = ConnectionFlowState.connected
        return True

    async def _reconnect(self) -> EndReason | None:
        for delay in self.reconnect_delays:
            await self.disconnect(cleanup=False)
            await asyncio.sleep(delay * random.uniform(1.0, 1.5))  # noqa: S311 - spreads load, guards nothing
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                await self._connect(True, self.timeout, self.self_deaf, self.self_mute, False)
                return None
            if self.end_reason is not None:
                return self.end_reason
        return EndReason.UNREACHABLE
