"""The voice server's UDP side: IP discovery, keepalives, and everything else to the session it belongs to."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from tests.loopback.voice.impair import Impairment
from tests.loopback.voice.session import Address, ClientSession
from tests.loopback.voice.stats import Stats

DISCOVERY_BYTES = 74
KEEPALIVE_BYTES = 8
RECEIVE_BUFFER = 4 << 20


class UdpServer(asyncio.DatagramProtocol):
    """One socket. Only packets suffer from the bad network; discovery always works."""

    def __init__(
        self, find: Callable[[int], ClientSession | None], stats: Stats, uplink: Impairment, downlink: Impairment, *, echo_keepalives: bool
    ) -> None:
        """`find`: session by SSRC; `uplink` / `downlink`: the network from and to clients."""
        self._find = find
        self._stats = stats
        self.uplink = uplink
        self.downlink = downlink
        self.echo_keepalives = echo_keepalives
        self._sessions: dict[Address, ClientSession] = {}
        self.cut: set[Address] = set()
        """Clients' addresses from and to which nothing comes through, discovery neither: a NAT dropped the mapping."""
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        find: Callable[[int], ClientSession | None],
        stats: Stats,
        uplink: Impairment,
        downlink: Impairment,
        *,
        echo_keepalives: bool,
    ) -> "UdpServer":
        """Bind a free port."""
        server = cls(find, stats, uplink, downlink, echo_keepalives=echo_keepalives)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=(host, 0))
        return server

    @property
    def address(self) -> Address:
        """(host, port)."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.DatagramTransport, transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Called by asyncio."""
        if addr in self.cut:
            return
        if len(data) == DISCOVERY_BYTES and data[:4] == struct.pack(">HH", 1, 70):
            self._discover(data, addr)
            return
        session = self._sessions.get(addr)
        if session is None or session.ended:
            self._stats.unknown_datagrams += 1
            return
        if len(data) == KEEPALIVE_BYTES:
            session.stats.keepalives += 1
            if self.echo_keepalives:
                self._write(data, addr)
            return
        self.uplink.carry(data, session.received, asyncio.get_running_loop().call_later)

    def error_received(self, exc: Exception) -> None:
        """Called by asyncio when a client's socket is gone; its websocket will tell."""

    def send(self, datagram: bytes, address: Address) -> None:
        """Send over the bad network."""
        self.downlink.carry(datagram, lambda d: self._write(d, address), asyncio.get_running_loop().call_later)

    def bind(self, session: ClientSession, address: Address) -> None:
        """Packets from this address are the session's, and its packets go there."""
        if session.address is not None:
            self._sessions.pop(session.address, None)
        session.address = address
        self._sessions[address] = session

    def forget(self, session: ClientSession) -> None:
        """The session is over."""
        if session.address is not None and self._sessions.get(session.address) is session:
            del self._sessions[session.address]

    def close(self) -> None:
        """Close the socket."""
        if self._transport:
            self._transport.close()

    def _discover(self, data: bytes, addr: Address) -> None:
        """IP discovery (Discord docs): 74 bytes, the answer carries the address as seen from here."""
        ssrc = struct.unpack_from(">I", data, 4)[0]
        session = self._find(ssrc)
        if session is None:
            self._stats.unknown_datagrams += 1
            return
        session.stats.discoveries += 1
        self.bind(session, addr)
        self._write(struct.pack(">HHI64sH", 2, 70, ssrc, addr[0].encode(), addr[1]), addr)

    def _write(self, data: bytes, addr: Address) -> None:
        if self._transport and not self._transport.is_closing() and addr not in self.cut:
            self._transport.sendto(data, addr)
