"""Model Serving: endpoints that score texts, and what is known of them.

`POST /serving-endpoints/{name}/invocations` takes what MLflow's scoring server takes (`dataframe_records`, `dataframe_split`,
`inputs`, `instances`) and answers `{"predictions": [...]}`; its refusals are those measured on the real scoring server.
`GET /api/2.0/serving-endpoints/{name}` tells the state.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.loopback.databricks.tokens import Tokens

FORMS = ("dataframe_records", "dataframe_split", "inputs", "instances")
Model = Callable[[Sequence[str]], Sequence[Any]]
"""Texts → one prediction each, of any shape."""

WEIGHTS = {
    "angry": 2.2,
    "bad": 2.4,
    "hate": 3.0,
    "stupid": 3.0,
    "useless": 3.5,
    "worthless": 4.0,
    "sorry": 0.5,
    "thank": -2.0,
    "nice": -1.5,
}
BIAS = -2.5


def toxicity(text: str) -> float:
    """A logistic bag of words: 0..1."""
    return 1 / (1 + math.exp(-BIAS - sum(WEIGHTS.get(word, 0.0) for word in text.lower().split())))


@dataclass(slots=True)
class Endpoint:
    """One serving endpoint."""

    name: str
    model: Model = field(default=lambda texts: [{"toxicity": toxicity(text)} for text in texts])
    column: str = "text"
    ready: bool = True
    batches: list[int] = field(default_factory=list)
    """Sizes of the batches that were scored."""
    forms: list[str] = field(default_factory=list)


class ServingPart:
    """Endpoints by name. `raw`: bodies to give, one after the other, instead of answers."""

    def __init__(self, *endpoints: Endpoint, tokens: Tokens | None = None) -> None:
        """`tokens`: who may ask; the workspace's, where it has several parts."""
        self.endpoints = {e.name: e for e in endpoints or (Endpoint("toxicity"),)}
        self.tokens = tokens or Tokens()
        self.raw: deque[bytes] = deque()

    def routes(self) -> list[web.RouteDef]:
        """Invocations, and the state."""
        return [
            web.post("/serving-endpoints/{name}/invocations", self._allowed(self._invoke)),
            web.get("/api/2.0/serving-endpoints/{name}", self._allowed(self._state)),
        ]

    def _allowed(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if (refusal := self.tokens.refusal(request)) is not None:
                return refusal
            if request.match_info["name"] not in self.endpoints:
                return _refusal(404, "RESOURCE_DOES_NOT_EXIST")
            return await handler(request)

        return handle

    async def _invoke(self, request: web.Request) -> web.StreamResponse:
        endpoint = self.endpoints[request.match_info["name"]]
        if request.content_type != "application/json":
            return _refusal(415, "BAD_REQUEST")
        try:
            body = await request.json()
        except ValueError:
            return _refusal(400, "BAD_REQUEST")
        given = [form for form in FORMS if isinstance(body, dict) and form in body]
        if len(given) != 1:
            return _refusal(400, "BAD_REQUEST")
        rows = _rows(given[0], body[given[0]], endpoint.column)
        if not rows or not all(isinstance(text, str) for text in rows):
            return _refusal(400, "INVALID_PARAMETER_VALUE", echo=str(body))
        endpoint.batches.append(len(rows))
        endpoint.forms.append(given[0])
        if self.raw:
            return web.Response(body=self.raw.popleft(), content_type="application/json")
        return web.json_response({"predictions": list(endpoint.model(rows))})

    async def _state(self, request: web.Request) -> web.StreamResponse:
        endpoint = self.endpoints[request.match_info["name"]]
        state = {"ready": "READY" if endpoint.ready else "NOT_READY", "config_update": "NOT_UPDATING"}
        return web.json_response({"name": endpoint.name, "state": state})


def _rows(form: str, value: Any, column: str) -> list[Any]:  # noqa: ANN401 (JSON)
    """The texts of a request; empty where it does not fit."""
    if form == "dataframe_split" and isinstance(value, dict):
        names = value.get("columns", [])
        return [row[names.index(column)] for row in value.get("data", [])] if column in names else []
    if form == "inputs" and isinstance(value, dict):
        return list(value.get(column, []))
    if form == "dataframe_records" and not (isinstance(value, list) and all(isinstance(row, dict) for row in value)):
        return []
    return [row.get(column) if isinstance(row, dict) else row for row in value] if isinstance(value, list) else []


def _refusal(status: int, code: str, echo: str = "") -> web.Response:
    """`echo`: what the real one repeats of its input."""
    return web.json_response({"error_code": code, "message": f"refused {echo}".strip()}, status=status)
