"""Unity Catalog's model registry, as MLflow's client talks to it: registered models, versions, aliases, and storage for their files.

Files come by presigned URLs (`storage_mode` `DEFAULT_STORAGE`): ask for one, `PUT` there, without a token. A version is pending until it
is finalised, and can be only with an MLflow model in it. Refusals are those that Unity Catalog is documented to give.
"""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.loopback.databricks.tokens import Tokens

BASE = "/api/2.0/mlflow/unity-catalog"
MAX_FILE = 16 * 1024 * 1024


class Refused(Exception):
    """A refusal: HTTP status, Databricks' code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = web.json_response({"error_code": code, "message": message}, status=status)


@dataclass(slots=True)
class Version:
    """One version of a model."""

    number: int
    folder: Path
    tags: list[dict[str, str]]
    status: str = "PENDING_REGISTRATION"


@dataclass(slots=True)
class Model:
    """One registered model."""

    name: str
    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)


class RegistryPart:
    """Models by their full names; `written`: what changed it, oldest first."""

    def __init__(self, folder: Path, tokens: Tokens, *schemas: str) -> None:
        """`folder`: where files go; `schemas`: `catalog.schema`, those that there are."""
        self.folder = folder
        self.tokens = tokens
        self.schemas = schemas or ("main.earshot",)
        self.models: dict[str, Model] = {}
        self.written: list[str] = []
        self._uploads: dict[str, Path] = {}

    def routes(self) -> list[web.RouteDef]:
        """What MLflow asks."""
        return [
            web.get(f"{BASE}/registered-models/get", self._answering(self._get_model)),
            web.post(f"{BASE}/registered-models/create", self._answering(self._create_model)),
            web.post(f"{BASE}/registered-models/alias", self._answering(self._set_alias)),
            web.get(f"{BASE}/registered-models:is-databricks-sdk-models-artifact-repository-enabled", self._answering(self._by_sdk)),
            web.get(f"{BASE}/model-versions/get", self._answering(self._get_version)),
            web.get(f"{BASE}/model-versions/search", self._answering(self._search)),
            web.post(f"{BASE}/model-versions/create", self._answering(self._create_version)),
            web.post(f"{BASE}/model-versions/generate-temporary-credentials", self._answering(self._storage)),
            web.post(f"{BASE}/model-versions/finalize", self._answering(self._finalize)),
            web.post("/api/2.0/fs/create-upload-url", self._answering(self._upload_url)),
            web.put("/loopback-storage/{signature}", self._upload),
        ]

    def ready(self, model: str, version: str) -> Version | None:
        """A version that can be served."""
        found = self.models.get(model)
        version_ = found.versions.get(int(version)) if found is not None and version.isdigit() else None
        return version_ if version_ is not None and version_.status == "READY" else None

    def _answering(self, handler: Any) -> Handler:  # noqa: ANN401 (a method below)
        async def handle(request: web.Request) -> web.StreamResponse:
            if (refusal := self.tokens.refusal(request)) is not None:
                return refusal
            body = await request.read()
            given = dict(request.query) | (json.loads(body) if body else {})
            try:
                return web.json_response(handler(given, request))
            except Refused as refused:
                return refused.answer

        return handle

    def _get_model(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        return {"registered_model": _model(self._model(given["name"]))}

    def _create_model(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        name = given["name"]
        self._schema(name)
        if name in self.models:
            raise Refused(400, "RESOURCE_ALREADY_EXISTS", f"Registered model '{name}' already exists.")
        self.models[name] = Model(name)
        self.written.append(f"model {name}")
        return {"registered_model": _model(self.models[name])}

    def _set_alias(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        model = self._model(given["name"])
        model.aliases[given["alias"]] = self._version(given).number
        self.written.append(f"alias {given['alias']} {given['version']}")
        return {}

    def _by_sdk(self, _given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        return {"is_databricks_sdk_models_artifact_repository_enabled": False}

    def _get_version(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        model = self._model(given["name"])
        return {"model_version": _version(model, self._version(given), whole=True)}

    def _search(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        name = given.get("filter", "").removeprefix("name='").removesuffix("'")
        model = self.models.get(name)
        return {"model_versions": [_version(model, v, whole=False) for v in model.versions.values()] if model is not None else []}

    def _create_version(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        model = self._model(given["name"])
        number = max(model.versions, default=0) + 1
        model.versions[number] = Version(number, self.folder / model.name / str(number), given.get("tags", []))
        self.written.append(f"version {number}")
        return {"model_version": _version(model, model.versions[number], whole=True)}

    def _storage(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        self._version(given)
        return {"credentials": {"storage_mode": "DEFAULT_STORAGE"}}

    def _finalize(self, given: dict[str, Any], _: web.Request) -> dict[str, Any]:
        version = self._version(given)
        if not (version.folder / "MLmodel").is_file():
            raise Refused(400, "INVALID_PARAMETER_VALUE", "There is no MLmodel file in the model version's storage.")
        version.status = "READY"
        return {"model_version": _version(self._model(given["name"]), version, whole=True)}

    def _upload_url(self, given: dict[str, Any], request: web.Request) -> dict[str, Any]:
        _, models, catalog, schema, name, number, *rest = given["path"].split("/")
        version = self._version({"name": f"{catalog}.{schema}.{name}", "version": number})
        if models != "Models" or not rest or ".." in rest:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "Not a path of a model version.")
        if version.status == "READY":
            raise Refused(400, "INVALID_STATE", "The model version is finalized.")
        signature = secrets.token_urlsafe(16)
        self._uploads[signature] = version.folder.joinpath(*rest)
        return {"url": f"{request.scheme}://{request.host}/loopback-storage/{signature}", "headers": [{"name": "x-loopback", "value": "1"}]}

    async def _upload(self, request: web.Request) -> web.Response:
        path = self._uploads.pop(request.match_info["signature"], None)
        if path is None or request.headers.get("x-loopback") != "1":
            return web.Response(status=403)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(await request.read())
        return web.Response()

    def _schema(self, name: str) -> None:
        catalog, schema, _ = name.split(".")
        if catalog not in {s.partition(".")[0] for s in self.schemas}:
            raise Refused(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{catalog}' does not exist.")
        if f"{catalog}.{schema}" not in self.schemas:
            raise Refused(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{catalog}.{schema}' does not exist.")

    def _model(self, name: str) -> Model:
        self._schema(name)
        if name not in self.models:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Registered model '{name}' does not exist.")
        return self.models[name]

    def _version(self, given: dict[str, Any]) -> Version:
        found = self._model(given["name"]).versions.get(int(given["version"]))
        if found is None:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Version '{given['version']}' of the model does not exist.")
        return found


def _model(model: Model) -> dict[str, Any]:
    aliases = [{"alias": alias, "version": str(number)} for alias, number in model.aliases.items()]
    return {"name": model.name, "aliases": aliases}


def _version(model: Model, version: Version, *, whole: bool) -> dict[str, Any]:
    """`whole`: with tags and aliases, which a search leaves out."""
    found: dict[str, Any] = {"name": model.name, "version": str(version.number), "status": version.status}
    if whole:
        found["tags"] = version.tags
        found["aliases"] = [{"alias": a, "version": str(n)} for a, n in model.aliases.items() if n == version.number]
    return found
