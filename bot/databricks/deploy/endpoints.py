"""Serving endpoints through the Databricks SDK: what one serves, making or changing it, waiting, and one question to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.databricks.deploy.refusals import DeploymentFailed, doing

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.serving import ServedEntityOutput, ServingEndpointDetailed

_MAY_MANAGE = "CAN MANAGE on the endpoint (to make one: the right to create serving endpoints), and EXECUTE on the model"


@dataclass(frozen=True, slots=True)
class Served:
    """One model in an endpoint."""

    name: str
    """Of the served entity."""
    model: str
    version: str
    """Its number; empty for one that is not registered yet."""
    size: str
    """`Small`, `Medium` or `Large`."""
    scale_to_zero: bool

    def __str__(self) -> str:
        what = f"version {self.version} as {self.name}" if self.version else "a new version"
        return f"{self.model} {what}, {self.size}{', scales to zero' if self.scale_to_zero else ''}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How an endpoint stands."""

    serves: tuple[Served, ...]
    """What answers now."""
    coming: tuple[Served, ...]
    """What it is being changed to; empty while nothing changes."""
    ready: bool
    updating: bool
    failed: bool
    """The last change was not carried out."""
    told: str
    """What Databricks says about its deployment; may be empty."""

    @property
    def state(self) -> str:
        """For people."""
        change = "is being changed" if self.updating else "its last change failed" if self.failed else "nothing is changing"
        return f"{'ready' if self.ready else 'not ready'}, {change}{f': {self.told}' if self.told else ''}"


class Endpoints:
    """The serving endpoints of a workspace."""

    def __init__(self, workspace: "WorkspaceClient") -> None:
        self._api = workspace.serving_endpoints

    def look(self, name: str) -> Endpoint | None:
        """How the endpoint stands; None where there is none. Raises `DeploymentFailed`."""
        from databricks.sdk.errors import NotFound  # noqa: PLC0415 (heavy, and an extra)

        with doing(f"Looking at the endpoint {name}", "CAN VIEW on the endpoint"):
            try:
                return _read(self._api.get(name))
            except NotFound:
                return None

    def create(self, name: str, served: Served) -> None:
        """Ask for a new endpoint. Raises `DeploymentFailed`."""
        from databricks.sdk.service.serving import EndpointCoreConfigInput  # noqa: PLC0415

        with doing(f"Creating the endpoint {name}", _MAY_MANAGE):
            self._api.create(name, config=EndpointCoreConfigInput(name=name, **_config(served)))

    def update(self, name: str, served: Served) -> None:
        """Ask that it serve `served` and nothing else. What answers now goes on until then. Raises `DeploymentFailed`."""
        with doing(f"Changing the endpoint {name}", _MAY_MANAGE):
            self._api.update_config(name, **_config(served))

    def wait(self, name: str, limit: timedelta, tell: Callable[[str], None]) -> None:
        """Until it is ready and nothing changes; `tell` hears how it stands. Raises `DeploymentFailed`: it failed, or took longer."""
        from databricks.sdk.errors import OperationFailed  # noqa: PLC0415

        with doing(f"Waiting for the endpoint {name}", _MAY_MANAGE):
            try:
                stands = _read(self._api.wait_get_serving_endpoint_not_updating(name, limit, lambda found: tell(_read(found).state)))
            except OperationFailed:
                stands = _read(self._api.get(name))
            except TimeoutError as error:
                if not str(error).startswith("timed out after"):  # a request's own, not the wait's
                    raise
                raise DeploymentFailed(
                    f"The endpoint {name} was not ready after {limit.total_seconds() / 60:g} minutes. Databricks goes on: "
                    "run it again to wait on, longer with --timeout."
                ) from None
        if stands.failed or not stands.ready:
            raise DeploymentFailed(
                f"The endpoint {name} could not be deployed: {stands.told or stands.state}. What it served before goes on. "
                "Look at its build and service logs in the workspace (Serving), then run it again."
            )

    def ask(self, name: str, column: str, texts: tuple[str, ...]) -> Any:  # noqa: ANN401 (JSON)
        """Its predictions. Raises `DeploymentFailed`."""
        with doing(f"Asking the endpoint {name}", "CAN QUERY on the endpoint"):
            answer = self._api.query(name, dataframe_records=[{column: text} for text in texts])
            return answer.predictions


def _config(served: Served) -> dict[str, Any]:
    from databricks.sdk.service.serving import Route, ServedEntityInput, TrafficConfig  # noqa: PLC0415

    entity = ServedEntityInput(
        name=served.name,
        entity_name=served.model,
        entity_version=served.version,
        workload_size=served.size,
        scale_to_zero_enabled=served.scale_to_zero,
    )
    traffic = TrafficConfig(routes=[Route(served_model_name=served.name, traffic_percentage=100)])
    return {"served_entities": [entity], "traffic_config": traffic}


def _read(found: "ServingEndpointDetailed") -> Endpoint:
    from databricks.sdk.service.serving import EndpointStateConfigUpdate, EndpointStateReady  # noqa: PLC0415

    now = (found.config.served_entities if found.config is not None else None) or []
    coming = (found.pending_config.served_entities if found.pending_config is not None else None) or []
    change = found.state.config_update if found.state is not None else None
    told = [e.state.deployment_state_message for e in (*coming, *now) if e.state is not None and e.state.deployment_state_message]
    return Endpoint(
        serves=tuple(map(_served, now)),
        coming=tuple(map(_served, coming)),
        ready=found.state is not None and found.state.ready is EndpointStateReady.READY,
        updating=change is EndpointStateConfigUpdate.IN_PROGRESS,
        failed=change in (EndpointStateConfigUpdate.UPDATE_FAILED, EndpointStateConfigUpdate.UPDATE_CANCELED),
        told=told[0] if told else "",
    )


def _served(entity: "ServedEntityOutput") -> Served:
    model = entity.entity_name or (entity.external_model.name if entity.external_model else None) or "another model"
    return Served(entity.name or "", model, entity.entity_version or "", entity.workload_size or "", bool(entity.scale_to_zero_enabled))
