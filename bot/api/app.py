"""The HTTP side: an application, and a server for it.

request ─▶ id, figures ─▶ errors as JSON ─▶ size ─▶ token ─▶ handler ─▶ headers
"""

import errno
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from bot.api import health, metrics
from bot.api.errors import errors
from bot.api.guard import add_headers, bearer, body_limit
from bot.api.health import Probe, Readiness
from bot.api.metrics import Render
from bot.api.requests import Answered, add_id, requests
from config.conflicts import is_loopback
from moderation.errors import SettingsError

SHUTDOWN_SECONDS = 3.0
"""How long requests that run may take to end when the server stops."""

GUARDED = web.AppKey("guarded", bool)
"""Whether the application asks for a token."""


def create_app(
    probes: Mapping[str, Probe],
    *,
    token: str | None,
    max_body: int,
    clock: Callable[[], float] = time.monotonic,
    render: Render | None = None,
    answered: Answered = lambda method, route, status, seconds: None,
) -> web.Application:
    """The application.

    Args:
        probes: dependency → its probe; those of `health.DEPENDENCIES` that are not there are reported as off.
        token: what clients must send; None lets everybody in, so `serve` then listens on loopback only.
        max_body: bytes of the largest request body.
        clock: monotonic seconds, for how long answers are remembered.
        render: gives what `/metrics` answers; None: there is no such address.
        answered: is told of every request.
    """
    inner = [errors, body_limit(max_body), *([bearer(token)] if token else [])]
    app = web.Application(middlewares=[requests(answered), *inner], client_max_size=max_body)
    app[GUARDED] = bool(token)
    app.on_response_prepare.extend((add_headers, add_id))
    health.add_routes(app, Readiness(probes, clock))
    if render is not None:
        metrics.add_routes(app, render)
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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await _bind(runner, host, port)
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            problem = f"API_HOST: {host!r} is no address of this machine; set it to one, such as 127.0.0.1"
        else:
            advice = "stop what listens there, or choose another port (0 takes a free one)"
            problem = f"API_PORT: {host} port {port} cannot be listened on ({error.strerror}); {advice}"
        raise SettingsError([problem]) from error
