"""WebSockets of clients that may read nothing: every wait for one has an end, and so has the server's own."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar
from weakref import WeakSet

from aiohttp import WSCloseCode, web

from moderation.errors import InvalidInput

MAX_MESSAGE = 1_000_000
"""Bytes of one message: 10 s of 48 kHz audio."""
HEARTBEAT_SECONDS = 20.0
"""A client that sends nothing is asked whether it is there so often, and has half of that to answer."""
SEND_SECONDS = 10.0
"""A client that takes nothing of what it is told for so long is cut off. What waits for it is bounded: tens of kilobytes."""
LEAVE_SECONDS = 2.0
"""How long clients have to answer when the server stops."""

T = TypeVar("T")


class Socket(web.WebSocketResponse):
    """A WebSocket whose client must read: sending to one that does not would wait without end, and closing, too."""

    def __init__(self, request: web.Request, patience: float) -> None:
        """`patience`: seconds that the client may take nothing."""
        # aiohttp refuses what has as many bytes as its limit
        super().__init__(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE + 1)
        self._patience = patience
        self._line = request.transport

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a text. Raises `ConnectionResetError` where the client is gone, or takes nothing."""
        await self._in_time(super().send_str(data, compress))

    async def pong(self, message: bytes = b"") -> None:
        """Answer a ping; aiohttp does so by itself. Raises as `send_str` does."""
        await self._in_time(super().pong(message))

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """Close it; whether it was open."""
        try:
            return await self._in_time(super().close(code=code, message=message, drain=drain))
        except ConnectionError:
            return True

    def abort(self) -> None:
        """End the connection at once. What is not sent yet is dropped: else it would have to be taken first."""
        if self._line is not None:
            self._line.abort()

    async def _in_time(self, sending: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._patience):
                return await sending
        except TimeoutError:
            self.abort()
            raise ConnectionResetError("the client reads nothing") from None


SOCKETS = web.AppKey("sockets", WeakSet[Socket])
"""Those that are open, to be closed with the server."""


async def accept(request: web.Request, patience: float | None = None) -> Socket:
    """Answer the handshake. `patience`: seconds that the client may take nothing. Raises `InvalidInput` where the request is none."""
    socket = Socket(request, SEND_SECONDS if patience is None else patience)
    try:
        ready = socket.can_prepare(request)
    except ValueError:  # a key that is not even ASCII
        ready = web.WebSocketReady(ok=False, protocol=None)
    if not ready:
        raise InvalidInput("This address speaks WebSocket; ask for it with a WebSocket client.")
    await socket.prepare(request)
    request.app[SOCKETS].add(socket)
    return socket


async def close_all(app: web.Application) -> None:
    """A signal handler for `on_shutdown`: says goodbye to all at once, and cuts off those that do not answer."""
    closing = {asyncio.create_task(s.close(code=WSCloseCode.GOING_AWAY, message=b"the server stops")): s for s in app[SOCKETS]}
    if not closing:
        return
    _, pending = await asyncio.wait(closing, timeout=LEAVE_SECONDS)
    for task in pending:
        closing[task].abort()
        task.cancel()
    if pending:
        await asyncio.wait(pending)
