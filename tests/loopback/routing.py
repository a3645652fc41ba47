"""REST requests as values, and which handler serves which route."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.loopback.errors import INVALID_FORM_BODY, ApiError
from tests.loopback.state import Json

MAX_FILES = 10  # per message


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way to Discord."""

    filename: str
    data: bytes
    content_type: str = "application/octet-stream"


@dataclass(slots=True)
class Call:
    """One REST request. `path` is without `/api/v10`; `files` are the parts named `files[n]`, by n."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None
    files: dict[int, Upload] = field(default_factory=dict)
    reason: str | None = None
    params: dict[str, str] = field(default_factory=dict)

    def id(self, name: str) -> int:
        """A snowflake from the path."""
        return snowflake(self.params[name], name)

    @property
    def json(self) -> Json:
        """The body, which must be an object."""
        if not isinstance(self.body, dict):
            raise ApiError(400, 50109, "The request body contains invalid JSON.")
        return self.body

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        """An integer from the query string within bounds."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal() or not low <= int(text) <= high:
            raise _bad_field(name, "NUMBER_TYPE_MAX", f"int value should be between {low} and {high}.")
        return int(text)


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route: `template` such as `/channels/{channel_id}/messages`; `open` needs no bot token."""

    method: str
    template: str
    handler: Handler
    open: bool
    pattern: re.Pattern[str]


class Router:
    """Routes in order of registration; the first that fits serves."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, method: str, template: str, handler: Handler, *, open: bool = False) -> None:
        """Register a handler. Its result is the JSON answer (200), or None for 204."""
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))
        self._routes.append(Route(method, template, handler, open, pattern))

    def find(self, call: Call) -> Route:
        """The route of a call, whose `params` are filled; 404 or 405 as Discord answers."""
        known = False
        for route in self._routes:
            if (match := route.pattern.fullmatch(call.path)) is None:
                continue
            known = True
            if route.method == call.method:
                call.params = match.groupdict()
                return route
        raise ApiError(405, 0, "405: Method Not Allowed") if known else ApiError(404, 0, "404: Not Found")


async def read_call(request: web.Request, path: str) -> Call:
    """Read a request's body: JSON, or multipart with `payload_json` and `files[n]`."""
    call = Call(request.method, path, request.query, reason=unquote(request.headers.get("X-Audit-Log-Reason", "")) or None)
    if request.content_type == "multipart/form-data":
        form = await request.post()
        for name, value in form.items():
            if isinstance(value, web.FileField):
                index = re.fullmatch(r"files\[(\d+)\]", name)
                if index is None or len(call.files) == MAX_FILES:
                    raise _bad_field(name, "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FILES} or fewer in length.")
                with value.file as file:  # aiohttp closes it with the answer, which a caller that is gone never gets
                    call.files[int(index[1])] = Upload(value.filename, file.read(), value.content_type)
        call.body = _json(str(form.get("payload_json", "{}")))
    elif request.can_read_body:
        data = await request.read()
        call.body = _json(data) if data else None
    return call


def snowflake(text: object, name: str) -> int:
    """An id as text or number; 400 when it is neither."""
    if not str(text).isdecimal():
        raise _bad_field(name, "NUMBER_TYPE_COERCE", f'Value "{text}" is not snowflake.')
    return int(str(text))


def _json(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except ValueError:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None


def _bad_field(name: str, code: str, message: str) -> ApiError:
    return ApiError(400, INVALID_FORM_BODY, "Invalid Form Body", {name: {"_errors": [{"code": code, "message": message}]}})
