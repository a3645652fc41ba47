"""What the HTTP side serves, as a table. Every route says who may ask, what it takes and what it answers.

One description has three readers: `mount` checks requests by it, the token check looks up the role, and OpenAPI is written from it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from bot.api.bodies import parse_json, validate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
M = TypeVar("M", bound=BaseModel)

BODY_SECONDS = 30.0
"""How long a JSON body may take to arrive."""

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
    media: Sequence[str] = ()
    """Media types, such as `audio/*`, of a body that is no JSON; the handler reads it."""
    tag: str = ""
    """The heading under which the documentation lists it."""


SHOWN = web.RequestKey("shown", Role)
"""What whoever asks has shown that they may do."""
ROUTES: web.AppKey[dict[web.AbstractRoute, Route]] = web.AppKey("routes", dict)
"""The table, by aiohttp's routes."""


def mount(app: web.Application, routes: Sequence[Route]) -> None:
    """Add them; their handlers are called with query and body already checked. What ends with a slash is served without it, too."""
    for route in routes:
        for path in dict.fromkeys((route.path, route.path.rstrip("/") or "/")):
            app[ROUTES][_add(app, route, path)] = route


def role_of(request: web.Request) -> Role:
    """Who may ask what was asked; what is not in the table is for those who may do everything."""
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
        if route.media and "Content-Type" in request.headers and not _takes(route, request.content_type):
            raise web.HTTPUnsupportedMediaType
        if route.body is not None:
            request[BODY] = validate(route.body, parse_json(await _read(request), request.charset), "body")
        return await route.handler(request)

    return handle


def _takes(route: Route, given: str) -> bool:
    return any(given == media or (media.endswith("/*") and given.startswith(media[:-1])) for media in route.media)


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def _add(app: web.Application, route: Route, path: str) -> web.AbstractRoute:
    if route.method == "GET":
        return app.router.add_get(path, _checked(route))  # HEAD comes with it
    return app.router.add_route(route.method, path, _checked(route))


def _single(request: web.Request) -> dict[str, str]:
    """The query's last value of each name, as forms and proxies take it."""
    return dict(request.query)
