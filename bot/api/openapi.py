"""The OpenAPI 3.1 document, written from the table of routes and from the very models that check requests; and a page to read it.

https://spec.openapis.org/oas/v3.1.1
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bot.api.bodies import FORM
from bot.api.docs_page import as_html
from bot.api.errors import sentence_of
from bot.api.pages import page
from bot.api.routes import Role, Route

Document = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_IN_PATH = re.compile(r"{(\w+)}")
_FOR_ALL = (421, 429, 500)
"""Statuses that any route may answer with: another host name, too many requests, a fault here."""


_ABOUT = (
    "Moderation of voice channels: the HTTP side. API_READ_TOKEN may look, and have transcribed and scored what it sends, by HTTP and by "
    "WebSocket alike; API_TOKEN may change things, too. All addresses are served with a slash at the end and without. "
    "HEAD is answered as GET is, without the body; WebSockets and server-sent events have no HEAD. "
    "Errors are JSON, or a small page where Accept prefers text/html. Bodies may be compressed with gzip or deflate. "
    "The messages of WebSockets and server-sent events stand under x-messages."
)
_WHO = {
    Role.OPEN: "Open to all.",
    Role.READ: "Either token is enough.",
    Role.OPERATE: "Needs API_TOKEN.",
}


class Problem(BaseModel):
    """What every error looks like."""

    error: str = Field(description="A sentence for people: what was wrong, and what to do.")
    code: str = Field(description="Stable, kebab-case.", pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")


def document(routes: Sequence[Route], *, guarded: bool = True) -> Document:
    """The whole document. OpenAPI knows no messages of WebSockets: see `x-messages`. `guarded`: whether a token is asked for."""
    schemas, definitions = models_json_schema(list(_models(routes)), ref_template=_REFERENCE)
    paths: Document = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, schemas, guarded)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Earshot", "version": version("earshot"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def routes(others: Sequence[Route], *, guarded: bool) -> list[Route]:
    """`GET /api/openapi.json` and `GET /api/docs`, about the other routes and themselves."""

    async def serve_document(request: web.Request) -> web.Response:
        return web.json_response(written)

    async def serve_page(request: web.Request) -> web.Response:
        return page("API", shown, here="/api/docs")

    own = [
        Route("GET", "/api/openapi.json", serve_document, "This document.", {200: ["application/json"]}, tag="api"),
        Route("GET", "/api/docs", serve_page, "This document, to read.", {200: ["text/html"]}, tag="api"),
    ]
    written = document([*others, *own], guarded=guarded)
    shown = as_html(written)
    return own


def _models(routes: Iterable[Route]) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    yield Problem, "serialization"
    for route in routes:
        yield from ((m, "validation") for m in (route.body, route.form) if m is not None)
        yield from ((m, "serialization") for m in (*route.tells, *route.hears))
        yield from ((m, "serialization") for contents in route.answers.values() for m in contents if not isinstance(m, str))


def _operation(route: Route, schemas: Any, guarded: bool) -> Document:  # noqa: ANN401 - pydantic's mapping has a long name
    operation: Document = {
        "summary": route.summary,
        "description": _WHO[route.role],
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()} {route.path}").strip("_"),
        "tags": [route.tag or "other"],
        "security": [{"bearer": []}] if guarded and route.role is not Role.OPEN else [],
        "responses": {str(status): _answer(contents, schemas) for status, contents in sorted(route.answers.items())},
    }
    for status in sorted(_error_statuses(route) - set(route.answers)):
        operation["responses"][str(status)] = {
            "description": sentence_of(status),
            "content": {"application/json": {"schema": schemas[Problem, "serialization"]}},
        }
    if parameters := [*_path_parameters(route), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[route.body, "validation"]}}}
    elif route.form is not None:
        operation["requestBody"] = {"required": True, "content": {FORM: {"schema": schemas[route.form, "validation"]}}}
    elif route.media:
        operation["requestBody"] = {"required": True, "content": {media: {} for media in route.media}}
    if route.tells:
        told = {"server": route.tells, "client": route.hears}
        operation["x-messages"] = {who: [schemas[m, "serialization"] for m in models] for who, models in told.items()}
    return operation


def _error_statuses(route: Route) -> set[int]:
    found = {*route.errors, *_FOR_ALL}
    if route.role is not Role.OPEN:
        found.add(401)
    if route.role is Role.OPERATE or route.method != "GET":
        found.add(403)
    if route.query is not None or route.takes_body:
        found.add(400)
    if route.takes_body:
        found |= {408, 413, 415}
    return found


def _answer(contents: Sequence[type[BaseModel] | str], schemas: Any) -> Document:  # noqa: ANN401
    models = [schemas[m, "serialization"] for m in contents if not isinstance(m, str)]
    content: Document = {media: {} for media in contents if isinstance(media, str)}
    if models:
        content["application/json"] = {"schema": models[0] if len(models) == 1 else {"anyOf": models}}
    return {"description": "As asked." if contents else "Done; nothing comes with it.", **({"content": content} if content else {})}


def _path_parameters(route: Route) -> Iterator[Document]:
    for name in _IN_PATH.findall(route.template):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(route: Route) -> Iterator[Document]:
    if route.query is None:
        return
    schema = route.query.model_json_schema(ref_template=_REFERENCE)
    for name, field in schema.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": field}
