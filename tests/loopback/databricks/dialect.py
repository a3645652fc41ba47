"""A statement in Databricks' dialect → what DuckDB is to run. What a warehouse would refuse is refused here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlglot
from databricks.sql.thrift_api.TCLIService import ttypes
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.loopback.databricks.refusals import Refused, syntax

DML = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
KNOWN = (exp.Query, exp.Create, exp.Drop, exp.Describe, exp.Use, exp.Alter, *DML)


@dataclass(slots=True)
class Translated:
    """What the engine runs."""

    sql: str
    before: list[str] = field(default_factory=list)
    """Statements that come first, such as making an identity's sequence."""
    values: dict[str, Any] = field(default_factory=dict)
    changes: bool = False
    """DML: the answer is how many rows."""
    describes: bool = False
    """DESCRIBE TABLE: names and types are to be put as a warehouse puts them."""


def translate(statement: str, parameters: list[Any]) -> Translated:
    """Raises `Refused`. `parameters`: `TSparkParameter`s."""
    try:
        parsed = sqlglot.parse(statement, read="databricks")
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        raise syntax(str(details[0].get("highlight", "end of input"))) from None
    if len(parsed) != 1 or parsed[0] is None:
        raise syntax(";" if len(parsed) > 1 else "end of input")
    tree = parsed[0]
    if not isinstance(tree, KNOWN):
        raise syntax(statement.split(maxsplit=1)[0])
    _refuse(tree)
    before = _create(tree) if isinstance(tree, exp.Create) else []
    values = _bind(tree, parameters)
    if isinstance(tree, exp.Use):
        return Translated("SELECT 1 AS ok WHERE false")
    sql = tree.sql(dialect="duckdb")
    return Translated(sql, before, values, isinstance(tree, DML), isinstance(tree, exp.Describe))


def _refuse(tree: exp.Expr) -> None:
    for kind, near in ((exp.Returning, "RETURNING"), (exp.OnConflict, "ON"), (exp.UniqueColumnConstraint, "UNIQUE")):
        if tree.find(kind):
            raise syntax(near)
    if any(re.fullmatch("rowid", column.name, re.IGNORECASE) for column in tree.find_all(exp.Column)):
        raise Refused("UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703", "A column `rowid` cannot be resolved.")


def _create(tree: exp.Create) -> list[str]:
    """Delta takes a primary key and does not enforce it; an identity counts by itself."""
    for constraint in [*tree.find_all(exp.PrimaryKeyColumnConstraint)]:
        (constraint.parent or constraint).pop()
    for key in [*tree.find_all(exp.PrimaryKey)]:
        named = key.parent
        (named if isinstance(named, exp.Constraint) else key).pop()
    tree.set("properties", None)
    before = []
    for identity in [*tree.find_all(exp.GeneratedAsIdentityColumnConstraint)]:
        table = tree.find(exp.Table)
        assert table is not None
        column = identity.find_ancestor(exp.ColumnDef)
        assert column is not None
        sequence = f"{table.name}_{column.name}_identity"
        before.append(f'CREATE SEQUENCE IF NOT EXISTS "{sequence}"')
        identity.replace(exp.DefaultColumnConstraint(this=exp.func("nextval", exp.Literal.string(sequence))))
    return before


def _bind(tree: exp.Expr, parameters: list[Any]) -> dict[str, Any]:
    """Typed values for `:name` and `?`; the values that were used, by the engine's names for them."""
    by_name = {p.name: p for p in parameters if p.name}
    by_place = [p for p in parameters if not p.name]
    values: dict[str, Any] = {}
    for place, holder in enumerate([*tree.find_all(exp.Placeholder, bfs=False)]):
        name = holder.name
        found = by_name.get(name) if name else (by_place.pop(0) if by_place else None)
        if found is None:
            raise Refused("UNBOUND_SQL_PARAMETER", "42P02", f"Found the unbound parameter: {name or '_' + str(place)}.")
        key = f"p_{name or place}"
        values[key] = _value(found)
        kind = "STRING" if found.type in ("VOID", None) else found.type
        holder.replace(exp.cast(exp.Placeholder(this=key), exp.DataType.build(kind, dialect="databricks")))
    return values


def _value(parameter: ttypes.TSparkParameter) -> Any:  # noqa: ANN401 (a SQL value)
    if parameter.value is None or parameter.type == "VOID":
        return None
    text = parameter.value.stringValue
    kind = parameter.type.partition("(")[0]
    convert: Mapping[str, Any] = {"INT": int, "BIGINT": int, "DECIMAL": Decimal, "DOUBLE": float}
    return convert[kind](text) if kind in convert else text
