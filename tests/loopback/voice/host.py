"""The voice server's core: owns the calls, the sockets, the humans and the clients' sessions."""

import asyncio
import random
import secrets
from collections.abc import Mapping
from typing import Any

import davey
from aiohttp import web

from tests.loopback.voice.call import Call
from tests.loopback.voice.dave import Committer
from tests.loopback.voice.gateway import (
    AUTHENTICATION_FAILED,
    DAVE_REQUIRED,
    SESSION_INVALID,
    Connection,
    Refused,
)
from tests.loopback.voice.human import Human
from tests.loopback.voice.impair import Impairment
from tests.loopback.voice.session import ClientSession, Ticket
from tests.loopback.voice.stats import Stats
from tests.loopback.voice.transport import KEY_BYTES, MODES, Transport
from tests.loopback.voice.udp import UdpServer

SSRC_STEP = 4
"""Room for a sender's audio, video and retransmission streams."""
CLOSING_SECONDS = 3.0
"""How long `aclose` waits for clients to answer their close frames."""
SESSION_OVER = (4006, 4009, 4014, 4021, 4022)
"""Close codes after which the session cannot be resumed."""


class VoiceHost:
    """The voice half of a loopback Discord (`tests.loopback.ports.VoiceBackend`)."""

    def __init__(
        self,
        *,
        seed: int = 0,
        host: str = "127.0.0.1",
        modes: tuple[str, ...] = MODES,
        committer: Committer = Committer.HUMANS,
        dave_timeout: float = 30.0,
        heartbeat_interval: float = 13.75,
        resume_window: float = 10.0,
        echo_keepalives: bool = False,
        eager_humans: bool = False,
    ) -> None:
        """`seed`: keys, SSRCs, packet shapes and impairments follow from it.

        `modes`: transport modes in op 2's order; `committer`: whose commits win; `dave_timeout`: seconds that a transition
        waits for op 23 and a batch for the commit of those whose turn it is; `heartbeat_interval` and `resume_window` in
        seconds; `eager_humans`: humans switch their sending key as soon as they know a commit, not at op 22.
        """
        self.seed = seed
        self.host = host
        self.modes = modes
        self.committer = committer
        self.dave_timeout = dave_timeout
        self.heartbeat_interval = heartbeat_interval
        self.resume_window = resume_window
        self.echo_keepalives = echo_keepalives
        self.eager_humans = eager_humans
        self.uplink = Impairment(seed=seed + 1)
        """The network from clients."""
        self.downlink = Impairment(seed=seed + 2)
        """The network to clients."""
        self.stats = Stats()
        self._rng = random.Random(seed)
        self._calls: dict[int, Call] = {}
        self._plain_channels: set[int] = set()
        self._tickets: dict[tuple[int, int], Ticket] = {}
        self._sessions: dict[tuple[int, int], ClientSession] = {}
        self._by_ssrc: dict[int, ClientSession] = {}
        self._connections: dict[ClientSession, Connection] = {}
        self._humans: dict[int, tuple[Call, Human]] = {}
        self._ssrcs: dict[int, int] = {}
        self._last_ssrc = self._rng.randrange(1000, 1 << 20)
        self._sockets: list[UdpServer] = []
        self._reapers: dict[ClientSession, asyncio.TimerHandle] = {}
        self._serving: set[asyncio.Task[object]] = set()

    # ---- the port that the main half uses -----------------------------------------------------

    async def start(self) -> None:
        """Open the UDP socket."""
        self._sockets.append(await self._open_socket())

    async def aclose(self) -> None:
        """Close every client and socket; idempotent."""
        for timer in self._reapers.values():
            timer.cancel()
        self._reapers.clear()
        for session in tuple(self._sessions.values()):
            session.close(1001)
            self._drop(session)
        for _, human in self._humans.values():
            human.leave()
        for call in self._calls.values():
            call.close()
        for socket in self._sockets:
            socket.close()
        if self._serving:
            await asyncio.wait(self._serving, timeout=CLOSING_SECONDS)

    def expect(self, *, guild_id: int, channel_id: int, user_id: int, session_id: str, stage: bool = False) -> str:
        """A client will come for this call; its voice token. An earlier token of the user in that guild is void."""
        token = secrets.token_hex(8)
        self._tickets[guild_id, user_id] = Ticket(guild_id, channel_id, user_id, session_id, token)
        if stage:
            self._plain_channels.add(channel_id)
        call = self._call(guild_id, channel_id)
        if stage and call.dave.offered_version:
            call.dave.change_version(0)
        return token

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Serve one voice gateway connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            return await Connection(self, request).run()
        finally:
            self._serving.discard(task)

    async def close_client(self, *, guild_id: int, user_id: int, code: int) -> None:
        """Close that user's voice websocket; after 4006, 4009, 4014, 4021 and 4022 the session is over, after others it may resume."""
        session = self._sessions.get((guild_id, user_id))
        if session is None:
            return
        session.resumable = code not in SESSION_OVER
        session.close(code)
        if not session.resumable:
            self._drop(session)

    async def human_joined(self, *, guild_id: int, channel_id: int, user_id: int) -> None:
        """A human entered the channel's call, and left the one it was in."""
        if user_id in self._humans:
            self._leave(user_id)
        call = self._call(guild_id, channel_id)
        rng = random.Random(f"{self.seed}:{user_id}")
        human = Human(user_id, call, self._new_ssrc(user_id), rng, self.stats.human(user_id), eager=self.eager_humans)
        self._humans[user_id] = (call, human)
        call.join_human(human)

    async def human_left(self, *, guild_id: int, channel_id: int, user_id: int) -> None:
        """A human left the channel's call; nothing happens when it was not in it."""
        call, _ = self._humans.get(user_id, (None, None))
        if call is not None and call.channel_id == channel_id:
            self._leave(user_id)

    # ---- what tests and the demo look at ------------------------------------------------------

    def human(self, user_id: int) -> Human:
        """The human's present stay. KeyError when it is in no call."""
        return self._humans[user_id][1]

    def call(self, channel_id: int) -> Call:
        """A channel's call. KeyError before anybody came or was expected."""
        return self._calls[channel_id]

    def client(self, user_id: int, guild_id: int | None = None) -> ClientSession:
        """A client's session, in any guild unless one is named. KeyError when it has none."""
        for (guild, user), session in self._sessions.items():
            if user == user_id and guild_id in (None, guild):
                return session
        raise KeyError(user_id)

    async def settled(self, channel_id: int, *, clients: int | None = None, timeout: float = 60.0) -> None:
        """Until everybody in the call shares its keys and nothing is in flight; with `clients`, and so many clients are in it.

        Raises `TimeoutError`.
        """
        call = self._calls[channel_id]
        await call.wait(lambda: call.settled and (clients is None or len(call.clients) == clients), timeout)

    # ---- what connections ask (gateway.Host) --------------------------------------------------

    def admit(self, identify: Mapping[str, Any]) -> ClientSession:
        """Op 0: 4004 for a wrong token, 4006 for a wrong session, 4017 for a client without DAVE in a call with it."""
        key = (int(identify["server_id"]), int(identify["user_id"]))
        ticket = self._tickets.get(key)
        if ticket is None or identify["token"] != ticket.token:
            raise Refused(AUTHENTICATION_FAILED)
        if identify["session_id"] != ticket.session_id:
            raise Refused(SESSION_INVALID)
        max_dave = int(identify.get("max_dave_protocol_version", 0))
        if max_dave < self._calls[ticket.channel_id].dave.offered_version:
            raise Refused(DAVE_REQUIRED)
        old = self._sessions.get(key)
        if old is not None:
            old.close(SESSION_INVALID)
            self._drop(old)
        session = ClientSession(ticket, self._new_ssrc(ticket.user_id), self.stats.client(ticket.user_id), self._sockets[-1])
        session.max_dave = max_dave
        session.stats.connections += 1
        self._sessions[key] = session
        self._by_ssrc[session.ssrc] = session
        return session

    def readmit(self, resume: Mapping[str, Any]) -> ClientSession:
        """Op 7: 4006 when the session is over or not this client's."""
        token = resume["token"]
        for (guild_id, _), session in self._sessions.items():
            if session.ticket.token == token and guild_id == int(resume["server_id"]) and session.ticket.session_id == resume["session_id"]:
                return session
        raise Refused(SESSION_INVALID)

    def call_of(self, session: ClientSession) -> Call:
        """The call that the session is for."""
        return self._calls[session.ticket.channel_id]

    def media_address(self, session: ClientSession) -> tuple[str, int]:
        """Host and port for op 2."""
        return self._sockets[-1].address

    def select(self, session: ClientSession, address: tuple[str, int], mode: str) -> None:
        """Op 1: the client gets its own transport key."""
        session.transport = Transport(mode, self._rng.randbytes(KEY_BYTES))
        assert isinstance(session.network, UdpServer)
        session.network.bind(session, address)

    def attached(self, session: ClientSession, connection: Connection) -> None:
        """The session has this websocket now."""
        self._connections[session] = connection
        session.resumable = False
        timer = self._reapers.pop(session, None)
        if timer:
            timer.cancel()

    def detached(self, session: ClientSession, connection: Connection, code: int | None) -> None:
        """A session whose websocket broke, or was closed with a code that allows it, waits for a resume; others are over."""
        if self._connections.get(session) is not connection:
            return
        del self._connections[session]
        session.outbox = None
        if session.ended:
            return
        if not session.resumable and code is not None:
            self._drop(session)
            return
        loop = asyncio.get_running_loop()
        self._reapers[session] = loop.call_later(self.resume_window, self._drop, session)

    # ---- inside -------------------------------------------------------------------------------

    def _call(self, guild_id: int, channel_id: int) -> Call:
        if channel_id not in self._calls:
            rng = random.Random(f"{self.seed}:{channel_id}")
            version = 0 if channel_id in self._plain_channels else davey.DAVE_PROTOCOL_VERSION
            call = Call(guild_id, channel_id, rng, version=version, committer=self.committer, timeout=self.dave_timeout)
            self._calls[channel_id] = call
        return self._calls[channel_id]

    def _new_ssrc(self, user_id: int) -> int:
        assigned = self._ssrcs.pop(user_id, None)
        if assigned is not None:
            return assigned
        self._last_ssrc += SSRC_STEP
        return self._last_ssrc

    def _leave(self, user_id: int) -> None:
        call, human = self._humans.pop(user_id)
        human.leave()
        call.leave(human)

    def _drop(self, session: ClientSession) -> None:
        """The session is over: the user is no longer in the call."""
        if session.ended:
            return
        session.ended = True
        timer = self._reapers.pop(session, None)
        if timer:
            timer.cancel()
        ticket = session.ticket
        if self._sessions.get((ticket.guild_id, ticket.user_id)) is session:
            del self._sessions[ticket.guild_id, ticket.user_id]
        if self._by_ssrc.get(session.ssrc) is session:
            del self._by_ssrc[session.ssrc]
        assert isinstance(session.network, UdpServer)
        session.network.forget(session)
        self.call_of(session).leave(session)

    async def _open_socket(self) -> UdpServer:
        return await UdpServer.open(
            self.host, self._by_ssrc.get, self.stats, self.uplink, self.downlink, echo_keepalives=self.echo_keepalives
        )
