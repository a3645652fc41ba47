"""The voice gateway (version 8) as discord.py speaks it, with what receiving needs: repairs, and a listener told of what matters.

Sources: Discord's voice connection docs; DAVE protocol whitepaper 1.1.4. Opcodes 21, 22 and 24 are handled here and not by discord.py,
because discord.py ignores them in a call that began unencrypted, and opens davey's passthrough without ever closing it.
"""

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol

import aiohttp
from discord import ConnectionClosed
from discord.gateway import DiscordVoiceWebSocket

from bot.heartbeat import beats

if TYPE_CHECKING:
    from bot.voice.connection import EarshotConnection

P = ParamSpec("P")

log = logging.getLogger(__name__)

DISCOVERY_TRIES = 5
DISCOVERY_SECONDS = 1.0
"""How often the IP discovery request is sent, and how long each waits: one lost datagram must not cost the connection."""

CLOSE_SECONDS = 2.0
"""How long a server may take to answer a close frame."""

ABNORMAL_CLOSURE = 1006
"""RFC 6455 section 7.1.5: the connection ended without a close frame."""

NO_COMMON_MODE = 4016
"""Discord's close code for an unknown encryption mode; used when the server offers none that we know."""

_MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error)


class CallListener(Protocol):
    """What a voice connection tells about the call. All are called on the event loop, `datagram` alone on the socket-reader thread."""

    def datagram(self, data: bytes) -> None:
        """One UDP datagram as it came, at most 2048 bytes."""
        ...

    def transport_reset(self) -> None:
        """Op 2: a new voice server session; SSRCs and keys of the old one are void."""
        ...

    def transport_ready(self, mode: str, secret_key: bytes, dave_version: int) -> None:
        """Op 4: mode and 32-byte key of the transport, and the DAVE version in force (0: none)."""
        ...

    def speaking(self, ssrc: int, user_id: int) -> None:
        """Ops 5 and 12: that SSRC is that user's."""
        ...

    def spoke(self, user_id: int, *, speaking: bool) -> None:
        """Op 5: that member begins to speak, or ends. Some clients tell only of the first time."""
        ...

    def user_left(self, user_id: int) -> None:
        """Op 13."""
        ...

    def transition_prepared(self, transition_id: int, version: int) -> None:
        """Op 21: the call will speak that DAVE version once the transition is executed; id 0: it does at once."""
        ...

    def transition_executed(self, transition_id: int) -> None:
        """Op 22."""
        ...

    def epoch_prepared(self, epoch: int, version: int) -> None:
        """Op 24: a new MLS group (epoch 1) for that DAVE version."""
        ...

    def epoch_changed(self, transition_id: int) -> None:
        """Op 29 or 30 was applied: the keys of a new epoch are there."""
        ...

    def channel_changed(self, channel_id: int) -> None:
        """The bot was moved: it is now in that channel."""
        ...


def discovery_request(ssrc: int) -> bytes:
    """What asks a voice server for our address (IP discovery, Discord docs): 74 bytes."""
    return struct.pack(">HHI", 1, 70, ssrc) + bytes(66)


class VoiceGatewaySocket(DiscordVoiceWebSocket):
    """One websocket to a voice server."""

    _connection: "EarshotConnection"
    resumed = False
    """Whether the server has accepted a resume (op 9)."""
    refused = False
    """Whether davey refused the commit or welcome at hand."""

    async def poll_event(self) -> None:
        """Handle one message. A malformed one is logged and skipped; when the line is closed, `ConnectionClosed`."""
        try:
            await super().poll_event()
        except ConnectionClosed as closed:
            self._connection.close_code = closed.code
            raise
        except (aiohttp.ClientError, ConnectionError) as error:
            # An answer could not be sent. Why the line is closed (the close code) is still to be read.
            log.info("voice gateway answer not sent", extra={"error": type(error).__name__})
        except _MALFORMED as error:
            log.warning("skipped a voice gateway message", extra={"error": type(error).__name__})

    async def send_heartbeat(self, data: Any) -> None:  # noqa: ANN401 - JSON
        """Note when, then send."""
        beats(self)
        await self.send_as_json(data)

    async def close(self, code: int = 1000) -> None:
        """Close, without waiting long for a server that may be gone: aiohttp would wait 30 s for its close frame, then cuts the line."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await super().close(code)

    async def received_message(self, msg: dict[str, Any]) -> None:
        """Handle a JSON message and tell the listener."""
        op, data = msg["op"], msg["d"]
        if op == self.READY:
            self._tell(self._connection.listener.transport_reset)
            self._offer_our_modes_first(data)
        elif op == self.SESSION_DESCRIPTION:
            self._connection.recovery.begin()
            self._tell(
                self._connection.listener.transport_ready, data["mode"], bytes(data["secret_key"]), int(data["dave_protocol_version"])
            )
        elif op == self.RESUMED:
            self.resumed = True
        if handler := self._DAVE.get(op):
            self.seq_ack = msg.get("seq", self.seq_ack)
            await handler(self, data)
        else:
            await super().received_message(msg)
            self._tell_of_people(op, data)

    def _offer_our_modes_first(self, data: dict[str, Any]) -> None:
        """discord.py takes the first mode that it knows in the server's order; ours prefers AES-GCM."""
        data["modes"] = [mode for mode in self._connection.supported_modes if mode in data["modes"]]
        if not data["modes"]:
            raise ConnectionClosed(self.ws, shard_id=None, code=NO_COMMON_MODE)

    def _tell_of_people(self, op: int, data: dict[str, Any]) -> None:
        listener = self._connection.listener
        if op == self.SPEAKING:
            self._tell(listener.speaking, int(data["ssrc"]), int(data["user_id"]))
            self._tell(listener.spoke, int(data["user_id"]), speaking=bool(data.get("speaking")))
        elif op == self.CLIENT_CONNECT and data.get("audio_ssrc"):
            self._tell(listener.speaking, int(data["audio_ssrc"]), int(data["user_id"]))
        elif op == self.CLIENT_DISCONNECT:
            self._tell(listener.user_left, int(data["user_id"]))

    def _tell(self, told: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """A listener's fault must not end the poller: the heartbeats would go on and the bot would be deaf for good."""
        try:
            told(*args, **kwargs)
        except Exception:
            log.exception("a voice listener failed", extra={"told": getattr(told, "__name__", "")})

    async def _prepare_transition(self, data: dict[str, Any]) -> None:
        transition_id, version = int(data["transition_id"]), int(data["protocol_version"])
        self._connection.remember_transition(transition_id, version)
        self._tell(self._connection.listener.transition_prepared, transition_id, version)
        if transition_id == 0:
            await self._connection._execute_transition(0)
        else:
            await self.send_transition_ready(transition_id)

    async def _execute_transition(self, data: dict[str, Any]) -> None:
        transition_id = int(data["transition_id"])
        await self._connection._execute_transition(transition_id)
        self._tell(self._connection.listener.transition_executed, transition_id)

    async def _prepare_epoch(self, data: dict[str, Any]) -> None:
        epoch, version = int(data["epoch"]), int(data["protocol_version"])
        self._tell(self._connection.listener.epoch_prepared, epoch, version)
        if epoch == 1:
            self._connection.dave_protocol_version = version
            self._connection.recovery.begin()
            await self._connection.reinit_dave_session()

    _DAVE: ClassVar[dict[int, Callable[..., Any]]] = {
        DiscordVoiceWebSocket.DAVE_PREPARE_TRANSITION: _prepare_transition,
        DiscordVoiceWebSocket.DAVE_EXECUTE_TRANSITION: _execute_transition,
        DiscordVoiceWebSocket.DAVE_PREPARE_EPOCH: _prepare_epoch,
    }

    async def received_binary_message(self, msg: bytes) -> None:
        """Handle an MLS message.

        A refused external sender (op 25, repeated in a running group) or proposal (op 27, of another epoch) needs no answer: if it
        mattered, the commit that builds on it is refused too. A refused commit or welcome (ops 29, 30) does, unless one is under way.
        """
        op, state = msg[2], self._connection
        if op == self.MLS_EXTERNAL_SENDER:
            state.ensure_dave_session()
        self.refused = False
        try:
            await super().received_binary_message(msg)
        except ValueError as error:
            log.warning("davey refused an MLS message", extra={"op": op, "error": type(error).__name__})
        if op not in (self.MLS_ANNOUNCE_COMMIT_TRANSITION, self.MLS_WELCOME) or state.dave_session is None:
            return
        (transition_id,) = struct.unpack_from(">H", msg, 3)
        if not self.refused:
            state.recovery.settled()
            self._tell(state.listener.epoch_changed, transition_id)
        elif state.recovery.refused(welcome=op == self.MLS_WELCOME):
            await state.ask_for_keys(transition_id)
        elif transition_id:
            await self.send_transition_ready(transition_id)  # we shall be added anew: the others need not wait for us

    async def send_transition_ready(self, transition_id: int) -> None:
        """Op 23. On a line that is closing it is lost; discord.py would take that for a bad commit and throw the new keys away."""
        try:
            await super().send_transition_ready(transition_id)
        except (aiohttp.ClientError, ConnectionError) as error:
            log.info("voice gateway answer not sent", extra={"error": type(error).__name__})

    async def discover_ip(self) -> tuple[str, int]:
        """Our address as the voice server sees it. Asks again when a datagram is lost; `TimeoutError` when none is answered."""
        state = self._connection
        answer: asyncio.Future[bytes] = self.loop.create_future()

        def settle(data: bytes) -> None:
            if not answer.done():
                answer.set_result(data)

        def take(data: bytes) -> None:
            if len(data) == 74 and data[1] == 2:
                self.loop.call_soon_threadsafe(settle, data)

        request = discovery_request(state.ssrc)
        state.add_socket_listener(take)
        try:
            for _ in range(DISCOVERY_TRIES):
                await self.loop.sock_sendall(state.socket, request)
                if (await asyncio.wait([answer], timeout=DISCOVERY_SECONDS))[0]:
                    data = answer.result()
                    return data[8 : data.index(0, 8)].decode("ascii"), int.from_bytes(data[72:74], "big")
        finally:
            state.remove_socket_listener(take)
        state.udp_unanswered = True
        raise TimeoutError
