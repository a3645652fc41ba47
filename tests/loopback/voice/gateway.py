"""The voice gateway, version 8, for one websocket: Discord docs "Voice Connections", with DAVE's opcodes 21 to 31."""

import asyncio
import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from tests.loopback.voice.call import Call
from tests.loopback.voice.peer import Op
from tests.loopback.voice.session import ClientSession, Close, Frame
from tests.loopback.voice.transport import Transport

MAX_MESSAGE = 64 << 10
MISSED_BEATS = 3
"""A client that is silent for so many heartbeat intervals is closed with 4009."""
UNKNOWN_OPCODE, UNDECODABLE, NOT_AUTHENTICATED, AUTHENTICATION_FAILED, ALREADY_AUTHENTICATED = 4001, 4002, 4003, 4004, 4005
SESSION_INVALID, SESSION_TIMEOUT, UNKNOWN_PROTOCOL, UNKNOWN_MODE, DAVE_REQUIRED = 4006, 4009, 4012, 4016, 4017
CALL_OPCODES = (Op.TRANSITION_READY, Op.INVALID_COMMIT)
BINARY_OPCODES = (Op.KEY_PACKAGE, Op.COMMIT_WELCOME)


class Refused(Exception):
    """The server closes the websocket with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Host(Protocol):
    """What a connection asks of the voice server."""

    @property
    def modes(self) -> tuple[str, ...]:
        """Transport modes in the order of op 2."""
        ...

    @property
    def heartbeat_interval(self) -> float:
        """Seconds."""
        ...

    def admit(self, identify: Mapping[str, Any]) -> ClientSession:
        """The new session of a client that identified. Raises `Refused`."""
        ...

    def readmit(self, resume: Mapping[str, Any]) -> ClientSession:
        """The session that a client resumes. Raises `Refused`."""
        ...

    def call_of(self, session: ClientSession) -> Call: ...

    def media_address(self, session: ClientSession) -> tuple[str, int]:
        """Where its packets shall go."""
        ...

    def select(self, session: ClientSession, address: tuple[str, int], mode: str) -> None:
        """The client chose: give it a transport key."""
        ...

    def attached(self, session: ClientSession, connection: "Connection") -> None:
        """The session has this websocket now."""
        ...

    def detached(self, session: ClientSession, connection: "Connection", code: int | None) -> None:
        """The websocket is gone; `code` is the close code, None when it broke."""
        ...


class Connection:
    """One websocket from hello to close."""

    def __init__(self, host: Host, request: web.Request) -> None:
        self.host = host
        self.request = request
        self.socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, timeout=2.0)
        self.outbox: asyncio.Queue[Frame] = asyncio.Queue()
        self.session: ClientSession | None = None

    async def run(self) -> web.WebSocketResponse:
        """Serve until it ends."""
        await self.socket.prepare(self.request)
        writer = asyncio.create_task(self._write())
        self._hello()
        code: int | None = None
        try:
            code = await self._read()
        except Refused as refusal:
            self.outbox.put_nowait(Close(refusal.code))
            await writer
            code = refusal.code
            if self.session:
                self.session.stats.close_codes.append(code)
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            if self.session:
                self.host.detached(self.session, self, code)
        return self.socket

    def abort(self) -> None:
        """Cut the TCP connection without a close frame."""
        if self.request.transport:
            self.request.transport.abort()

    def _hello(self) -> None:
        interval = round(self.host.heartbeat_interval * 1000)
        self.outbox.put_nowait(json.dumps({"op": int(Op.HELLO), "d": {"v": 8, "heartbeat_interval": interval}}))

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                frame = await self.outbox.get()
                if isinstance(frame, Close):
                    await self.socket.close(code=frame.code)
                    return
                if isinstance(frame, str):
                    await self.socket.send_str(frame)
                else:
                    await self.socket.send_bytes(frame)

    async def _read(self) -> int | None:
        silence = self.host.heartbeat_interval * MISSED_BEATS
        while True:
            try:
                message = await self.socket.receive(timeout=silence)
            except TimeoutError:
                raise Refused(SESSION_TIMEOUT) from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return self.socket.close_code if self.socket.close_code != 1006 else None
            if self.session and self.session.ended:
                continue  # closed by the server: only the client's close frame is awaited
            if message.type is WSMsgType.TEXT:
                self._text(message.data)
            else:
                self._binary(message.data)

    def _text(self, text: str) -> None:
        try:
            message = json.loads(text)
            op, data = int(message["op"]), message.get("d")
        except (ValueError, TypeError, KeyError):
            raise Refused(UNDECODABLE) from None
        try:
            self._opcode(op, data)
        except (ValueError, TypeError, KeyError):
            raise Refused(UNDECODABLE) from None

    def _opcode(self, op: int, data: Any) -> None:  # noqa: ANN401 — JSON from the client, checked where it is used
        if op in (Op.IDENTIFY, Op.RESUME):
            self._authenticate(op, data)
            return
        if op == Op.HEARTBEAT and self.session is None:
            self._acknowledge(data)
            return
        if self.session is None:
            raise Refused(NOT_AUTHENTICATED)
        self.session.stats.opcodes[op] += 1
        if op == Op.HEARTBEAT:
            self._acknowledge(data)
        elif op == Op.SELECT_PROTOCOL:
            self._select(self.session, data)
        elif op == Op.SPEAKING:
            payload = {"user_id": str(self.session.user_id), "ssrc": self.session.ssrc, "speaking": int(data["speaking"])}
            self.host.call_of(self.session).tell_clients(Op.SPEAKING, payload, but=self.session.user_id)
        elif op == Op.VERSIONS:
            self.session.send(Op.VERSIONS, {"voice": "0.0.0-loopback", "rtc_worker": "0.0.0-loopback"})
        elif op in CALL_OPCODES:
            self.host.call_of(self.session).dave.receive(self.session.user_id, Op(op), {"transition_id": int(data["transition_id"])})
        elif op not in (Op.VIDEO, Op.MEDIA_SINK_WANTS):
            raise Refused(UNKNOWN_OPCODE)

    def _binary(self, body: bytes) -> None:
        if self.session is None:
            raise Refused(NOT_AUTHENTICATED)
        if not body:
            raise Refused(UNDECODABLE)
        self.session.stats.opcodes[body[0]] += 1
        if body[0] not in BINARY_OPCODES:
            raise Refused(UNKNOWN_OPCODE)
        self.host.call_of(self.session).dave.receive(self.session.user_id, Op(body[0]), bytes(body[1:]))

    def _authenticate(self, op: int, data: Mapping[str, Any]) -> None:
        if self.session is not None:
            raise Refused(ALREADY_AUTHENTICATED)
        if op == Op.RESUME:
            self._resume(self.host.readmit(data), int(data.get("seq_ack", 0)))
            return
        self.session = self.host.admit(data)
        self.session.stats.opcodes[op] += 1
        self.session.attach(self.outbox)
        self.host.attached(self.session, self)
        host, port = self.host.media_address(self.session)
        ready = {"ssrc": self.session.ssrc, "ip": host, "port": port, "modes": list(self.host.modes), "experiments": [], "streams": []}
        self.session.send(Op.READY, ready)

    def _resume(self, session: ClientSession, seq_ack: int) -> None:
        if not session.remembers(seq_ack):
            raise Refused(SESSION_INVALID)
        self.session = session
        session.stats.opcodes[Op.RESUME] += 1
        session.stats.resumes += 1
        session.attach(self.outbox)
        self.host.attached(session, self)
        session.replay(seq_ack)

    def _acknowledge(self, data: Any) -> None:  # noqa: ANN401 — JSON from the client, echoed
        nonce = data["t"] if isinstance(data, dict) else data
        if isinstance(nonce, float) and not math.isfinite(nonce):
            raise Refused(UNDECODABLE)
        self.outbox.put_nowait(json.dumps({"op": int(Op.HEARTBEAT_ACK), "d": {"t": nonce}}))

    def _select(self, session: ClientSession, data: Mapping[str, Any]) -> None:
        if data["protocol"] != "udp":
            raise Refused(UNKNOWN_PROTOCOL)
        chosen = data["data"]
        if chosen["mode"] not in self.host.modes:
            raise Refused(UNKNOWN_MODE)
        self.host.select(session, (str(chosen["address"]), int(chosen["port"])), chosen["mode"])
        call = self.host.call_of(session)
        session.send(Op.SESSION_DESCRIPTION, description(session, call.dave.offered_version))
        session.send(Op.MEDIA_SINK_WANTS, {"any": 100})
        call.join_client(session)


def description(session: ClientSession, dave_version: int) -> dict[str, object]:
    """Body of op 4."""
    transport: Transport | None = session.transport
    assert transport is not None
    return {
        "mode": transport.mode,
        "secret_key": list(transport.key),
        "audio_codec": "opus",
        "video_codec": "H264",
        "media_session_id": session.ticket.session_id,
        "dave_protocol_version": dave_version,
    }
