"""What every request passes: the token, the size of its body; and what every answer carries."""

import hashlib
import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.api.errors import from_status

OPEN = frozenset({"/health", "/ready"})
"""Paths that need no token: orchestrators ask for them."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Set where a handler sets nothing else."""


def bearer(token: str) -> Middleware:
    """Lets in who sends the token; the comparison takes the same time however much of it is right."""
    expected = _digest(token)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), expected)
        if known or request.path in OPEN:
            return await handler(request)
        return from_status(401, {"WWW-Authenticate": 'Bearer realm="earshot"'})

    return check


def body_limit(size: int) -> Middleware:
    """Refuses bodies that announce more than `size` bytes; for the others the application's `client_max_size` holds."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (request.content_length or 0) > size:
            answer = from_status(413)
            answer.force_close()
            return answer
        return await handler(request)

    return check


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for `on_response_prepare`."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "Earshot"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
