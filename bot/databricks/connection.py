"""One connection to a SQL warehouse. It is opened, used and closed in one thread; the connector is synchronous and not thread-safe.

The only module that imports the connector, and only once a connection is opened: pandas comes with it (some 70 MB).
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.databricks.failures import Ending, Failure, classify, stopped

if TYPE_CHECKING:
    from databricks.sql.client import Connection as SqlConnection
    from databricks.sql.client import Cursor

MAX_AGE = 30 * 60.0
"""Seconds until a connection is replaced: sessions expire, and the connector remembers every cursor."""
MAX_USES = 1000
"""Statements until then, for the same reason."""
SOCKET_SECONDS = 60
"""Timeout of one HTTP request. Longer than a statement may take."""
HTTPS = "https"

Value = Any
"""What stands for a parameter: `str`, `int`, `Decimal`, aware `datetime`, …; the connector gives each its SQL type."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a warehouse is."""

    url: str
    """Of the workspace: `https://host`, without a slash at its end."""
    http_path: str
    """Such as `/sql/1.0/warehouses/1234567890abcdef`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave."""

    rows: list[tuple[Any, ...]]
    changed: int
    """Rows that it changed; -1 where the warehouse did not say."""


class Connection:
    """Opens when first used and opens again when it has grown old or was lost."""

    def __init__(self, address: Address, *, statement_seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`statement_seconds`: after which the warehouse gives up on a statement."""
        self._address = address
        self._statement_seconds = statement_seconds
        self._clock = clock
        self._hook = sys.excepthook
        self._headers: Mapping[str, str] = {}
        self._open: SqlConnection | None = None
        self._opened_at = 0.0
        self._uses = 0

    def run(
        self, statement: str, parameters: Mapping[str, Value], headers: Mapping[str, str], sending: Callable[[], bool] = lambda: True
    ) -> Answer:
        """Carry out one statement.

        Args:
            statement: SQL with named parameters (`:name`).
            parameters: their values.
            headers: who asks.
            sending: called when all is ready; False: nobody wants it any more.

        Raises `Failure`.
        """
        self._headers = headers
        connection = self._ready()
        if not sending():
            raise Failure(Ending.AWAY, "The SQL warehouse was not ready in time. Try again in a minute; check that it runs.")
        cursor = connection.cursor()
        try:
            cursor.execute(statement, parameters=dict(parameters) or None)
            return _answer(cursor)
        except Failure:
            raise
        except Exception as error:  # the connector lets urllib3's, Thrift's and builtin ones through
            failure = classify(error, sent=True, accepted=cursor.active_command_id is not None)
            if failure.ending not in (Ending.REFUSED, Ending.CONFLICT):
                self._abandon()
            raise failure from None
        finally:
            self._uses += 1

    def close(self) -> None:
        """End the session, if there is one."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()

    def _ready(self) -> "SqlConnection":
        if self._open is not None and (self._clock() - self._opened_at >= MAX_AGE or self._uses >= MAX_USES):
            self.close()
        if self._open is None:
            try:
                self._open = self._connect()
            except Failure:
                raise
            except Exception as error:  # as above
                raise classify(error, sent=False) from None
            self._opened_at, self._uses = self._clock(), 0
        return self._open

    def _connect(self) -> "SqlConnection":
        from databricks import sql  # noqa: PLC0415 (heavy)

        address = self._address
        scheme, _, host = address.url.partition("://")
        plain = scheme == HTTPS and ":" not in host
        where: dict[str, Any] = {"server_hostname": host} if plain else {"server_hostname": address.url}
        if not plain:  # the connector has no option for plain HTTP, and ignores ports
            where["_connection_uri"] = f"{address.url}/{address.http_path.lstrip('/')}"
        try:
            connection = sql.connect(
                http_path=address.http_path,
                credentials_provider=lambda: lambda: dict(self._headers),
                session_configuration={"STATEMENT_TIMEOUT": str(self._statement_seconds), "TIMEZONE": "UTC"},
                user_agent_entry="Earshot",
                enable_telemetry=False,
                use_cloud_fetch=False,
                _socket_timeout=SOCKET_SECONDS,
                _retry_stop_after_attempts_count=1,
                _retry_stop_after_attempts_duration=1,  # seconds: after 429 and 503 it would wait 5, and then send again
                _retry_delay_min=0.1,
                _retry_delay_max=5,
                _retry_delay_default=1,
                **where,
            )
        finally:
            sys.excepthook = self._hook  # the connector sets its own, for good
        send_once(connection)
        return connection

    def _abandon(self) -> None:
        """Forget a session without another request: who does not answer would keep the thread."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.session.is_open = False
            connection.close()


def send_once(connection: "SqlConnection") -> None:
    """Keep the connector from sending a statement again whose answer was lost: it may have been carried out.

    By itself it does so, and reports success (found with databricks-sql-connector 4.9.0). There is no public option. `read` is about
    connections that break; TLS that breaks under an answer is counted as `other`.

    Raises `Failure` where a version of the connector has changed in that respect.
    """
    policy: Any = getattr(connection.session.backend, "retry_policy", None)
    if not (hasattr(policy, "read") and hasattr(policy, "other")):
        connection.close()
        raise Failure(Ending.REFUSED, "This version of databricks-sql-connector might write twice. Install version 4.9.")
    policy.read, policy.other = False, 0


def _answer(cursor: "Cursor") -> Answer:
    from databricks.sql.backend.types import CommandState  # noqa: PLC0415 (heavy)

    result = cursor.active_result_set
    if result is not None and result.status not in (CommandState.SUCCEEDED, CommandState.CLOSED):
        raise stopped()
    rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    changed = cursor.rowcount
    if changed < 0 and rows and cursor.description and cursor.description[0][0] == "num_affected_rows":
        changed = int(rows[0][0])
    cursor.close()
    return Answer(rows, changed)
