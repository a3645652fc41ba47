"""The loopback warehouse, asked by the real connector."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import pytest
import urllib3
from databricks import sql
from databricks.sql.client import Connection
from databricks.sql.exc import DatabaseError, Error, RequestError, ServerOperationError
from thrift.Thrift import TException

from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.operations import Hold
from tests.loopback.databricks.tokens import PERSONAL, Tokens
from tests.loopback.databricks.warehouse import WarehousePart
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration


@pytest.fixture
def now() -> list[float]:
    """The warehouse's clock, in seconds; one cell, to be set."""
    return [1000.0]


@pytest.fixture
def warehouse(now: list[float]) -> WarehousePart:
    return WarehousePart(Tokens(), clock=lambda: now[0])


@pytest.fixture
async def workspace(warehouse: WarehousePart) -> AsyncIterator[LoopbackWorkspace]:
    async with LoopbackWorkspace(warehouse) as workspace:
        yield workspace


def connect(workspace: LoopbackWorkspace, token: str = PERSONAL, path: str = "/sql/1.0/warehouses/1234567890abcdef") -> Connection:
    return sql.connect(
        server_hostname=workspace.url,
        http_path=path,
        access_token=token,
        enable_telemetry=False,
        _connection_uri=workspace.url + path,
        _socket_timeout=20,
        _retry_stop_after_attempts_count=2,
        _retry_stop_after_attempts_duration=1,
        _retry_delay_min=0.1,
    )


def ask(workspace: LoopbackWorkspace, *statements: str, **parameters: object) -> list[tuple[Any, ...]]:
    """The last statement's rows."""
    with connect(workspace) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, parameters or None)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


async def there(call: Callable[..., Any], *args: object, **more: object) -> Any:  # noqa: ANN401 (what the call returns)
    return await asyncio.to_thread(functools.partial(call, *args, **more))


async def test_values_come_back_as_they_were_given(workspace: LoopbackWorkspace) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    rows = await there(
        ask,
        workspace,
        "SELECT :a, :b, :c, :d, :e, :f, :g, :a",
        a="x'; --",
        b=1,
        c=2**40,
        d=Decimal("9.99"),
        e=True,
        f=date(2026, 1, 2),
        g=None,
    )
    assert rows == [("x'; --", 1, 2**40, Decimal("9.99"), True, date(2026, 1, 2), None, "x'; --")]
    [(found,)] = await there(ask, workspace, "SELECT :at", at=at)
    assert found.replace(tzinfo=UTC) == at


async def test_a_table_of_three_parts_with_decimals_merge_and_identity(workspace: LoopbackWorkspace) -> None:
    rows = await there(
        ask,
        workspace,
        "CREATE TABLE `workspace`.`default`.`t` "
        "(id BIGINT GENERATED ALWAYS AS IDENTITY, k STRING NOT NULL PRIMARY KEY, p DECIMAL(18,2)) USING DELTA",
        "INSERT INTO t (k, p) VALUES ('a', 0.10), ('a', 0.20)",
        "MERGE INTO t USING (SELECT 'b' AS k) AS s ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k, p) VALUES (s.k, 1)",
        "MERGE INTO t USING (SELECT 'b' AS k) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET p = p + 1",
        "SELECT id, k, p FROM workspace.default.t ORDER BY id",
    )
    assert rows == [(1, "a", Decimal("0.10")), (2, "a", Decimal("0.20")), (3, "b", Decimal("2.00"))]


async def test_a_table_is_described_with_a_warehouses_names_for_types(workspace: LoopbackWorkspace) -> None:
    rows = await there(ask, workspace, "CREATE TABLE t (a STRING, b DECIMAL(18,2), c TIMESTAMP, d INT, e DOUBLE)", "DESCRIBE TABLE t")
    assert [(name, kind) for name, kind, _ in rows] == [
        ("a", "string"),
        ("b", "decimal(18,2)"),
        ("c", "timestamp"),
        ("d", "int"),
        ("e", "double"),
    ]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO t VALUES ('a', 1) RETURNING k", r"\[PARSE_SYNTAX_ERROR\].*'RETURNING'.*42601"),
        ("INSERT INTO t VALUES ('a', 1) ON CONFLICT DO NOTHING", r"\[PARSE_SYNTAX_ERROR\].*42601"),
        ("CREATE TABLE u (k STRING UNIQUE)", r"\[PARSE_SYNTAX_ERROR\].*'UNIQUE'"),
        ("SELECT 1; SELECT 2", r"\[PARSE_SYNTAX_ERROR\].*';'"),
        ("SELEC 1", r"\[PARSE_SYNTAX_ERROR\]"),
        ("PRAGMA version", r"\[PARSE_SYNTAX_ERROR\]"),
        ("SELECT :missing", r"\[UNBOUND_SQL_PARAMETER\].*missing.*42P02"),
        ("SELECT ?", r"\[UNBOUND_SQL_PARAMETER\].*42P02"),
        ("SELECT * FROM nowhere", r"\[TABLE_OR_VIEW_NOT_FOUND\].*nowhere.*42P01"),
        ("SELECT * FROM workspace.default.nowhere", r"\[TABLE_OR_VIEW_NOT_FOUND\].*42P01"),
        ("DESCRIBE TABLE nowhere", r"\[TABLE_OR_VIEW_NOT_FOUND\].*42P01"),
        ("SELECT nothing FROM t", r"\[UNRESOLVED_COLUMN.*nothing.*42703"),
        ("CREATE TABLE t (k STRING)", r"\[TABLE_OR_VIEW_ALREADY_EXISTS\].*42P07"),
        ("INSERT INTO t VALUES (NULL, 1)", r"\[DELTA_NOT_NULL_CONSTRAINT_VIOLATED\].*23502"),
        ("INSERT INTO t VALUES ('a', 1e30)", r"\[CAST_INVALID_INPUT\].*22018"),
    ],
)
async def test_what_a_warehouse_refuses_is_refused(workspace: LoopbackWorkspace, statement: str, expected: str) -> None:
    with pytest.raises(ServerOperationError, match=expected):
        await there(ask, workspace, "CREATE TABLE t (k STRING NOT NULL PRIMARY KEY, p DECIMAL(18,2))", statement)


@pytest.mark.parametrize("reports", [True, False])
async def test_a_change_says_how_many_rows(workspace: LoopbackWorkspace, warehouse: WarehousePart, reports: bool) -> None:
    warehouse.service.reports_rows = reports

    def change() -> tuple[int, Any]:
        with connect(workspace) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (k INT)")
            cursor.execute("INSERT INTO t VALUES (1), (2)")
            cursor.execute("UPDATE t SET k = 3")
            return cursor.rowcount, cursor.fetchall()[0].num_affected_rows

    assert await there(change) == (2 if reports else -1, 2)


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("known-but-forbidden", 403)])
async def test_who_may_not_ask_is_refused_once(workspace: LoopbackWorkspace, warehouse: WarehousePart, token: str, status: int) -> None:
    warehouse.tokens.forbidden.add("known-but-forbidden")
    with pytest.raises(RequestError) as refused:
        await there(connect, workspace, token)
    assert refused.value.context["http-code"] == status
    assert len(workspace.requests) == 1


async def test_a_warehouse_that_is_not_there(workspace: LoopbackWorkspace) -> None:
    with pytest.raises(RequestError, match="no such warehouse"):
        await there(connect, workspace, path="/sql/1.0/warehouses/other")


async def test_a_session_expires(workspace: LoopbackWorkspace, warehouse: WarehousePart) -> None:
    def late() -> None:
        with connect(workspace) as connection, connection.cursor() as cursor:
            warehouse.expire_sessions()
            cursor.execute("SELECT 1")

    with pytest.raises(DatabaseError, match="Invalid SessionHandle"):
        await there(late)


async def test_a_slow_statement_is_waited_for(workspace: LoopbackWorkspace, warehouse: WarehousePart) -> None:
    warehouse.service.patience = 0.01
    warehouse.service.holds.append(hold := Hold("SELECT 7"))
    asking = asyncio.create_task(there(ask, workspace, "SELECT 7"))
    await asyncio.to_thread(hold.begun.wait)
    hold.go.set()
    assert await asking == [(7,)]


async def test_more_rows_than_one_answer_holds(workspace: LoopbackWorkspace) -> None:
    def many() -> list[Any]:
        with connect(workspace) as connection, connection.cursor(arraysize=300) as cursor:
            cursor.execute("SELECT * FROM range(1000) AS t(n)")
            return [row[0] for row in cursor.fetchall()]

    assert await there(many) == list(range(1000))


async def test_a_stopped_warehouse_says_so_and_starts(workspace: LoopbackWorkspace, warehouse: WarehousePart, now: list[float]) -> None:
    warehouse.stop(starting_takes=90)
    with pytest.raises((RequestError, urllib3.exceptions.HTTPError)):
        await there(ask, workspace, "SELECT 1")
    now[0] += 90
    assert await there(ask, workspace, "SELECT 1") == [(1,)]


async def test_the_connector_by_itself_sends_a_lost_insert_again(workspace: LoopbackWorkspace, warehouse: WarehousePart) -> None:
    """Why `bot.databricks` guards its connections: should a later connector not do so any more, this test says so."""
    await there(ask, workspace, "CREATE TABLE t (k INT)")
    workspace.faults.append(Fault(body=b"INSERT", when="after", drop=True))
    await there(ask, workspace, "INSERT INTO t VALUES (1)")
    assert warehouse.service.engine.query("SELECT count(*) FROM t") == [(2,)]


@pytest.mark.parametrize("malformed", ["garbage", "truncated"])
async def test_answers_that_mean_nothing(workspace: LoopbackWorkspace, malformed: Literal["garbage", "truncated"]) -> None:
    await there(ask, workspace, "SELECT 1")
    workspace.faults.append(Fault(body=b"SELECT", malformed=malformed))
    with pytest.raises((Error, urllib3.exceptions.HTTPError, TException, EOFError)):
        await there(ask, workspace, "SELECT 1")


async def test_it_dies_and_comes_back_on_the_same_port_with_its_tables(workspace: LoopbackWorkspace) -> None:
    await there(ask, workspace, "CREATE TABLE t (k INT)")
    await workspace.stop()
    with pytest.raises(urllib3.exceptions.HTTPError):
        await there(ask, workspace, "SELECT 1")
    await workspace.start()
    assert await there(ask, workspace, "SELECT count(*) FROM t") == [(0,)]
