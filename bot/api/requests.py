"""Every request has an id, given by the client or made here: it stands in the answer and in the log lines of the request."""

import re
import time
from collections.abc import Callable
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.api.errors import route_of
from moderation.context import REQUEST_ID

HEADER = "X-Request-ID"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a client may choose: nothing that could forge a log line."""

Answered = Callable[[str, str, int, float], None]
"""Takes method, route template, status and seconds."""


def requests(answered: Answered, clock: Callable[[], float] = time.monotonic) -> Middleware:
    """The outermost middleware: gives the request its id, and tells `answered` how it went."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(HEADER, "")
        REQUEST_ID.set(given if _GIVEN.fullmatch(given) else uuid4().hex)  # a connection's task handles one request after another
        started, status = clock(), 499  # the client went away, as nginx says it
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as redirect:
            status = redirect.status
            raise
        finally:
            answered(request.method, route_of(request), status, clock() - started)

    return observe


async def add_id(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for `on_response_prepare`."""
    if request_id := REQUEST_ID.get():
        response.headers[HEADER] = request_id
