"""Gateway sessions: numbered events with a replay buffer, and the websocket they go out on.

A session outlives its connection: what happens while the client is away is replayed on RESUME
(https://discord.com/developers/docs/events/gateway#resuming).
"""

import asyncio
import contextlib
import json
import secrets
import zlib
from collections import deque
from enum import IntEnum, IntFlag

from aiohttp import web

from tests.loopback.snowflake import shard_of
from tests.loopback.state import Json

KEEP_EVENTS = 2000  # per session; a client that missed more must identify anew
OUTBOX = 10_000  # frames a client may be behind before its connection is cut


class Op(IntEnum):
    """Gateway opcodes (https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway)."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE_UPDATE = 3
    VOICE_STATE_UPDATE = 4
    RESUME = 6
    RECONNECT = 7
    REQUEST_GUILD_MEMBERS = 8
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11
    REQUEST_CHANNEL_INFO = 43


class Intent(IntFlag):
    """Gateway intents that matter here (https://discord.com/developers/docs/events/gateway#list-of-intents)."""

    NONE = 0
    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_VOICE_STATES = 1 << 7
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    DIRECT_MESSAGES = 1 << 12
    MESSAGE_CONTENT = 1 << 15


PRIVILEGED = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT


class Connection:
    """One gateway websocket. Frames leave in the order of `send`, compressed when the client asked for zlib-stream."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        self.ws = ws
        self._request = request
        # One compressor for the whole connection; each frame ends in a sync flush (00 00 FF FF).
        self._deflate = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None
        self._outbox: asyncio.Queue[Json] = asyncio.Queue(OUTBOX)
        self.closed_here = False

    def send(self, op: Op, data: object = None, *, seq: int | None = None, event: str | None = None) -> None:
        """Queue one payload; a client too far behind is cut off."""
        try:
            self._outbox.put_nowait({"op": int(op), "d": data, "s": seq, "t": event})
        except asyncio.QueueFull:
            self.abort()

    async def write(self) -> None:
        """Write queued frames until cancelled or the client is gone."""
        with contextlib.suppress(ConnectionError):
            while True:
                text = json.dumps(await self._outbox.get())
                if self._deflate is None:
                    await self.ws.send_str(text)
                else:
                    await self.ws.send_bytes(self._deflate.compress(text.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH))
                self._outbox.task_done()

    async def flush(self) -> None:
        """Wait until everything queued so far is written."""
        if not self.ws.closed:
            await self._outbox.join()

    async def close(self, code: int) -> None:
        """Close with a code, after what is queued."""
        self.closed_here = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), 1)
        await self.ws.close(code=code)

    def abort(self) -> None:
        """Cut the TCP connection without a close frame."""
        self.closed_here = True
        if self._request.transport is not None:
            self._request.transport.abort()


class Session:
    """What one shard has been told, and where to tell it more."""

    def __init__(self, shard: tuple[int, int], intents: Intent, *, explicit_shard: bool) -> None:
        self.id = secrets.token_hex(16)
        self.shard = shard
        self.explicit_shard = explicit_shard
        self.intents = intents
        self.seq = 0
        self.connection: Connection | None = None
        self._sent: deque[tuple[int, str, object]] = deque(maxlen=KEEP_EVENTS)

    def serves(self, guild_id: int | None) -> bool:
        """Whether events of that guild (None: a DM) go to this shard."""
        index, count = self.shard
        return index == (0 if guild_id is None else shard_of(guild_id, count))

    def dispatch(self, event: str, data: object) -> None:
        """Number an event, remember it, and send it if the client is here."""
        self.seq += 1
        self._sent.append((self.seq, event, data))
        if self.connection is not None:
            self.connection.send(Op.DISPATCH, data, seq=self.seq, event=event)

    def can_resume(self, seq: int) -> bool:
        """Whether everything after `seq` is still remembered."""
        oldest = self._sent[0][0] if self._sent else self.seq + 1
        return oldest - 1 <= seq <= self.seq

    def replay(self, connection: Connection, seq: int) -> int:
        """Attach a new connection and send what it missed; returns how many events that were."""
        self.connection = connection
        missed = [each for each in self._sent if each[0] > seq]
        for number, event, data in missed:
            connection.send(Op.DISPATCH, data, seq=number, event=event)
        return len(missed)
