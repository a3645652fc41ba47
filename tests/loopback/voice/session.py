"""One client's voice session: what it is sent on the websocket (kept for a resume) and over UDP. It outlives its connections."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from tests.loopback.voice.peer import Op
from tests.loopback.voice.rtp import OPUS, SILENCE, RtpPacket, header_size
from tests.loopback.voice.stats import ClientStats
from tests.loopback.voice.transport import Transport, Undecryptable

HISTORY = 1024
"""Messages kept for a resume; a client that missed more gets 4006."""
UNNUMBERED = (Op.HEARTBEAT_ACK, Op.HELLO, Op.RESUMED)
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the main gateway has promised a client."""

    guild_id: int
    channel_id: int
    user_id: int
    session_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Close:
    """Ends a connection after everything before it was sent."""

    code: int


Frame = str | bytes | Close


class Network(Protocol):
    """Where datagrams to a client go."""

    def send(self, datagram: bytes, address: Address) -> None: ...


class ClientSession:
    """A client in a call, as a `Peer`."""

    is_human = False

    def __init__(self, ticket: Ticket, ssrc: int, stats: ClientStats, network: Network) -> None:
        self.ticket = ticket
        self.ssrc = ssrc
        self.stats = stats
        self.network = network
        self.max_dave = 0
        self.transport: Transport | None = None
        self.address: Address | None = None
        """Where its UDP packets come from."""
        self.outbox: asyncio.Queue[Frame] | None = None
        """Of the websocket that it has now; None while it has none."""
        self.resumable = False
        """Set by a close after which the session waits for a resume."""
        self.ended = False
        self.unserved = False
        """The server forwards nothing to it; opcodes go on."""
        self.deafened = False
        """A moderator deafened the client: it gets no more voice."""
        self._seq = 0
        self._history: deque[Frame] = deque(maxlen=HISTORY)

    @property
    def user_id(self) -> int:
        """The client's user."""
        return self.ticket.user_id

    def attach(self, outbox: "asyncio.Queue[Frame]") -> None:
        """From now on messages go to this websocket."""
        self.outbox = outbox

    def send(self, op: Op, data: object) -> None:
        """Send a JSON opcode."""
        message: dict[str, object] = {"op": int(op), "d": data}
        if op in UNNUMBERED:
            self._post(json.dumps(message))
            return
        message["seq"] = self._next_seq()
        self._keep(json.dumps(message))

    def send_binary(self, op: Op, body: bytes) -> None:
        """Send a binary opcode."""
        self._keep(self._next_seq().to_bytes(2, "big") + bytes([op]) + body)

    def close(self, code: int) -> None:
        """Close the websocket, if there is one, after what is already in its outbox."""
        self.stats.close_codes.append(code)
        self._post(Close(code))

    def remembers(self, seq_ack: int) -> bool:
        """Whether everything after `seq_ack` can be sent again."""
        return self._missed(seq_ack) <= len(self._history)

    def replay(self, seq_ack: int) -> None:
        """Send op 9 and everything after `seq_ack` again."""
        self.send(Op.RESUMED, None)
        for frame in tuple(self._history)[len(self._history) - self._missed(seq_ack) :]:
            self._post(frame)

    def _missed(self, seq_ack: int) -> int:
        return (self._seq - max(seq_ack, 0)) & 0xFFFF

    def forward(self, packet: RtpPacket) -> None:
        """Seal a human's packet and send it, as soon as the client has told its address."""
        if self.deafened or self.unserved:
            return
        if self.transport and self.address and not self.ended:
            self.stats.forwarded += 1
            self.network.send(self.transport.seal(packet.header, packet.body), self.address)

    def received(self, datagram: bytes) -> None:
        """Count what the client sent over UDP."""
        if len(datagram) < 12 or datagram[0] >> 6 != 2 or self.transport is None:
            self.stats.refused += 1
            return
        try:
            body = self.transport.open(datagram, header_size(datagram))
        except Undecryptable:
            self.stats.refused += 1
            return
        self.stats.packets += 1
        if datagram[1] & 0x7F == OPUS and body == SILENCE:
            self.stats.silence += 1

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) & 0xFFFF
        return self._seq

    def _keep(self, frame: str | bytes) -> None:
        self._history.append(frame)
        self._post(frame)

    def _post(self, frame: Frame) -> None:
        if self.outbox is not None:
            self.outbox.put_nowait(frame)
