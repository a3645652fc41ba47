"""The main gateway, v10 (https://discord.com/developers/docs/events/gateway), and its misbehaviour on demand."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from tests.loopback import payloads
from tests.loopback.member_chunks import member_chunks
from tests.loopback.sessions import PRIVILEGED, Connection, Intent, Op, Session
from tests.loopback.snowflake import shard_of
from tests.loopback.state import Json, World

log = logging.getLogger(__name__)

RESUME_URL = "wss://gateway-loopback.discord.gg"
FREE_WITHOUT_INTENT = frozenset({"GUILD_MEMBER_UPDATE"})  # of the bot itself: sent whatever the intents


class CloseConnection(Exception):
    """End this websocket with a close code (https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Gateway:
    """Accepts gateway connections and sends events to the shards they concern.

    Knobs, all readable and writable at any time: `heartbeat_interval` (ms, told in HELLO), `acknowledge` (False: a zombie
    that answers no heartbeat), `refuse_resumes`, `resume_window` (seconds a session waits for
    its client), `allowed_intents` (a privileged intent outside it closes with 4014), `unreachable` (connections are refused),
    `guilds_per_shard` (with more on a shard, identifying closes with 4011), `max_concurrency` shards that may identify within
    `identify_seconds` (0: any time; who is too early gets op 9). Levers take a `shard`; without one they mean all.
    Counters: `identifies`, `resumes`, `heartbeats`.
    """

    def __init__(self, world: World, token: str, shards: int) -> None:
        self._world = world
        self._token = token
        self.shards = shards
        self.heartbeat_interval = 41_250
        self.acknowledge = True
        self.refuse_resumes = False
        self.allowed_intents = PRIVILEGED
        self.identifies = 0
        self.resumes = 0
        self.heartbeats = 0
        self.resume_window = 60.0
        self.unreachable = False
        self.guilds_per_shard = 2500
        self.max_concurrency = 1
        self.identify_seconds = 0.0
        self._identified: dict[int, float] = {}
        self.sessions: dict[str, Session] = {}
        self._expiries: set[asyncio.Task[None]] = set()
        self.on_voice_state: Callable[[Json], Awaitable[None]] | None = None
        self.on_session_end: Callable[[Session], Awaitable[None]] | None = None

    # what the world says

    def emit(self, event: str, data: Json, *, guild_id: int | None, intent: Intent, own: bool = False) -> None:
        """Send an event to every session of that guild's shard that asked for it. `own`: it is about the bot itself."""
        for session in self.sessions.values():
            wanted = session.intents & intent or intent is Intent.NONE or (own and event in FREE_WITHOUT_INTENT)
            if wanted and session.serves(guild_id):
                session.dispatch(event, self._as_seen(session, event, data))

    def _as_seen(self, session: Session, event: str, data: Json) -> Json:
        """What others write is blank without the message content intent, except in DMs and where the bot is mentioned."""
        if event not in ("MESSAGE_CREATE", "MESSAGE_UPDATE") or session.intents & Intent.MESSAGE_CONTENT or "guild_id" not in data:
            return data
        own = str(self._world.bot.id)
        if data["author"]["id"] == own or any(user["id"] == own for user in data["mentions"]):
            return data
        return data | {"content": "", "embeds": [], "attachments": [], "components": []}

    def connected(self, shard: int | None = None) -> list[Connection]:
        """Connections of live sessions."""
        sessions = [s for s in self.sessions.values() if shard in (None, s.shard[0])]
        return [s.connection for s in sessions if s.connection is not None and not s.connection.ws.closed]

    def drop(self, shard: int | None = None) -> None:
        """Cut gateway connections at the TCP level; sessions stay resumable."""
        for connection in self.connected(shard):
            connection.abort()

    async def aclose(self) -> None:
        """Cut every connection and forget the sessions."""
        self.drop()
        self.sessions.clear()
        for waiting in list(self._expiries):
            waiting.cancel()
        await asyncio.gather(*self._expiries, return_exceptions=True)

    async def close(self, code: int, shard: int | None = None) -> None:
        """Close gateway connections with a code."""
        for connection in self.connected(shard):
            await connection.close(code)

    def reconnect(self, shard: int | None = None) -> None:
        """Ask clients to reconnect and resume (op 7)."""
        for connection in self.connected(shard):
            connection.send(Op.RECONNECT)

    async def invalidate(self, *, resumable: bool = False, shard: int | None = None) -> None:
        """Declare sessions invalid (op 9); not resumable ones are forgotten."""
        for session in [s for s in self.sessions.values() if shard in (None, s.shard[0])]:
            if session.connection is not None:
                session.connection.send(Op.INVALID_SESSION, resumable)
            if not resumable:
                await self._end(session)

    def ask_heartbeat(self) -> None:
        """Ask every client for a heartbeat at once (op 1)."""
        for connection in self.connected():
            connection.send(Op.HEARTBEAT)

    # one connection

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until it leaves."""
        if self.unreachable:
            return web.Response(status=503)
        ws = web.WebSocketResponse(max_msg_size=4096 * 4)
        await ws.prepare(request)
        connection = Connection(ws, request)
        writer = asyncio.create_task(connection.write(), name="loopback gateway writer")
        try:
            if request.query.get("v") != "10" or request.query.get("encoding") != "json":
                raise CloseConnection(4012)
            connection.send(Op.HELLO, {"heartbeat_interval": self.heartbeat_interval, "_trace": ["loopback"]})
            await self._converse(connection)
        except CloseConnection as close:
            await connection.close(close.code)
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await self._detach(connection)
        return ws

    async def _converse(self, connection: Connection) -> None:
        session: Session | None = None
        async for frame in connection.ws:
            if frame.type is not WSMsgType.TEXT:
                raise CloseConnection(4002)
            op, data = _parse(frame.data)
            if op == Op.HEARTBEAT:
                self.heartbeats += 1
                if self.acknowledge:
                    connection.send(Op.HEARTBEAT_ACK)
            elif op in (Op.IDENTIFY, Op.RESUME):
                if session is not None:
                    raise CloseConnection(4005)
                session = await (self._identify if op == Op.IDENTIFY else self._resume)(connection, _object(data))
            elif session is None:
                raise CloseConnection(4003)
            else:
                await self._request(session, op, _object(data))

    async def _request(self, session: Session, op: int, data: Json) -> None:
        if op == Op.VOICE_STATE_UPDATE:
            if self.on_voice_state is not None:
                await self.on_voice_state(data)
        elif op == Op.REQUEST_GUILD_MEMBERS:
            guild = self._world.guilds.get(int(data.get("guild_id", 0)))
            for chunk in member_chunks(guild, data) if guild is not None else ():
                session.dispatch("GUILD_MEMBERS_CHUNK", chunk)
        elif op == Op.REQUEST_CHANNEL_INFO:
            self._send_channel_info(session, data)
        elif op != Op.PRESENCE_UPDATE:
            raise CloseConnection(4001)

    def _send_channel_info(self, session: Session, data: Json) -> None:
        """https://docs.discord.com/developers/events/gateway-events#channel-info, of its fields `status` alone."""
        guild = self._world.guilds.get(int(data.get("guild_id", 0)))
        if guild is not None and "status" in data.get("fields", ()):
            channels = [{"id": str(channel.id), "status": channel.status} for channel in guild.channels.values() if channel.status]
            session.dispatch("CHANNEL_INFO", {"guild_id": str(guild.id), "channels": channels})

    async def _identify(self, connection: Connection, data: Json) -> Session | None:
        self.identifies += 1
        if data.get("token") != self._token:
            raise CloseConnection(4004)
        index, count = data.get("shard") or (0, 1)
        if not 0 <= index < count:
            raise CloseConnection(4010)
        if sum(shard_of(guild_id, count) == index for guild_id in self._world.guilds) > self.guilds_per_shard:
            raise CloseConnection(4011)
        if not self._may_identify(index):
            connection.send(Op.INVALID_SESSION, False)
            return None
        intents = Intent(data["intents"])
        if intents & PRIVILEGED & ~self.allowed_intents:
            raise CloseConnection(4014)
        # A process that starts anew takes over its shard; what the dead session held (voice) ends.
        for old in [s for s in self.sessions.values() if s.shard == (index, count)]:
            await self._end(old)
        session = Session((index, count), intents, explicit_shard="shard" in data)
        session.connection = connection
        self.sessions[session.id] = session
        self._greet(session)
        return session

    def _may_identify(self, shard: int) -> bool:
        """One of each rate limit key at a time (https://docs.discord.com/developers/events/gateway#sharding-max-concurrency)."""
        now, key = asyncio.get_running_loop().time(), shard % self.max_concurrency
        if now - self._identified.get(key, -self.identify_seconds) < self.identify_seconds:
            return False
        self._identified[key] = now
        return True

    def _greet(self, session: Session) -> None:
        guilds = [guild for guild in self._world.guilds.values() if session.serves(guild.id)]
        ready: Json = {
            "v": 10,
            "user": payloads.own_user(self._world.bot),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": RESUME_URL,
            "application": {"id": str(self._world.application_id), "flags": 0},
            "private_channels": [],
            "_trace": ["loopback"],
        }
        if session.explicit_shard:
            ready["shard"] = list(session.shard)
        session.dispatch("READY", ready)
        for guild in guilds:
            session.dispatch("GUILD_CREATE", self.guild_create(guild.id, session))

    def guild_create(self, guild_id: int, session: Session) -> Json:
        """The GUILD_CREATE payload as that session's intents allow."""
        everyone = bool(session.intents & Intent.GUILD_MEMBERS and session.intents & Intent.GUILD_PRESENCES)
        return payloads.gateway_guild(self._world.guild(guild_id), self._world, all_members=everyone)

    def announce_guild(self, guild_id: int) -> None:
        """Tell the sessions of that shard about a guild the bot was added to."""
        for session in self.sessions.values():
            if session.serves(guild_id):
                session.dispatch("GUILD_CREATE", self.guild_create(guild_id, session))

    async def _resume(self, connection: Connection, data: Json) -> Session | None:
        self.resumes += 1
        if data.get("token") != self._token:
            raise CloseConnection(4004)
        session = self.sessions.get(str(data.get("session_id")))
        seq = data.get("seq")
        if self.refuse_resumes or session is None or not isinstance(seq, int) or not session.can_resume(seq):
            connection.send(Op.INVALID_SESSION, False)
            return None
        if session.connection is not None and not session.connection.ws.closed:
            session.connection.abort()
        missed = session.replay(connection, seq)
        session.dispatch("RESUMED", {"_trace": ["loopback"]})
        log.debug("gateway session resumed", extra={"missed": missed})
        return session

    async def _detach(self, connection: Connection) -> None:
        for session in list(self.sessions.values()):
            if session.connection is connection:
                session.connection = None
                # A client that closes with 1000 or 1001 says it is done: the session ends at once. Others may come back.
                if connection.ws.close_code in (1000, 1001) and not connection.closed_here:
                    await self._end(session)
                else:
                    waiting = asyncio.create_task(self._expire(session), name="loopback session expiry")
                    self._expiries.add(waiting)
                    waiting.add_done_callback(self._expiries.discard)

    async def _expire(self, session: Session) -> None:
        await asyncio.sleep(self.resume_window)
        if session.connection is None and session.id in self.sessions:
            await self._end(session)

    async def _end(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        if self.on_session_end is not None:
            await self.on_session_end(session)


def _parse(text: str) -> tuple[int, object]:
    try:
        payload = json.loads(text)
        return int(payload["op"]), payload.get("d")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CloseConnection(4002) from None


def _object(data: object) -> Json:
    if not isinstance(data, dict):
        raise CloseConnection(4002)
    return data
