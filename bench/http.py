"""The HTTP side under load, beside the same handlers on FastAPI and uvicorn (`bench/http_peer.py`).

Both servers run at once, each in a process of its own on the first core; the client and the serving endpoint that both ask have the rest.
Rounds alternate between them, and only the one that is asked has work. The client keeps connections open and sends the next request when
the answer is there: raw asyncio streams, so that it is never what is measured.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

import aiohttp

from bench.rows import Row
from bench.servers import OURS, PEER, Server, served, workspace

CONNECTIONS = 16
ROUNDS = 4
SECONDS = 1.2
"""Of one round at one server."""
PRODUCTS = 50
"""A page of them is what the list answers."""


@dataclass(slots=True)
class Load:
    """What one server did with one request, over all rounds."""

    rates: list[float] = field(default_factory=list)
    """Requests a second of each round."""
    delays: list[float] = field(default_factory=list)
    """Seconds of every request."""
    work: float = 0.0
    """The server's CPU seconds for all of them."""

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return statistics.quantiles(self.delays, n=100)[98] * 1e3

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return statistics.median(self.delays) * 1e3


def run() -> list[Row]:
    """Measure; about a minute."""
    with cores() as first, workspace() as settings, ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings["DATABASE_URL"] = f"sqlite:///{folder}/products.db"
        ours = stack.enter_context(served(OURS, first, **settings))
        asyncio.run(_fill(ours))
        peer = stack.enter_context(served(PEER, first, **settings))
        return [row for name, request in _requests().items() for row in _rows(name, *asyncio.run(_paired(ours, peer, request)))]


@contextmanager
def cores() -> Iterator[set[int]]:
    """Leave the first core to the servers."""
    mine = os.sched_getaffinity(0)
    first = {min(mine)}
    os.sched_setaffinity(0, mine - first or mine)
    try:
        yield first
    finally:
        os.sched_setaffinity(0, mine)


def _requests() -> dict[str, bytes]:
    text = json.dumps({"text": "please push the left side and cover me right now"}).encode()
    head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
    return {
        "`/health`": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "`/api/ml/predict`": b"POST /api/ml/predict HTTP/1.1\r\n" + head + text,
        f"list of {PRODUCTS} products": f"GET /databricks/products/?limit={PRODUCTS} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),
    }


async def _fill(server: Server) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", raise_for_status=True) as client:
        for n in range(PRODUCTS):
            await client.post("/databricks/products/", json={"product_name": f"Product {n}", "price": f"{n}.50"})


async def _paired(ours: Server, peer: Server, request: bytes) -> tuple[Load, Load]:
    loads = Load(), Load()
    for server in (ours, peer):
        await _load(server, request, Load())  # warm
    for n in range(ROUNDS):
        pairs = list(zip((ours, peer), loads, strict=True))
        for server, load in pairs if n % 2 else reversed(pairs):
            await _load(server, request, load)
    return loads


async def _load(server: Server, request: bytes, load: Load) -> None:
    """One round."""
    before, started, work = len(load.delays), time.perf_counter(), server.cpu
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(_ask(server.port, request, started + SECONDS, load.delays))
    load.work += server.cpu - work
    load.rates.append((len(load.delays) - before) / (time.perf_counter() - started))


async def _ask(port: int, request: bytes, until: float, delays: list[float]) -> None:
    """One connection: a request, its whole answer, the next."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (sent := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"a server answered {head[:12].decode()}")
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        delays.append(time.perf_counter() - sent)
    writer.close()


def _rows(name: str, ours: Load, peer: Load) -> list[Row]:
    extras = "" if find_spec("httptools") else " (without httptools)"
    rate = Row(name, ours.rate, "requests/s", f"FastAPI + uvicorn{extras}: {peer.rate:,.0f}", ours.rate / peer.rate)
    work, other = (load.work / len(load.delays) * 1e6 for load in (ours, peer))
    return [
        rate,
        Row("  the server's CPU for each", work, "µs", f"{other:,.0f} µs", work / other),
        Row("  median", ours.p50, "ms", f"{peer.p50:.1f} ms", ours.p50 / peer.p50),
        Row("  99th percentile", ours.p99, "ms", f"{peer.p99:.1f} ms", ours.p99 / peer.p99),
    ]


if __name__ == "__main__":
    for row in run():
        print(row)
