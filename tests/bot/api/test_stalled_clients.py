"""Clients that read nothing, or send half of something: they are cut off, keep no place, and hold up no stop."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from bot.api import bodies, live_socket, protocol, websocket
from bot.api import feed as feeds
from bot.api.app import CONNECTIONS, create_app, serve
from bot.api.feed import Feed
from bot.api.routes import Role, Route
from bot.api.streams import Streams
from bot.api.websocket import SOCKETS
from moderation.scoring import TextScoring
from tests.fakes import FakeTranscriber

pytestmark = pytest.mark.integration

PATIENCE = 60.0
"""Seconds in which anything happens that happens at all, on a busy machine too."""
LONG = 3600.0
JUNK = b"\x81\x81\0\0\0\0x" * 500
"""Messages that are no JSON: each is answered with an error."""
PING = b"\x89\xfd\0\0\0\0" + b"p" * 125
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
)


@asynccontextmanager
async def client(port: int, path: str, headers: str = UPGRADE, method: str = "GET", body: str = "") -> AsyncIterator[socket.socket]:
    """One that has asked and reads nothing; little fits on the way to it."""
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(opened, ("127.0.0.1", port))
        await loop.sock_sendall(opened, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}".encode())
        yield opened


async def flood(opened: socket.socket, message: bytes) -> None:
    """Send again and again, until the other end has cut the line. One that closes politely waits for us instead, and takes nothing."""
    with suppress(ConnectionError):
        while True:
            await asyncio.get_running_loop().sock_sendall(opened, message)


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - what is waited for is no event of ours
        await asyncio.sleep(0.01)


def stalled(app: web.Application) -> bool:
    return any(s._line is not None and s._line.get_write_buffer_size() for s in app[SOCKETS])


@pytest.fixture
def streams() -> Streams:
    return Streams(FakeTranscriber())


@pytest.fixture
def app(streams: Streams) -> web.Application:
    return create_app({}, token=None, max_body=1000, routes=live_socket.routes(streams, TextScoring(None, None, 0.7)))


@pytest.mark.parametrize("message", [JUNK, PING * 100], ids=["junk", "pings"])
async def test_who_does_not_read_loses_the_place(
    app: web.Application, streams: Streams, message: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SEND_SECONDS", 0.2)
    async with serve(app, "127.0.0.1", 0) as port, client(port, "/ws/voicechat/stream/") as opened, asyncio.timeout(PATIENCE):
        await flood(opened, message)
        await until(lambda: not streams.open_count)


async def test_who_does_not_read_holds_up_no_stop(app: web.Application, streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "SEND_SECONDS", LONG)
    monkeypatch.setattr(websocket, "LEAVE_SECONDS", 0.2)
    server = serve(app, "127.0.0.1", 0)
    async with client(await server.__aenter__(), "/ws/voicechat/stream/") as opened, asyncio.timeout(PATIENCE):
        sending = asyncio.create_task(flood(opened, JUNK))
        await until(lambda: stalled(app))
        await server.__aexit__(None, None, None)
        await sending
    assert streams.open_count == 0


async def test_who_closes_is_let_go_at_once(app: web.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not cut off: the goodbye is read."""
    monkeypatch.setattr(websocket, "LEAVE_SECONDS", LONG)
    async with serve(app, "127.0.0.1", 0) as port, client(port, "/ws/voicechat/stream/") as opened:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            heard = b""
            while b'"connected"' not in heard:
                heard += await loop.sock_recv(opened, 1000)
            stopping = asyncio.create_task(websocket.close_all(app))
            goodbye = await loop.sock_recv(opened, 1000)
            assert goodbye[:4] == b"\x88\x12\x03\xe9"  # close, 18 bytes, 1001
            await loop.sock_sendall(opened, b"\x88\x82\0\0\0\0\x03\xe9")
            await stopping


@pytest.mark.parametrize(("path", "headers"), [("/ws/events/", UPGRADE), ("/api/events", "")])
async def test_a_listener_that_does_not_read_is_cut_off(path: str, headers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "WRITE_SECONDS", 0.2)
    feed = Feed(lambda: ())
    app = create_app({}, token=None, max_body=1000, routes=feeds.routes(feed))
    async with serve(app, "127.0.0.1", 0) as port, client(port, path, headers) as opened:
        async with asyncio.timeout(PATIENCE):
            await until(lambda: len(feed) == 1)
            while len(feed):
                for queue in feed._queues:
                    queue.put({"type": "x", "text": "y" * 100_000})
                await asyncio.sleep(0.01)
            await flood(opened, PING)


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n"
    async with serve(create_app({}, token="a-token", max_body=10_000), "127.0.0.1", 0) as port:
        async with client(port, "/sign-in", form, "POST", "to") as opened, asyncio.timeout(PATIENCE):
            answer = await asyncio.get_running_loop().sock_recv(opened, 1000)
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_who_takes_no_answer_is_cut_off() -> None:
    async def much(request: web.Request) -> web.Response:
        return web.Response(body=bytes(20_000_000))

    app = create_app({}, token=None, max_body=1000, routes=[Route("GET", "/much", much, "Much.", role=Role.OPEN)])
    app[CONNECTIONS]._idle = 0.2
    async with serve(app, "127.0.0.1", 0) as port, client(port, "/much", "") as opened:
        async with asyncio.timeout(PATIENCE):
            await until(lambda: app[CONNECTIONS].ended == 1)
            await flood(opened, b"G")


async def test_who_takes_no_answer_is_cut_off_after_a_body_that_broke_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp then closes by itself, and politely: that alone would wait without end."""
    monkeypatch.setattr(protocol, "UNSENT_SECONDS", 0.2)

    async def clog(request: web.Request) -> web.Response:
        assert request.transport is not None
        while not request.transport.get_write_buffer_size():
            request.transport.write(bytes(10_000))
        return web.Response()

    app = create_app({}, token=None, max_body=1000, routes=[Route("POST", "/clog", clog, "Clog.", role=Role.OPEN)])
    headers = "Content-Encoding: gzip\r\nContent-Length: 100\r\n"
    async with serve(app, "127.0.0.1", 0) as port, client(port, "/clog", headers, "POST", "no gzip " * 5) as opened:
        async with asyncio.timeout(PATIENCE):
            await flood(opened, b"no gzip")
