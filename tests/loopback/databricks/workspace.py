"""A Databricks workspace on 127.0.0.1: one HTTP server, composed of parts.

    async with LoopbackWorkspace(OAuthPart(tokens), Warehouse(tokens), ServingPart()) as workspace:
        ... DATABRICKS_HOST=workspace.url

A part is an object with `routes()`; it keeps its own state, so that a workspace that died and came back still has it.
"""

import asyncio
import os
import socket
import ssl
from types import TracebackType
from typing import Protocol, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.loopback.databricks.faults import Fault, take

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request; Model Serving's limit."""

_RECORDS = {"alert": b"\x15\x03\x03\x00\x02\x02\x50", "garbage": b"\x17\x03\x03\x00\x40" + bytes(64)}
"""TLS records (RFC 8446, section 5.1): a fatal internal_error, and application data that was never encrypted."""


class Part(Protocol):
    """One service of the workspace."""

    def routes(self) -> list[web.RouteDef]:
        """Its share of the one port."""
        ...


class LoopbackWorkspace:
    """Serves its parts while it is open; `url` has no slash at its end."""

    def __init__(self, *parts: Part, tls: ssl.SSLContext | None = None) -> None:
        self.parts = parts
        self._tls = tls
        self.faults: list[Fault] = []
        self.released = asyncio.Event()
        """Set: whoever hangs is cut off."""
        self.requests: list[tuple[str, str]] = []
        """(method, path) of all that came in, faults included."""
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, `https` with TLS."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.released.set()
        await self.stop()
        for part in self.parts:
            if callable(close := getattr(part, "close", None)):
                close()

    async def start(self) -> None:
        """Listen; after `stop`, on the same port again."""
        app = web.Application(middlewares=[self._spoil], client_max_size=MAX_BODY)
        for part in self.parts:
            app.add_routes(part.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.0, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True, ssl_context=self._tls).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Die: no more listening, connections cut."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            released, self.released = self.released, asyncio.Event()
            released.set()  # else the runner would wait for requests that hang
            for connection in runner.server.connections if runner.server is not None else ():
                if connection.transport is not None:
                    connection.transport.abort()  # TLS would wait for the other side's farewell
            await runner.cleanup()

    @web.middleware
    async def _spoil(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        fault = take(self.faults, request.method, request.path, await request.read())
        if fault is None:
            return await handler(request)
        if fault.when == "before":
            await self._strike(request, fault)
        if fault.status is not None and fault.when == "before":
            return web.Response(status=fault.status, headers=fault.headers, body=fault.answer)
        answer = await handler(request)
        if fault.when == "after":
            await self._strike(request, fault)
        return _spoilt(answer, fault)

    async def _strike(self, request: web.Request, fault: Fault) -> None:
        await asyncio.sleep(fault.delay)
        if fault.hang:
            await self.released.wait()
        if fault.drop or fault.hang or fault.tls:
            if request.transport is not None:  # else the client has left
                if fault.tls:
                    _write_below_tls(request.transport, _RECORDS[fault.tls])
                request.transport.abort()
            raise asyncio.CancelledError


def _write_below_tls(transport: asyncio.BaseTransport, record: bytes) -> None:
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as plain:
        plain.send(record)


def _spoilt(answer: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    if fault.status is not None:
        return web.Response(status=fault.status, headers=fault.headers, body=fault.answer)
    assert isinstance(answer, web.Response)
    body = answer.body
    if fault.malformed == "garbage":
        return web.Response(body=b"\x80\x01\x00\x02<html>not what was asked for</html>", content_type=answer.content_type)
    if fault.malformed == "truncated":
        assert isinstance(body, bytes)
        return web.Response(body=body[: len(body) // 2], content_type=answer.content_type)
    return answer
