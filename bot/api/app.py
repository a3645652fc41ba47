"""The HTTP side: an application, and a server for it.

request ─▶ id, figures ─▶ errors as JSON ─▶ rate ─▶ origin ─▶ size ─▶ role ─▶ query and body checked ─▶ handler ─▶ headers
"""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from weakref import WeakSet

from aiohttp import web

from bot.api import health, metrics, openapi, pages, signin
from bot.api.access import Access
from bot.api.bodies import MAX_BODY
from bot.api.errors import errors
from bot.api.guard import add_headers, allowed, body_limit, same_site
from bot.api.health import READINESS, Probe, Readiness
from bot.api.limits import Connections, Rate, rate_limit
from bot.api.metrics import Render
from bot.api.protocol import Protocol
from bot.api.requests import Answered, add_id, requests
from bot.api.routes import ROUTES, Route, mount
from bot.api.websocket import SOCKETS, close_all
from config.conflicts import is_loopback
from moderation.errors import SettingsError

SHUTDOWN_SECONDS = 2.0
"""How long requests that run may take to end when the server stops; aiohttp waits twice: first for all, then again for each."""

GUARDED = web.AppKey("guarded", bool)
"""Whether the application asks for a token."""
CONNECTIONS = web.AppKey("connections", Connections)
ANSWERED: web.AppKey[Answered] = web.AppKey("answered")


def create_app(
    probes: Mapping[str, Probe],
    *,
    token: str | None,
    max_body: int,
    read_token: str | None = None,
    per_minute: float = 0,
    clock: Callable[[], float] = time.monotonic,
    routes: Sequence[Route] = (),
    closing: Callable[[], None] = lambda: None,
    render: Render | None = None,
    answered: Answered = lambda method, route, status, seconds: None,
) -> web.Application:
    """The application.

    Args:
        probes: dependency → its probe; those of `health.DEPENDENCIES` that are not there are reported as off.
        token: what clients must send; None lets everybody in, so `serve` then listens on loopback only.
        max_body: bytes of the largest request body.
        read_token: what clients may send that only look.
        per_minute: requests of one client address; 0 is no limit.
        clock: monotonic seconds, for how long answers are remembered.
        routes: what is served beside health and metrics.
        closing: called when the server begins to stop.
        render: gives what `/metrics` answers; None: there is no such address.
        answered: is told of every request.
    """
    access, connections = Access(token, read_token, clock=clock), Connections()
    checks = [rate_limit(Rate(per_minute, clock)), same_site(access), body_limit(max_body), allowed(access)]
    app = web.Application(middlewares=[connections.watch, requests(answered), errors, *checks], client_max_size=max_body)
    app[GUARDED], app[CONNECTIONS], app[ANSWERED] = access.guarded, connections, answered
    app.on_response_prepare.extend((add_headers, add_id))
    app[ROUTES], app[SOCKETS], app[MAX_BODY] = {}, WeakSet(), max_body

    async def close_feeds(app: web.Application) -> None:
        closing()

    app.on_shutdown.extend((close_feeds, close_all))
    readiness = app[READINESS] = Readiness(probes, clock)
    own = [*health.routes(readiness), *pages.routes(), *signin.routes(access)]
    served = [*own, *(metrics.routes(render) if render is not None else ()), *routes]
    mount(app, [*served, *openapi.routes(served, guarded=access.guarded)])

    async def close(app: web.Application) -> None:
        await readiness.aclose()

    app.on_cleanup.append(close)
    return app


@asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Listen while the context lasts; gives the port that is bound.

    Args:
        app: what `create_app` made.
        host: address to listen on.
        port: 0 takes a free one.

    Raises:
        SettingsError: the address cannot be bound, or others could reach an application that asks for no token.
    """
    if not app[GUARDED] and not is_loopback(host):
        raise SettingsError([f"API_TOKEN: it is not set, but API_HOST {host!r} is not loopback; set API_TOKEN, or API_HOST to 127.0.0.1"])
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - set up above
    sweeping = asyncio.create_task(app[CONNECTIONS].run(runner.server), name="idle connections")
    try:
        with closing(await _bind(app, runner.server, host, port)) as listening:
            yield int(listening.sockets[0].getsockname()[1])
    finally:
        sweeping.cancel()
        await runner.cleanup()


async def _bind(app: web.Application, server: web.Server, host: str, port: int) -> asyncio.Server:
    def refused(status: int) -> None:
        app[ANSWERED]("other", "unknown", status, 0.0)

    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: Protocol(server, loop, refused), host, port, backlog=128)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            problem = f"API_HOST: {host!r} is no address of this machine; set it to one, such as 127.0.0.1"
        else:
            advice = "stop what listens there, or choose another port (0 takes a free one)"
            problem = f"API_PORT: {host} port {port} cannot be listened on ({error.strerror}); {advice}"
        raise SettingsError([problem]) from error
