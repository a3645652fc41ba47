"""Clients that ask too much, or too slowly: a rate for each address, and an end to connections that only keep a place."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.api.errors import from_status

MAX_CLIENTS = 10_000
"""Addresses remembered; the one that asked longest ago is forgotten first, which at worst gives it a full bucket again."""
BURST_SECONDS = 10.0
"""How many seconds' worth of requests may come at once."""
REFUSED_COSTS = 10.0
"""Requests that a refused token counts for: guessing is slow."""
IDLE_SECONDS = 30.0
"""How long a connection may be open without a whole request on it."""


class Rate:
    """A token bucket for each client address."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_minute`: requests; 0 is no limit. `clock`: monotonic seconds."""
        self._per_second = per_minute / 60
        self._burst = max(1.0, self._per_second * BURST_SECONDS)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused = 0
        """Requests that were too many, since the start."""

    def take(self, client: str, cost: float = 1.0) -> float:
        """0 when the client may go on, else the seconds after which it may."""
        if not self._per_second:
            return 0.0
        now = self._clock()
        left, since = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1.0
        self._buckets[client] = (left - cost if allowed else left, now)
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if allowed:
            return 0.0
        self.refused += 1
        return (1.0 - left) / self._per_second


def rate_limit(rate: Rate) -> Middleware:
    """429 with `Retry-After` (RFC 9110, 10.2.3) for who asks too often."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        client = request.remote or ""
        if wait := rate.take(client):
            return from_status(request, 429, {"Retry-After": str(math.ceil(wait))})
        response = await handler(request)
        if response.status == 401:
            rate.take(client, REFUSED_COSTS - 1)
        return response

    return check


class Connections:
    """Ends connections on which nothing whole comes, or whose answers nobody takes: aiohttp itself waits for both without end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, idle: float = IDLE_SECONDS) -> None:
        """`clock`: monotonic seconds; `idle`: seconds."""
        self._clock = clock
        self._idle = idle
        self._busy: dict[web.RequestHandler, int] = {}
        self._since: WeakKeyDictionary[asyncio.BaseTransport, float] = WeakKeyDictionary()  # else closed ones stay until the next look
        self.ended = 0
        """Connections that were ended, since the start."""

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Notes that a request is being served on the connection."""
        protocol = request.protocol
        self._busy[protocol] = self._busy.get(protocol, 0) + 1
        try:
            return await handler(request)
        finally:
            self._busy[protocol] -= 1
            if not self._busy[protocol]:
                del self._busy[protocol]
            if protocol.transport is not None:
                self._since[protocol.transport] = self._clock()

    def sweep(self, server: web.Server) -> None:
        """Look at all of them once."""
        now = self._clock()
        for protocol in server.connections:
            transport = protocol.transport
            if transport is None or protocol in self._busy:
                continue
            if now - self._since.setdefault(transport, now) >= self._idle:
                self.ended += 1
                protocol.force_close()
                transport.abort()  # closing waits for an answer to be taken, and who reads nothing takes none

    async def run(self, server: web.Server) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(self._idle / 6)
            self.sweep(server)
