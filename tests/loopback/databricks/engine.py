"""The warehouse's tables: DuckDB in memory, which has real DECIMALs, MERGE and three-part names."""

import threading
from typing import Any

import duckdb

from tests.loopback.databricks.dialect import Translated, translate
from tests.loopback.databricks.refusals import Refused, explain
from tests.loopback.databricks.results import Table, sql_name

OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


class Engine:
    """Statements come from any thread. Changes are made one after another, as Delta's conflict detection has it in effect."""

    def __init__(self, catalog: str = "workspace", schema: str = "default") -> None:
        self._catalog, self._schema = catalog, schema
        self._home = duckdb.connect(":memory:", config=OFFLINE)
        self._home.execute(f"ATTACH ':memory:' AS \"{catalog}\"")
        self._home.execute(f'CREATE SCHEMA IF NOT EXISTS "{catalog}"."{schema}"')
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        with self._one_at_a_time:
            self._home.close()

    def run(self, statement: str, parameters: list[Any]) -> Table:
        """Raises `Refused`."""
        work = translate(statement, parameters)
        with self._one_at_a_time:
            connection = self._home.cursor()
            try:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(f'USE "{self._catalog}"."{self._schema}"')
                for sql in work.before:
                    connection.execute(sql)
                return _table(connection, work)
            except duckdb.Error as error:
                raise explain(error) from None
            finally:
                connection.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What a test looks up behind the warehouse's back; Databricks' dialect."""
        return list(self.run(sql, []).rows)


def _table(connection: duckdb.DuckDBPyConnection, work: Translated) -> Table:
    rows = connection.execute(work.sql, work.values or None).fetchall()
    columns = connection.description or []
    if work.changes:
        changed = int(rows[0][0]) if rows else 0
        return Table(["num_affected_rows"], ["BIGINT"], [(changed,)], changed)
    if work.describes:
        found = [(name, sql_name(kind), None) for name, kind, *_ in rows]
        return Table(["col_name", "data_type", "comment"], ["VARCHAR"] * 3, found)
    if not columns or work.sql.startswith(("CREATE", "DROP", "ALTER")):
        return Table([], [], [])
    return Table([c[0] for c in columns], [str(c[1]) for c in columns], rows)


__all__ = ["Engine", "Refused"]
