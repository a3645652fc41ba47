"""What every request passes: where it comes from, its role, the size of its body; and what every answer carries."""

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.api.accept import prefers_html
from bot.api.access import RANK, Access
from bot.api.errors import from_status
from bot.api.pages import sign_in_page
from bot.api.routes import SHOWN, Role, role_of

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null` with our own forms (Fetch standard)
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Set where a handler sets nothing else. Under the stricter `no-referrer`, browsers send `Origin: null` with our own forms."""

_READING = frozenset({"GET", "HEAD"})
_SAFE = _READING | {"OPTIONS"}


def allowed(access: Access) -> Middleware:
    """Lets in whose role is high enough. A browser is shown where to sign in; programs get the error."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        needed, shown = role_of(request), access.role(request)
        request[SHOWN] = shown
        if RANK[shown] >= RANK[needed]:
            return await handler(request)
        if shown is not Role.OPEN:
            return from_status(request, 403)
        challenge = {"WWW-Authenticate": 'Bearer realm="earshot"'}
        if request.method in _READING and prefers_html(request.headers.get("Accept", "")):
            return sign_in_page(challenge, to=request.path_qs)
        return from_status(request, 401, challenge)

    return check


def same_site(access: Access) -> Middleware:
    """Keeps other sites' pages out of a browser's access here.

    What a page of another site sends carries its `Origin` (Fetch standard, "origin header"): only our own pages may change things
    and open WebSockets. Without a token, the `Host` must be loopback too, or a page could get in by DNS rebinding; who sends none,
    as HTTP/1.0 allows, is no browser.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host")
        if not access.guarded and host is not None and not _loopback_host(host):
            return from_status(request, 421)
        origin = request.headers.get("Origin")
        asks_more = request.method not in _SAFE or request.headers.get("Upgrade", "").lower() == "websocket"
        if origin is not None and asks_more and _netloc(origin) != (host or "").lower():
            return from_status(request, 403)
        return await handler(request)

    return check


def body_limit(size: int) -> Middleware:
    """Refuses bodies that announce more than `size` bytes; for the others the application's `client_max_size` holds."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (request.content_length or 0) > size:
            answer = from_status(request, 413)
            answer.force_close()
            return answer
        return await handler(request)

    return check


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for `on_response_prepare`."""
    dress(response)


def dress(response: web.StreamResponse) -> None:
    """Add what every answer carries."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "Earshot"


def _netloc(origin: str) -> str | None:
    """Host and port of an `Origin`; None where it is nonsense."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


@lru_cache(maxsize=64)  # clients send the same few with every request
def _loopback_host(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
