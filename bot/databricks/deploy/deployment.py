"""Puts the embedded toxicity scorer behind a Databricks serving endpoint, and changes only what is not as it should be.

    what there is ─▶ plan ─▶ pack, try ─▶ register ─▶ alias ─▶ endpoint ─▶ wait ─▶ one question ─▶ what changed

Every step looks first, so that running it again goes on where it ended, and changes nothing where nothing is left to do.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bot.databricks.deploy.endpoints import Endpoint, Endpoints, Served
from bot.databricks.deploy.packing import SAMPLES, ServedScorer, compare, pack
from bot.databricks.deploy.refusals import DeploymentFailed
from bot.databricks.deploy.registry import Registered, Registry
from bot.scoring.answers import read_scores
from bot.scoring.opening import output_spec
from bot.scoring.serving import address
from config.settings import Settings
from moderation.errors import ScoresUnreadable
from moderation.models import Score

Tell = Callable[[str], None]
"""Hears what goes on, a line each."""
NONE = "none"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there should be in the end."""

    model: str
    """`catalog.schema.model`."""
    alias: str
    version: int | None
    """Of the model, already registered; None: the scorer that comes along, registered if need be."""
    endpoint: str
    size: str
    scale_to_zero: bool
    served_name: str | None
    """None: of the model's name and version."""
    replace: bool = False
    """Whether the endpoint may lose other models that it serves."""

    @classmethod
    def of(cls, settings: Settings, *, alias: str, replace: bool) -> "Wanted":
        """As the settings say. DATABRICKS_MODEL_FULL_NAME and DATABRICKS_ENDPOINT must be set."""
        return cls(
            model=settings.databricks_model_full_name or "",
            alias=alias,
            version=settings.databricks_model_version,
            endpoint=address(settings.databricks_host, settings.databricks_endpoint or "").name,
            size=settings.databricks_workload_size.value,
            scale_to_zero=settings.databricks_scale_to_zero,
            served_name=settings.databricks_served_entity_name,
            replace=replace,
        )

    def served(self, version: int | None) -> Served:
        """What the endpoint should serve; `version` None: one that is not registered yet."""
        number = str(version) if version is not None else ""
        name = re.sub(r"[^A-Za-z0-9_-]", "-", f"{self.model.rpartition('.')[2][:50]}-{number}")
        return Served(self.served_name or name, self.model, number, self.size, self.scale_to_zero)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing, as it was and as it is, or would be."""

    what: str
    before: str
    after: str

    @property
    def made(self) -> bool:
        """Whether it is another than before."""
        return self.before != self.after


def changes(wanted: Wanted, model: Registered, endpoint: Endpoint | None, version: int | None) -> list[Change]:
    """What differs between what there is and what is wanted, and what does not. `version`: what is served in the end; None: a new one."""
    number = f"version {version}" if version is not None else "a new version"
    serves = ", ".join(map(str, endpoint.serves)) if endpoint is not None else NONE
    return [
        Change(f"model {wanted.model}", number if version == model.version is not None else NONE, number),
        Change(f"alias {wanted.alias}", f"version {model.aliased}" if model.aliased is not None else NONE, number),
        Change(f"endpoint {wanted.endpoint}", serves or NONE, str(wanted.served(version))),
    ]


def check(wanted: Wanted, endpoint: Endpoint | None, version: int | None) -> None:
    """Raises `DeploymentFailed` where the endpoint must not be changed: it serves something else, or is being changed to something else."""
    if endpoint is None:
        return
    others = [s.model for s in (*endpoint.serves, *endpoint.coming) if s.model != wanted.model]
    if others and not wanted.replace:
        raise DeploymentFailed(
            f"The endpoint {wanted.endpoint} serves {', '.join(sorted(set(others)))}, which would end. Set DATABRICKS_ENDPOINT to another "
            "name (one that does not exist is made), or say --replace."
        )
    if endpoint.updating and (endpoint.coming or endpoint.serves) != (wanted.served(version),):
        raise DeploymentFailed(
            f"The endpoint {wanted.endpoint} is being changed by somebody else ({endpoint.state}). Wait for that, then run it again."
        )


class Deployment:
    """Carries it out."""

    def __init__(self, wanted: Wanted, settings: Settings, registry: Registry, endpoints: Endpoints, tell: Tell) -> None:
        """`settings`: how the bot would read the endpoint's answers."""
        self._wanted = wanted
        self._settings = settings
        self._registry = registry
        self._endpoints = endpoints
        self._tell = tell

    def plan(self, scorer: ServedScorer) -> list[Change]:
        """What `run` would do now; nothing is written. Raises `DeploymentFailed`."""
        model, endpoint = self._look(scorer)
        return changes(self._wanted, model, endpoint, model.version)

    def run(self, scorer: ServedScorer, limit: timedelta) -> list[Change]:
        """What was done.

        Args:
            scorer: what should be served, unless a version is set.
            limit: how long the endpoint may take.

        Raises `DeploymentFailed`.
        """
        wanted = self._wanted
        model, endpoint = self._look(scorer)
        version = model.version if model.version is not None else self._register(scorer)
        if model.aliased != version:
            self._tell(f"setting the alias {wanted.alias} to version {version}")
            self._registry.set_alias(version)
        self._serve(endpoint, wanted.served(version))
        self._endpoints.wait(wanted.endpoint, limit, lambda state: self._tell(f"endpoint {wanted.endpoint}: {state}"))
        self._ask(scorer)
        return changes(wanted, model, endpoint, version)

    def _look(self, scorer: ServedScorer) -> tuple[Registered, Endpoint | None]:
        wanted = self._wanted
        self._tell(f"looking at {wanted.model} and the endpoint {wanted.endpoint}")
        model = self._registry.look(scorer.digest, wanted.version)
        endpoint = self._endpoints.look(wanted.endpoint)
        check(wanted, endpoint, model.version)
        return model, endpoint

    def _register(self, scorer: ServedScorer) -> int:
        with TemporaryDirectory(prefix="earshot-model-") as folder:
            path = Path(folder) / "model"
            self._tell("packing the model and trying it")
            pack(scorer, path)
            self._tell(f"registering {self._wanted.model}")
            return self._registry.register(path, scorer.digest)

    def _serve(self, endpoint: Endpoint | None, served: Served) -> None:
        name = self._wanted.endpoint
        if endpoint is None:
            self._tell(f"creating the endpoint {name}")
            self._endpoints.create(name, served)
        elif endpoint.updating and (endpoint.coming or endpoint.serves) == (served,):
            self._tell(f"the endpoint {name} is on its way already")
        elif endpoint.failed or endpoint.serves != (served,):
            self._tell(f"changing the endpoint {name}")
            self._endpoints.update(name, served)

    def _ask(self, scorer: ServedScorer) -> None:
        """One question, read as the bot reads answers; where the scorer of here is served, it must say the same."""
        name = self._wanted.endpoint
        self._tell(f"asking the endpoint {name} for two scores")
        predictions = self._endpoints.ask(name, self._settings.databricks_input_column, SAMPLES)
        spec = output_spec(self._settings, name)
        try:
            found: list[Score] = read_scores({"predictions": predictions}, len(SAMPLES), spec, self._settings.toxicity_threshold)
        except ScoresUnreadable as error:
            raise DeploymentFailed(f"The endpoint {name} answers, but the bot cannot read it. {error}") from None
        if self._wanted.version is None:
            compare(f"The endpoint {name}", [{"score": each.score} for each in found], scorer)
