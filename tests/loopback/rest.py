"""The REST side of discord.com: who may call, what is logged, how it misbehaves; the routes themselves are in `rest_*.py`."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.loopback.errors import INVALID_FORM_BODY, ApiError
from tests.loopback.faults import Fault, take
from tests.loopback.rate_limits import RateLimits, Spent
from tests.loopback.routing import Call, Route, Router, read_call

log = logging.getLogger(__name__)

BASE = "/api/v10"
KEEP_REQUESTS = 10_000
MAX_BODY = 26 * 1024 * 1024  # bytes; a little more than Discord's 25 MiB, so that Discord's own limit answers


@dataclass(slots=True)
class LoggedRequest:
    """One request as it came. `status` is 0 while it is being answered, and when the connection was cut."""

    method: str
    path: str
    json: Any
    files: tuple[str, ...]
    query: Mapping[str, str]
    reason: str | None
    status: int = 0


class Rest:
    """Answers `https://discord.com/api/v10/…`.

    `requests` keeps the newest 10 000. `misunderstood` counts bodies whose shape surprised a handler (answered 400 and logged).
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self.router = Router()
        self.requests: deque[LoggedRequest] = deque(maxlen=KEEP_REQUESTS)
        self.faults: list[Fault] = []
        self.rate_limits = RateLimits()
        self.misunderstood = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        if not request.path.startswith(f"{BASE}/"):
            return _answer(404, {"message": "404: Not Found", "code": 0}, {})
        path = request.path[len(BASE) :]
        try:
            call = await read_call(request, path)
        except ApiError as error:
            return _answer(error.status, error.body, {})
        except web.HTTPRequestEntityTooLarge:
            return _answer(413, {"message": "Request entity too large", "code": 40005}, {})
        files = tuple(upload.filename for upload in call.files.values())
        entry = LoggedRequest(call.method, path, call.body, files, call.query, call.reason)
        self.requests.append(entry)
        response = await self._with_faults(request, call)
        if request.transport is not None and not request.transport.is_closing():
            entry.status = response.status
        return response

    async def _with_faults(self, request: web.Request, call: Call) -> web.Response:
        fault = take(self.faults, call.method, call.path)
        if fault is None:
            return await self._respond(request, call)
        await asyncio.sleep(fault.delay)
        if fault.held is not None:
            await fault.held.wait()
        spoils = fault.drop or fault.status is not None
        if fault.when == "after" or not spoils:
            response = await self._respond(request, call)
            if not spoils:
                return response
        if fault.drop and request.transport is not None:
            request.transport.abort()
        return _spoiled(fault)

    async def _respond(self, request: web.Request, call: Call) -> web.Response:
        spent = Spent({}, 0)
        try:
            route = self.router.find(call)
            self._authorise(request, route)
            spent = self.rate_limits.spend(call.method, route.template, _major(call))
            if spent.wait:
                return _too_many(spent.wait, spent.headers, everywhere=False)
            result = await self._understand(route, call)
        except ApiError as error:
            return _answer(error.status, error.body, spent.headers)
        return _answer(204 if result is None else 200, result, spent.headers)

    async def _understand(self, route: Route, call: Call) -> object:
        try:
            return await route.handler(call)
        except (KeyError, TypeError, ValueError, AttributeError):
            # A body of the wrong shape: Discord would refuse it too, if with a finer message.
            self.misunderstood += 1
            log.exception("request not understood", extra={"method": call.method, "route": route.template})
            raise ApiError(400, INVALID_FORM_BODY, "Invalid Form Body", {}) from None

    def _authorise(self, request: web.Request, route: Route) -> None:
        if not route.open and request.headers.get("Authorization") != f"Bot {self._token}":
            raise ApiError(401, 0, "401: Unauthorized")


def _major(call: Call) -> str:
    names = ("channel_id", "guild_id", "application_id", "token")
    return ":".join(call.params[name] for name in names if name in call.params)


def _answer(status: int, body: object, headers: Mapping[str, str]) -> web.Response:
    # The type must carry no charset: discord.py compares the whole header with "application/json".
    data = b"" if status == 204 else json.dumps(body).encode()
    kind = {} if status == 204 else {"Content-Type": "application/json"}
    return web.Response(status=status, body=data, headers={**headers, **kind, "Via": "1.1 google"})


def _too_many(wait: float, headers: Mapping[str, str], *, everywhere: bool) -> web.Response:
    body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": everywhere}
    extra = {"Retry-After": f"{wait:.3f}", "X-RateLimit-Scope": "global" if everywhere else "user"}
    if everywhere:
        extra["X-RateLimit-Global"] = "true"
    return _answer(429, body, {**headers, **extra})


def _spoiled(fault: Fault) -> web.Response:
    if fault.status == 429:
        headers = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": f"{fault.retry_after:.3f}"}
        return _too_many(fault.retry_after, headers, everywhere=fault.everywhere)
    status = fault.status or 500
    if status in (502, 503, 504):  # these come from the proxy in front of Discord, as HTML
        return web.Response(status=status, text=f"<html><title>{status}</title></html>", content_type="text/html")
    return _answer(status, {"message": f"{status}: Internal Server Error", "code": 0}, {})
