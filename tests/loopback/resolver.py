"""Name resolution that leads every host to the loopback Discord, so that a client needs no patch and cannot leave the machine.

aiohttp takes the port from the resolver's answer, hence `https://discord.com`, `wss://gateway.discord.gg` and
`wss://NAME.discord.media:443` all arrive at the one listener, which tells them apart by the Host header.
"""

import socket
import ssl
from collections import deque
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

KEEP_ASKED = 1000


class LoopbackResolver(AbstractResolver):
    """Answers every name with 127.0.0.1 and the given port. `asked` holds the newest 1000 names, oldest first."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: deque[str] = deque(maxlen=KEEP_ASKED)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [ResolveResult(hostname=host, host="127.0.0.1", port=self.port, family=socket.AF_INET, proto=0, flags=flags)]

    async def close(self) -> None:
        """Nothing to release."""


class Endpoint(Protocol):
    """What a connector needs to know of a running loopback Discord."""

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1."""
        ...

    @property
    def resolver(self) -> LoopbackResolver:
        """Where every name leads."""
        ...

    def client_context(self) -> ssl.SSLContext:
        """TLS settings that trust it."""
        ...


def connector(discord: Endpoint) -> aiohttp.TCPConnector:
    """A connector for `discord.Client(connector=…)`. Call it inside the running loop; the client closes it."""
    return aiohttp.TCPConnector(limit=0, ssl=discord.client_context(), resolver=discord.resolver, use_dns_cache=False)


def connector_to(port: int, authority_pem: str) -> aiohttp.TCPConnector:
    """The same for another process, which knows only the port and the authority's certificate (PEM text)."""
    context = ssl.create_default_context(cadata=authority_pem)
    return aiohttp.TCPConnector(limit=0, ssl=context, resolver=LoopbackResolver(port), use_dns_cache=False)
