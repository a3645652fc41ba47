"""What the HTTP side serves, as a table. Every route says who may ask, what it takes and what it answers.

One description has three readers: `mount` checks requests by it, the token check looks up the role, and OpenAPI is written from it.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from bot.api.bodies import FORM, MAX_BODY, MAX_FORM, parse_form, parse_json, read_body, validate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
M = TypeVar("M", bound=BaseModel)

_IN_PATH = re.compile(r"{(\w+)[^}]*}")
_ENCODINGS = frozenset({"identity", "gzip", "deflate", "br", "zstd"})
"""What aiohttp decodes by itself, the last two only where their libraries are installed; it leaves all else as it is."""

QUERY: web.RequestKey[Any] = web.RequestKey("query", BaseModel)
BODY: web.RequestKey[Any] = web.RequestKey("body", BaseModel)


class Role(StrEnum):
    """Who may ask."""

    OPEN = "open"
    """Everybody: orchestrators ask without a token."""
    READ = "read"
    """Whoever may look."""
    OPERATE = "operate"
    """Whoever may change things."""


@dataclass(frozen=True, slots=True)
class Route:
    """One address and method."""

    method: str
    path: str
    """aiohttp's pattern, such as `/databricks/products/{product_name}/`."""
    handler: Handler
    summary: str
    answers: Mapping[int, Sequence[type[BaseModel] | str]] = field(default_factory=dict)
    """Status → what comes with it: models for JSON, media types for the rest; nothing for an empty body."""
    errors: Collection[int] = ()
    """Statuses of errors beyond those that every route of its kind has."""
    role: Role = Role.READ
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    """The JSON body. The handler finds it with `body_of`."""
    form: type[BaseModel] | None = None
    """The same for what a browser's form sends."""
    media: Sequence[str] = ()
    """Media types, such as `audio/*`, of any other body; the handler reads it."""
    tag: str = ""
    """The heading under which the documentation lists it."""
    tells: Sequence[type[BaseModel]] = ()
    """What comes over a WebSocket, or as server-sent events: one JSON object each."""
    hears: Sequence[type[BaseModel]] = ()
    """What a client may send over the WebSocket."""

    @property
    def template(self) -> str:
        """Its address as documents and figures have it, however it was written."""
        return _IN_PATH.sub(r"{\1}", self.path)

    @property
    def endless(self) -> bool:
        """Whether its answer goes on until somebody ends it: such a one has no `HEAD`."""
        return 101 in self.answers or "text/event-stream" in self.answers.get(200, ())

    @property
    def takes_body(self) -> bool:
        """Whether it reads a body."""
        return self.body is not None or self.form is not None or bool(self.media)


SHOWN = web.RequestKey("shown", Role)
"""What whoever asks has shown that they may do."""
ROUTES: web.AppKey[dict[web.AbstractRoute, Route]] = web.AppKey("routes", dict)
"""The table, by aiohttp's routes."""


def mount(app: web.Application, routes: Sequence[Route]) -> None:
    """Add them; their handlers are called with query and body already checked. All are served with a slash at the end and without."""
    for route in routes:
        for path in _spellings(route.path):
            app[ROUTES][_add(app, route, path)] = route


def _spellings(path: str) -> list[str]:
    """As people and programs write it. What ends with a name is a file: that has no slash after it."""
    bare = path.rstrip("/")
    return [path] if not bare or path.endswith("}") else [path, bare if path.endswith("/") else f"{path}/"]


def role_of(request: web.Request) -> Role:
    """Who may ask what was asked. Whoever may look is told that there is nothing; what is not in the table is for those who operate."""
    if request.match_info.http_exception is not None:
        return Role.READ
    route = request.app[ROUTES].get(request.match_info.route)
    return route.role if route is not None else Role.OPERATE


def query_of(request: web.Request, model: type[M]) -> M:
    """The checked query of a route that declares `model`."""
    query = request[QUERY]
    assert isinstance(query, model)  # noqa: S101 - the route and its handler are written side by side
    return query


def body_of(request: web.Request, model: type[M]) -> M:
    """The checked body of a route that declares `model`."""
    body = request[BODY]
    assert isinstance(body, model)  # noqa: S101
    return body


def answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A model as JSON."""
    return web.Response(text=model.model_dump_json(), status=status, headers=headers, content_type="application/json")


def _checked(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.query is not None:
            request[QUERY] = validate(route.query, _single(request), "query")
        if route.takes_body and not _takes(route, request):
            raise web.HTTPUnsupportedMediaType
        if route.body is not None:
            request[BODY] = validate(route.body, parse_json(await read_body(request, request.app[MAX_BODY]), request.charset), "body")
        if route.form is not None:
            request[BODY] = validate(route.form, parse_form(await read_body(request, MAX_FORM), request.charset), "body")
        return await route.handler(request)

    return handle


def _takes(route: Route, request: web.Request) -> bool:
    """Whether the body is of a kind that the route takes; JSON may come under any name, as `curl -d` sends it."""
    if request.headers.get("Content-Encoding", "identity").lower() not in _ENCODINGS:
        return False
    known = (FORM,) if route.form is not None else route.media
    given = request.content_type
    return (
        not known
        or "Content-Type" not in request.headers
        or any(given == media or (media.endswith("/*") and given.startswith(media[:-1])) for media in known)
    )


def _add(app: web.Application, route: Route, path: str) -> web.AbstractRoute:
    if route.method == "GET":  # HEAD comes with it; without its body, an endless answer would break the connection
        return app.router.add_get(path, _checked(route), allow_head=not route.endless)
    return app.router.add_route(route.method, path, _checked(route))


def _single(request: web.Request) -> dict[str, str]:
    """The query's last value of each name, as forms and proxies take it."""
    return dict(request.query)
