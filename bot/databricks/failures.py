"""How a statement ended that did not succeed: what its exception says about whether it was carried out.

The connector raises its own errors, urllib3's as they are, and Thrift's; here they become one of six endings. None of the messages quotes
SQL, values or tokens.
"""

import re
from enum import Enum

from moderation.errors import CatalogueUnavailable

_CLASS = re.compile(r"\[([A-Z][A-Z0-9_.]{2,120})\]")
_SQLSTATE = re.compile(r"SQLSTATE: ?([0-9A-Z]{5})")
_CONFLICTS = {"2D521", "40001"}
"""SQLSTATEs of Delta's lost races: nothing was changed."""
_NEVER_CONNECTED = {"NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ProxyError"}
"""urllib3's errors from before a request was sent. `SSLError` is none: it may be about the answer."""

_GRANTS = "Grant the bot USE CATALOG and USE SCHEMA, SELECT and MODIFY on the table; CREATE TABLE on the schema if it is to make the table."

_ADVICE = {
    "TABLE_OR_VIEW_NOT_FOUND": "The table is not there. Check DATABRICKS_PRODUCTS_TABLE.",
    "SCHEMA_NOT_FOUND": "The schema is not there. Check DATABRICKS_PRODUCTS_TABLE.",
    "NO_SUCH_CATALOG_EXCEPTION": "The catalog is not there. Check DATABRICKS_PRODUCTS_TABLE.",
    "INSUFFICIENT_PERMISSIONS": _GRANTS,
    "PERMISSION_DENIED": _GRANTS,
    "DELTA_NOT_NULL_CONSTRAINT_VIOLATED": "The table has columns that must be filled and that Earshot does not know. Make them nullable.",
}


class Ending(Enum):
    """What became of a statement."""

    SESSION_GONE = "session-gone"
    """The session had expired: the statement never ran."""
    TOKEN_REFUSED = "token-refused"  # noqa: S105 (a name)
    """401: it never ran."""
    AWAY = "away"
    """The warehouse cannot be reached, is starting or is overloaded: it never ran."""
    REFUSED = "refused"
    """The warehouse said no: nothing was changed, and asking again will not help."""
    CONFLICT = "conflict"
    """Somebody else changed the table at the same time: nothing was changed."""
    LOST = "lost"
    """It was sent and no answer came: it may have been carried out."""


class Failure(Exception):
    """Why a statement did not succeed; `str()` is a sentence or two for people."""

    def __init__(self, ending: Ending, message: str, error_class: str = "") -> None:
        super().__init__(message)
        self.ending = ending
        self.error_class = error_class
        """Databricks', such as `TABLE_OR_VIEW_NOT_FOUND`."""


class StatementRefused(CatalogueUnavailable):
    """The warehouse said no, and would again."""

    retryable = False

    def __init__(self, message: str, error_class: str) -> None:
        super().__init__(message)
        self.error_class = error_class


def classify(error: Exception, *, sent: bool, accepted: bool = False) -> Failure:
    """The ending that an exception of the connector means.

    Args:
        error: anything that `connect` or `execute` raised.
        sent: the statement had gone out, or was about to; False while the connection was being opened.
        accepted: the warehouse had acknowledged it.
    """
    from databricks.sql import exc  # noqa: PLC0415 (heavy)

    text = str(error)
    if isinstance(error, exc.ServerOperationError):
        return _by_server(text)
    if "Invalid SessionHandle" in text and not accepted:
        return Failure(Ending.SESSION_GONE, "The warehouse ended the session.")
    status = (error.context or {}).get("http-code") if isinstance(error, exc.RequestError) else None
    if not accepted and (found := _by_status(status, sent)):
        return found
    name = type(getattr(error, "reason", None) or error).__name__
    if not sent or (not accepted and name in _NEVER_CONNECTED):
        return Failure(Ending.AWAY, f"The SQL warehouse cannot be reached ({name}). Try again in a minute; check that it runs.")
    return Failure(Ending.LOST, f"The SQL warehouse did not answer ({name}).")


def stopped() -> Failure:
    """A statement that the warehouse ended before it was done; the connector takes that for an empty result."""
    return Failure(Ending.LOST, "The SQL warehouse stopped a statement, perhaps because it took too long.")


def _by_server(text: str) -> Failure:
    error_class = found.group(1) if (found := _CLASS.search(text)) else ""
    state = found.group(1) if (found := _SQLSTATE.search(text)) else ""
    if state in _CONFLICTS or error_class.startswith("DELTA_CONCURRENT"):
        return Failure(Ending.CONFLICT, "Somebody else changed the table at the same time. Try again.", error_class)
    advice = _ADVICE.get(error_class.partition(".")[0], "Look it up in Databricks' list of error conditions.")
    return Failure(Ending.REFUSED, f"Databricks refused a statement ({error_class or state or 'no error class'}). {advice}", error_class)


def _by_status(status: object, sent: bool) -> Failure | None:
    if status == 401:
        return Failure(Ending.TOKEN_REFUSED, "Databricks refused the token (401). Check DATABRICKS_TOKEN, or the client id and secret.")
    if status == 403:
        return Failure(Ending.REFUSED, "Databricks does not let the bot use the SQL warehouse (403). Grant it CAN USE.")
    if status == 404:
        return Failure(Ending.REFUSED, "There is no such SQL warehouse (404). Check DATABRICKS_HTTP_PATH.")
    if status == 429 or (status == 503 and not sent):
        return Failure(Ending.AWAY, f"The SQL warehouse is starting or overloaded ({status}). Try again in a minute.")
    return None
