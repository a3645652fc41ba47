"""Serving endpoints that are made and changed, and that run what was registered: the uploaded model, loaded by MLflow, scores.

A change takes as many looks (`GET`) as `looks` says. While it goes on, another is refused with 409 and the old model answers. A model
that MLflow cannot load fails the change, as a failed build does.
"""

import asyncio
import json
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.loopback.databricks.registry import Refused, RegistryPart
from tests.loopback.databricks.tokens import Tokens

API = "/api/2.0/serving-endpoints"
NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
KEPT = ("name", "entity_name", "entity_version", "workload_size", "scale_to_zero_enabled")


@dataclass(slots=True)
class Endpoint:
    """One endpoint."""

    name: str
    serves: list[dict[str, Any]] = field(default_factory=list)
    coming: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0
    """Looks until the change is through."""
    failure: str = ""
    """What the last change ended with."""
    model: Any = None
    """Loaded by MLflow."""


class EndpointsPart:
    """Endpoints by name; `written`: what changed them, oldest first. `invocations`: how many were answered."""

    def __init__(self, registry: RegistryPart, tokens: Tokens, *, looks: int = 1) -> None:
        self.registry = registry
        self.tokens = tokens
        self.looks = looks
        self.endpoints: dict[str, Endpoint] = {}
        self.written: list[str] = []
        self.invocations = 0
        self.looked = asyncio.Event()
        """Set when somebody looks at an endpoint that is being changed."""
        self.build_failure = ""
        """Set: with what the next changes fail."""

    def routes(self) -> list[web.RouteDef]:
        """What the SDK asks."""
        return [
            web.post(API, self._answering(self._create)),
            web.get(API + "/{name}", self._answering(self._look)),
            web.put(API + "/{name}/config", self._answering(self._update)),
            web.post("/serving-endpoints/{name}/invocations", self._answering(self._invoke)),
        ]

    def _answering(self, handler: Any) -> Handler:  # noqa: ANN401 (a method below)
        async def handle(request: web.Request) -> web.StreamResponse:
            if (refusal := self.tokens.refusal(request)) is not None:
                return refusal
            try:
                answer: web.StreamResponse = await handler(request)
            except Refused as refused:
                return refused.answer
            return answer

        return handle

    def _endpoint(self, request: web.Request) -> Endpoint:
        name = request.match_info["name"]
        if name not in self.endpoints:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Endpoint with name '{name}' does not exist.")
        return self.endpoints[name]

    async def _create(self, request: web.Request) -> web.Response:
        given = await request.json()
        name = given["name"]
        if not NAME.fullmatch(name):
            raise Refused(400, "INVALID_PARAMETER_VALUE", "Endpoint names have letters, digits, - and _.")
        if name in self.endpoints:
            raise Refused(400, "RESOURCE_ALREADY_EXISTS", f"Endpoint with name '{name}' already exists.")
        coming = self._entities(given["config"])
        self.endpoints[name] = Endpoint(name, coming=coming, looks=self.looks)
        self.written.append(f"create {name}")
        return web.json_response(_state(self.endpoints[name]))

    async def _update(self, request: web.Request) -> web.Response:
        endpoint = self._endpoint(request)
        if endpoint.coming:
            message = f"Endpoint '{endpoint.name}' is currently being updated. Please wait until the update completes."
            raise Refused(409, "RESOURCE_CONFLICT", message)
        endpoint.coming = self._entities(await request.json())
        endpoint.looks, endpoint.failure = self.looks, ""
        self.written.append(f"update {endpoint.name}")
        return web.json_response(_state(endpoint))

    async def _look(self, request: web.Request) -> web.Response:
        endpoint = self._endpoint(request)
        if endpoint.coming:
            self.looked.set()
            endpoint.looks -= 1
            if endpoint.looks < 0:
                await self._deploy(endpoint)
        return web.json_response(_state(endpoint))

    async def _deploy(self, endpoint: Endpoint) -> None:
        entity = endpoint.coming[0]
        version = self.registry.ready(entity["entity_name"], entity["entity_version"])
        assert version is not None
        try:
            if self.build_failure:
                raise RuntimeError(self.build_failure)
            endpoint.model = await asyncio.to_thread(_load, version.folder)
            endpoint.serves = endpoint.coming
        except Exception as error:
            endpoint.failure = str(error)
            endpoint.serves = endpoint.serves or endpoint.coming
        endpoint.coming = []

    def _entities(self, config: dict[str, Any]) -> list[dict[str, Any]]:
        entities = [{key: each.get(key) for key in KEPT} for each in config["served_entities"]]
        for each in entities:
            if each["workload_size"] not in ("Small", "Medium", "Large") or not NAME.fullmatch(each["name"] or ""):
                raise Refused(400, "INVALID_PARAMETER_VALUE", "Served entities have a name and a workload size.")
            if self.registry.ready(each["entity_name"], each["entity_version"]) is None:
                raise Refused(
                    404, "RESOURCE_DOES_NOT_EXIST", f"Model version {each['entity_name']}/{each['entity_version']} does not exist."
                )
        routes = config.get("traffic_config", {}).get("routes", [])
        if sum(r["traffic_percentage"] for r in routes) != 100 or {r["served_model_name"] for r in routes} != {e["name"] for e in entities}:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "Traffic must add up to 100 and go to the served entities.")
        return entities

    async def _invoke(self, request: web.Request) -> web.Response:
        endpoint = self._endpoint(request)
        if endpoint.model is None:
            raise Refused(503, "TEMPORARILY_UNAVAILABLE", "The endpoint is not ready.")
        status, answer = await asyncio.to_thread(_score, endpoint.model, await request.text())
        self.invocations += 1
        return web.Response(status=status, text=answer, content_type="application/json")


def _load(folder: Path) -> Any:  # noqa: ANN401 (MLflow's)
    import mlflow.pyfunc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(str(folder))


def _score(model: Any, body: str) -> tuple[int, str]:  # noqa: ANN401 (MLflow's)
    """What MLflow's scoring server answers."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = invocations(body, "application/json", model, model.metadata.get_input_schema())  # type: ignore[no-untyped-call]
    except MlflowException as error:
        return 400, json.dumps({"error_code": error.error_code, "message": error.message})
    return answer.status, answer.response


def _state(endpoint: Endpoint) -> dict[str, Any]:
    change = "IN_PROGRESS" if endpoint.coming else "UPDATE_FAILED" if endpoint.failure else "NOT_UPDATING"
    found: dict[str, Any] = {
        "name": endpoint.name,
        "state": {"ready": "READY" if endpoint.model is not None else "NOT_READY", "config_update": change},
    }
    if endpoint.coming:
        creating = {"deployment": "DEPLOYMENT_CREATING", "deployment_state_message": "Creating resources for served entity."}
        found["pending_config"] = {"served_entities": [e | {"state": creating} for e in endpoint.coming]}
    if endpoint.serves:
        kind = "DEPLOYMENT_FAILED" if endpoint.failure else "DEPLOYMENT_READY"
        served = {"deployment": kind, "deployment_state_message": endpoint.failure}
        found["config"] = {"served_entities": [e | {"state": served} for e in endpoint.serves]}
    return found
