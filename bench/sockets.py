"""Ten thousand WebSockets opened and dropped, in four ways, at a server in a process of its own: does its memory stay flat?

What remains afterwards is compared with what was there after the first 2,000, when caches, threads and recognisers kept for the next
client are there.
"""

import asyncio
import base64
import time
import wave
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from bench.rows import Row
from bench.servers import OURS, ROOT, Server, served

TOTAL, EARLY = 10_000, 2_000
AT_ONCE = 16
PATH = "/ws/voicechat/stream/"
AUDIO_BYTES = 9_600
"""0.3 s of the bundled speech."""
END_SECONDS = 30.0
"""How long streams that were cut may take to end."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the server holds while no client is there."""

    resident: float
    """MB."""
    descriptors: int
    threads: int
    streams: float


def run() -> list[Row]:
    """Measure; about two minutes."""
    with served(OURS) as server:
        early, late, seconds = asyncio.run(_measure(server))
    if late.streams or late.descriptors > early.descriptors:
        raise RuntimeError(f"streams or descriptors remain: {early} then {late}")
    peer = f"after {EARLY:,}: {early.resident:.1f} MB"
    return [
        Row(f"memory after {TOTAL:,} WebSockets opened and dropped", late.resident, "MB", peer, late.resident / early.resident),
        Row("  file descriptors", late.descriptors, "", f"after {EARLY:,}: {early.descriptors}", late.descriptors / early.descriptors),
        Row("  threads", late.threads, "", f"after {EARLY:,}: {early.threads}", late.threads / early.threads),
        Row("  WebSockets a second", TOTAL / seconds, "/s"),
    ]


async def _measure(server: Server) -> tuple[Held, Held, float]:
    started = time.perf_counter()
    await open_and_drop(server.port, EARLY)
    early = await _held(server)
    await open_and_drop(server.port, TOTAL - EARLY)
    seconds = time.perf_counter() - started
    return early, await _held(server), seconds


async def _held(server: Server) -> Held:
    """Once the last stream has ended."""
    async with asyncio.timeout(END_SECONDS):
        while (streams := await asyncio.to_thread(server.metric, "earshot_http_streams")) > 0:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)  # recognisers are given back after their stream
    return Held(server.resident, server.descriptors, server.threads, streams)


async def open_and_drop(port: int, count: int, at_once: int = AT_ONCE) -> None:
    """Open so many WebSockets, `at_once` at a time, and end each in the next of four ways."""
    numbers = iter(range(count))
    with wave.open(str(ROOT / "tests/speech/conversation/ada_01.wav")) as file:
        audio = bytes(file.readframes(AUDIO_BYTES // 2))

    async def one_after_the_other() -> None:
        for n in numbers:
            await _WAYS[n % len(_WAYS)](port, audio)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_the_other())


async def _drop_at_once(port: int, audio: bytes) -> None:
    """A close frame right after `connected`."""
    async with aiohttp.ClientSession() as client, client.ws_connect(f"http://127.0.0.1:{port}{PATH}") as socket:
        await _expect(socket, "connected")


async def _leave_mid_word(port: int, audio: bytes) -> None:
    """A close frame in mid-stream."""
    async with aiohttp.ClientSession() as client, client.ws_connect(f"http://127.0.0.1:{port}{PATH}") as socket:
        await _talk(socket, audio)


async def _stop(port: int, audio: bytes) -> None:
    """As it should be."""
    async with aiohttp.ClientSession() as client, client.ws_connect(f"http://127.0.0.1:{port}{PATH}") as socket:
        await _talk(socket, audio)
        await socket.send_str('{"type":"stop"}')
        await _expect(socket, "final")


async def _talk(socket: aiohttp.ClientWebSocketResponse, audio: bytes) -> None:
    await socket.send_str('{"type":"start"}')
    await _expect(socket, "started")
    await socket.send_bytes(audio)


async def _expect(socket: aiohttp.ClientWebSocketResponse, kind: str) -> None:
    while (await socket.receive_json())["type"] != kind:
        pass


async def _cut(port: int, audio: bytes) -> None:
    """The connection is reset in mid-stream, without a close frame (RFC 6455, 7.1.7)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(bytes(16)).decode()
    upgrade = f"Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}"
    writer.write(f"GET {PATH} HTTP/1.1\r\n{upgrade}\r\n\r\n".encode())
    await reader.readuntil(b'"connected"}')
    writer.write(_frame(0x1, b'{"type":"start"}'))
    await reader.readuntil(b'"started"')
    writer.write(_frame(0x2, audio))
    await writer.drain()
    writer.transport.abort()


def _frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame; its mask of zeros leaves the payload as it is (RFC 6455, 5.2)."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


_WAYS: tuple[Callable[[int, bytes], Awaitable[None]], ...] = (_drop_at_once, _leave_mid_word, _cut, _stop)

if __name__ == "__main__":
    for row in run():
        print(row)
