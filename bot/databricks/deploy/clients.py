"""MLflow and the Databricks SDK, signed in as the settings say. Both are heavy and an extra: imported here first, when somebody deploys."""

import logging
import os
from typing import TYPE_CHECKING, Any

from bot.databricks.deploy.refusals import DeploymentFailed, doing
from config.settings import Settings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

EXTRA = "pip install '.[deploy]' (in Earshot's folder)"
REQUEST_SECONDS = 60
"""Timeout of one request: an upload of the model file on a slow line."""
REACH_SECONDS = 15
RETRY_SECONDS = 60
"""How long the SDK repeats what may pass: 429, 503, lost connections. An endpoint that just became ready may need it."""
MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_SECONDS),
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": str(RETRY_SECONDS),
}
"""What the environment says of MLflow, where nothing else is set: quiet, and patient for seconds instead of minutes."""


def missing_extra() -> str | None:
    """What is not installed, with what to do; None when all is there. Imports it."""
    for name, value in MLFLOW.items():
        os.environ.setdefault(name, value)
    try:
        import databricks.sdk  # noqa: F401, PLC0415
        import mlflow  # noqa: PLC0415
        import pandas  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        return f"Deploying needs packages that are not installed ({error.name}): {EXTRA}"
    for library in ("mlflow", "databricks.sdk"):
        logging.getLogger(library).setLevel(logging.ERROR)  # what matters of it is said in our words
    mlflow.set_tracking_uri("databricks")  # else it makes a folder for runs
    return None


def open_workspace(settings: Settings, *, retry_seconds: int = RETRY_SECONDS) -> "WorkspaceClient":
    """A client of the workspace. MLflow, which takes its own from the environment, gets the same there. Raises `DeploymentFailed`."""
    from databricks.sdk import WorkspaceClient  # noqa: PLC0415
    from databricks.sdk.core import Config  # noqa: PLC0415

    given = _credentials(settings)
    _reach(given["host"])
    for name in ("token", "client_id", "client_secret", "config_profile"):
        os.environ.pop(f"DATABRICKS_{name.upper()}", None)  # two ways to sign in are an error to the SDK
    os.environ.update({f"DATABRICKS_{name.upper()}": value for name, value in given.items()})
    options: dict[str, Any] = given | {"http_timeout_seconds": REQUEST_SECONDS, "retry_timeout_seconds": retry_seconds}
    with doing("Signing in to Databricks"):
        return WorkspaceClient(config=Config(**options))


def _reach(host: str) -> None:
    """One request, whatever its answer: the SDK would try for five minutes. Raises `DeploymentFailed` when nobody answers."""
    import requests  # noqa: PLC0415 (the SDK's own way out, proxies included)

    try:
        requests.head(host, timeout=REACH_SECONDS, allow_redirects=False)
    except (OSError, ValueError) as error:
        raise DeploymentFailed(f"{host} cannot be reached ({type(error).__name__}): check DATABRICKS_HOST and the network.") from None


def _credentials(settings: Settings) -> dict[str, str]:
    """Of the token where there is one, else of the service principal; by the SDK's names."""
    host = {"host": settings.databricks_host or ""}
    if settings.databricks_token is not None:
        return host | {"token": settings.databricks_token.get_secret_value(), "auth_type": "pat"}
    if settings.databricks_client_id is None or settings.databricks_client_secret is None:
        raise DeploymentFailed("Nobody is signed in: set DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET.")
    secret = settings.databricks_client_secret.get_secret_value()
    return host | {"client_id": settings.databricks_client_id, "client_secret": secret, "auth_type": "oauth-m2m"}
