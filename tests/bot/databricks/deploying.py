"""A workspace that models can be deployed to, and the real MLflow and SDK for it, in this process."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.databricks.deploy.clients import missing_extra, open_workspace
from bot.databricks.deploy.deployment import Change, Deployment, Wanted
from bot.databricks.deploy.endpoints import Endpoints
from bot.databricks.deploy.packing import ServedScorer
from bot.databricks.deploy.registry import DIGEST_TAG, Registry
from config.settings import Settings
from tests.loopback.databricks.endpoints import EndpointsPart
from tests.loopback.databricks.oauth import OAuthPart
from tests.loopback.databricks.registry import Model, RegistryPart, Version
from tests.loopback.databricks.tokens import PERSONAL, Tokens
from tests.loopback.databricks.workspace import LoopbackWorkspace

MODEL = "main.earshot.toxicity"


@dataclass
class DeployStage:
    """Opens as its `workspace`."""

    folder: Path
    tokens: Tokens = field(default_factory=Tokens)

    def __post_init__(self) -> None:
        self.registry = RegistryPart(self.folder, self.tokens)
        self.endpoints = EndpointsPart(self.registry, self.tokens, looks=0)
        self.workspace = LoopbackWorkspace(self.registry, self.endpoints, OAuthPart(self.tokens))

    @property
    def written(self) -> list[str]:
        return [*self.registry.written, *self.endpoints.written]

    def has(self, scorer: ServedScorer, packed: Path) -> None:
        """Version 1 is registered already."""
        version = Version(1, packed, [{"key": DIGEST_TAG, "value": scorer.digest}], "READY")
        self.registry.models[MODEL] = Model(MODEL, {1: version}, {"champion": 1})

    def settings(self, **given: Any) -> Settings:  # noqa: ANN401 (settings')
        base: dict[str, Any] = {
            "databricks_host": self.workspace.url,
            "databricks_token": SecretStr(PERSONAL),
            "databricks_endpoint": "toxicity",
            "databricks_model_full_name": MODEL,
        }
        return Settings(**{name: value for name, value in (base | given).items() if value is not None})

    async def deploy(
        self,
        scorer: ServedScorer,
        *,
        replace: bool = False,
        plan: bool = False,
        seconds: float = 30.0,
        **given: Any,  # noqa: ANN401
    ) -> list[Change]:
        settings = self.settings(**given)

        def work() -> list[Change]:
            with own_environment():
                assert missing_extra() is None
                workspace = open_workspace(settings, retry_seconds=1)
                wanted = Wanted.of(settings, alias="champion", replace=replace)
                deployment = Deployment(wanted, settings, Registry(wanted.model, "champion"), Endpoints(workspace), lambda line: None)
                return deployment.plan(scorer) if plan else deployment.run(scorer, timedelta(seconds=seconds))

        return await asyncio.to_thread(work)


@contextmanager
def own_environment() -> Iterator[None]:
    """Nothing of whoever runs the tests is signed in, and nothing stays."""
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith(("DATABRICKS_", "MLFLOW_"))]:
        del os.environ[name]
    os.environ.update(HOME="/nonexistent", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
