"""Unity Catalog's model registry: which versions of a model there are, a new one, and the alias."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bot.databricks.deploy.refusals import DeploymentFailed, doing, is_missing

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

DIGEST_TAG = "earshot.digest"
"""Tag of a version that says what it was packed of."""
LOOK_BACK = 20
"""Newest versions that are looked at for a digest. Each is a request: searching tells no tags."""
READY = "READY"
_MAY_READ = "USE CATALOG, USE SCHEMA and EXECUTE on the model"
_MAY_WRITE = "USE CATALOG, USE SCHEMA and CREATE MODEL on the schema, or to own the model"


@dataclass(frozen=True, slots=True)
class Registered:
    """What the registry has of a model."""

    exists: bool
    version: int | None
    """The one that is to be served: the version asked for, or the newest with the digest; None where there is none."""
    aliased: int | None
    """Which version has the alias."""


class Registry:
    """One registered model, by its full name `catalog.schema.model`."""

    def __init__(self, model: str, alias: str) -> None:
        """Asks nothing yet. Who is signed in stands in the environment (`bot.databricks.deploy.clients`)."""
        from mlflow import MlflowClient  # noqa: PLC0415 (heavy, and an extra)

        self.model = model
        self.alias = alias
        self._client = MlflowClient(tracking_uri="databricks", registry_uri="databricks-uc")

    def look(self, digest: str, version: int | None) -> Registered:
        """What there is.

        Args:
            digest: of the scorer that is to be served.
            version: the version to serve instead, where one is set.

        Raises `DeploymentFailed`, also where that version does not exist or was never finished.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with doing(f"Looking for the model {self.model}", _MAY_READ):
            try:
                found = self._client.get_registered_model(self.model)
            except MlflowException as error:
                if not is_missing(error):
                    raise
                found = None
            if found is None and version is None:
                return Registered(exists=False, version=None, aliased=None)
            aliased = int(found.aliases[self.alias]) if found is not None and self.alias in found.aliases else None
            if version is None:
                return Registered(True, self._with_digest(digest, aliased), aliased)
            return Registered(found is not None, self._given(version), aliased)

    def register(self, folder: Path, digest: str) -> int:
        """Upload an MLflow model as a new version, making the model if need be; the version's number. Raises `DeploymentFailed`."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with doing(f"Registering {self.model}", _MAY_WRITE):
            try:
                self._client.create_registered_model(self.model, description="Toxicity of a text, as Earshot's embedded scorer sees it.")
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                    raise
            made = self._client.create_model_version(self.model, str(folder), tags={DIGEST_TAG: digest})
        if made.status != READY:
            raise DeploymentFailed(f"Version {made.version} of {self.model} is {made.status}, not ready: look at it in Catalog Explorer.")
        return int(made.version)

    def set_alias(self, version: int) -> None:
        """Let the alias point to a version. Raises `DeploymentFailed`."""
        with doing(f"Setting the alias {self.alias} of {self.model}", _MAY_WRITE):
            self._client.set_registered_model_alias(self.model, self.alias, str(version))

    def _given(self, version: int) -> int:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            found = self._client.get_model_version(self.model, str(version))
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise DeploymentFailed(
                f"DATABRICKS_MODEL_VERSION: {self.model} has no version {version}; set one that it has, or none to register one."
            ) from None
        if found.status != READY:
            raise DeploymentFailed(
                f"DATABRICKS_MODEL_VERSION: version {version} of {self.model} is {found.status}, not ready; set another."
            )
        return version

    def _with_digest(self, digest: str, aliased: int | None) -> int | None:
        """The version with the alias where it is that scorer, else the newest that is. An upload that broke off does not count."""
        first = [aliased] if aliased is not None else []
        for number in [*first, *(n for n in self._newest() if n != aliased)]:
            found = self._client.get_model_version(self.model, str(number))
            if _is_ready(found) and found.tags.get(DIGEST_TAG) == digest:
                return number
        return None

    def _newest(self) -> list[int]:
        return sorted(islice(self._numbers(), 10_000), reverse=True)[:LOOK_BACK]

    def _numbers(self) -> Iterator[int]:
        token = None
        while True:
            page = self._client.search_model_versions(f"name='{self.model}'", max_results=100, page_token=token)
            yield from (int(found.version) for found in page if _is_ready(found))
            token = page.token
            if not token:
                return


def _is_ready(version: "ModelVersion") -> bool:
    return bool(version.status == READY)
