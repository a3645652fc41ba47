"""What MLflow, the Databricks SDK and the workspace behind them refuse, as sentences that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from moderation.errors import ModerationError

MAX_QUOTED = 300
"""Characters of a message of Databricks that are repeated. It is about models and endpoints: no speech ever gets there."""


class DeploymentFailed(ModerationError):
    """The model was not deployed; the message says why, and what to do. Running it again goes on from where it ended."""

    code = "deployment-failed"


_GONE = r"\s+['\"`]?[\w.-]+['\"`]?\s+(does not exist|was not found|not found)"
_CATALOG = re.compile(r"CATALOG_(DOES_NOT_EXIST|NOT_FOUND)|\bcatalog" + _GONE, re.IGNORECASE)
_SCHEMA = re.compile(r"SCHEMA_(DOES_NOT_EXIST|NOT_FOUND)|\bschema" + _GONE, re.IGNORECASE)
_TOKEN = re.compile(r"invalid access token", re.IGNORECASE)
"""A personal token that is none is refused with 403, as a missing permission is."""
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND", "REGISTERED_MODEL_DOES_NOT_EXIST"}
_BY_STATUS = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "CONFLICT", 429: "TOO_MANY_REQUESTS"}
_ADVICE = (
    (
        {"UNAUTHENTICATED", "INVALID_TOKEN", "CUSTOMER_UNAUTHORIZED"},
        "The credentials are refused: renew DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET.",
    ),
    ({"PERMISSION_DENIED"}, "A permission lacks: ask an administrator of the workspace for {permission}."),
    (
        {"RESOURCE_CONFLICT", "CONFLICT", "ABORTED"},
        "Somebody else is changing the same thing: wait until that is done, then run it again.",
    ),
    (
        {"REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "RESOURCE_LIMIT_EXCEEDED", "QUOTA_EXCEEDED", "TOO_MANY_REQUESTS"},
        "The workspace has reached a limit: wait a few minutes or have the limit raised, then run it again.",
    ),
    (
        {"", "TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "DEADLINE_EXCEEDED", "SERVICE_UNDER_MAINTENANCE"},
        "Databricks cannot be reached, or does not work at the moment: check DATABRICKS_HOST and the network, then run it again.",
    ),
)
"""Databricks' codes → what they mean and what to do."""
_CLOUDS = {"boto3": "boto3", "azure": "azure-storage-file-datalake", "google": "google-cloud-storage"}


@contextmanager
def doing(what: str, permission: str = "") -> Iterator[None]:
    """Translate what the vendors raise in the block to `DeploymentFailed`.

    Args:
        what: the step, as it goes on in "… failed".
        permission: what it needs, named where Databricks says that it lacks.
    """
    from databricks.sdk.errors import OperationFailed  # noqa: PLC0415 (heavy, and an extra)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        yield
    except (OSError, ValueError, MlflowException, OperationFailed) as error:  # the SDK's and requests' own are kinds of OSError
        raise DeploymentFailed(f"{what} failed. {_advice(error, permission)}") from None


def is_missing(error: Exception) -> bool:
    """Whether Databricks says that what was asked for is not there, catalog and schema aside."""
    text = str(error)
    return code_of(error) in _MISSING and not _CATALOG.search(text) and not _SCHEMA.search(text)


def code_of(error: Exception) -> str:
    """Databricks' name for it, such as `PERMISSION_DENIED`; empty where it has none."""
    code = str(getattr(error, "error_code", "") or "")
    if code and code != "INTERNAL_ERROR":
        return code
    found = re.search(r"failed with error code (\d{3})", str(error))  # MLflow's way to say it where the body was no JSON
    return _BY_STATUS.get(int(found[1]), code) if found else code


def _advice(error: Exception, permission: str) -> str:
    """What it means, what to do, and what Databricks says itself."""
    code, told = code_of(error), f"Databricks says: {_quoted(error)}"
    if isinstance(missing := error.__cause__, ImportError):
        package = _CLOUDS.get((missing.name or "").partition(".")[0], missing.name)
        return f"This workspace keeps models in its cloud's own storage, which needs one more package: `pip install {package}`."
    if isinstance(error, TimeoutError):
        return "Databricks did not answer in time: check DATABRICKS_HOST and the network, then run it again."
    for part, pattern in (("catalog", _CATALOG), ("schema", _SCHEMA)):
        if pattern.search(f"{code} {error}"):
            return f"The {part} of DATABRICKS_MODEL_FULL_NAME does not exist, or may not be seen: create it, or set another. {told}"
    if isinstance(error, ValueError) or _TOKEN.search(str(error)):
        code = "UNAUTHENTICATED"
    advice = next((advice for codes, advice in _ADVICE if code in codes), "")
    return f"{advice.format(permission=permission or 'it')} {told}".lstrip()


def _quoted(error: Exception) -> str:
    """The message, on one line."""
    text = " ".join((str(getattr(error, "message", "") or error) or type(error).__name__).partition("Request log:")[0].split())
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
