"""Rows of the engine → the column-based row sets of the Thrift protocol, and types by the names a warehouse has for them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from databricks.sql.thrift_api.TCLIService import ttypes
from databricks.sql.thrift_api.TCLIService.ttypes import TTypeId

_TYPES = {
    "BOOLEAN": (TTypeId.BOOLEAN_TYPE, "boolVal", ttypes.TBoolColumn, "boolean"),
    "TINYINT": (TTypeId.TINYINT_TYPE, "byteVal", ttypes.TByteColumn, "tinyint"),
    "SMALLINT": (TTypeId.SMALLINT_TYPE, "i16Val", ttypes.TI16Column, "smallint"),
    "INTEGER": (TTypeId.INT_TYPE, "i32Val", ttypes.TI32Column, "int"),
    "BIGINT": (TTypeId.BIGINT_TYPE, "i64Val", ttypes.TI64Column, "bigint"),
    "FLOAT": (TTypeId.FLOAT_TYPE, "doubleVal", ttypes.TDoubleColumn, "float"),
    "DOUBLE": (TTypeId.DOUBLE_TYPE, "doubleVal", ttypes.TDoubleColumn, "double"),
    "DECIMAL": (TTypeId.DECIMAL_TYPE, "stringVal", ttypes.TStringColumn, "decimal"),
    "DATE": (TTypeId.DATE_TYPE, "stringVal", ttypes.TStringColumn, "date"),
    "TIMESTAMP": (TTypeId.TIMESTAMP_TYPE, "stringVal", ttypes.TStringColumn, "timestamp_ntz"),
    "TIMESTAMP WITH TIME ZONE": (TTypeId.TIMESTAMP_TYPE, "stringVal", ttypes.TStringColumn, "timestamp"),
}
_TEXT = (TTypeId.STRING_TYPE, "stringVal", ttypes.TStringColumn, "string")
_EMPTY: dict[str, Any] = {"boolVal": False, "byteVal": 0, "i16Val": 0, "i32Val": 0, "i64Val": 0, "doubleVal": 0.0, "stringVal": ""}


@dataclass(frozen=True, slots=True)
class Table:
    """A statement's result."""

    names: Sequence[str]
    types: Sequence[str]
    """DuckDB's."""
    rows: Sequence[tuple[Any, ...]]
    modified: int | None = None
    """Rows that a DML statement changed."""


def sql_name(engine_type: str) -> str:
    """`DECIMAL(18,2)` → `decimal(18,2)`, `VARCHAR` → `string`."""
    base, bracket, rest = engine_type.partition("(")
    return _TYPES.get(base, _TEXT)[3] + bracket + rest


def metadata(table: Table) -> ttypes.TGetResultSetMetadataResp:
    columns = []
    for place, (name, engine_type) in enumerate(zip(table.names, table.types, strict=True), 1):
        qualifiers = None
        if found := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", engine_type):
            numbers = dict(zip(("precision", "scale"), map(int, found.groups()), strict=True))
            qualifiers = ttypes.TTypeQualifiers({k: ttypes.TTypeQualifierValue(i32Value=v) for k, v in numbers.items()})
        entry = ttypes.TPrimitiveTypeEntry(type=_of(engine_type)[0], typeQualifiers=qualifiers)
        columns.append(ttypes.TColumnDesc(name, ttypes.TTypeDesc([ttypes.TTypeEntry(primitiveEntry=entry)]), place))
    return ttypes.TGetResultSetMetadataResp(
        status=ttypes.TStatus(ttypes.TStatusCode.SUCCESS_STATUS),
        schema=ttypes.TTableSchema(columns),
        resultFormat=ttypes.TSparkRowSetType.COLUMN_BASED_SET,
        lz4Compressed=False,
        isStagingOperation=False,
    )


def row_set(table: Table, start: int, count: int) -> ttypes.TRowSet:
    rows = table.rows[start : start + count]
    columns = []
    for place, engine_type in enumerate(table.types):
        _, attribute, kind, _ = _of(engine_type)
        cells = [row[place] for row in rows]
        values = [_EMPTY[attribute] if cell is None else _written(cell) if attribute == "stringVal" else cell for cell in cells]
        columns.append(ttypes.TColumn(**{attribute: kind(values=values, nulls=_nulls(cells))}))
    return ttypes.TRowSet(startRowOffset=start, rows=[], columns=columns)


def _of(engine_type: str) -> tuple[int, str, Any, str]:
    return _TYPES.get(engine_type.partition("(")[0], _TEXT)


def _written(cell: object) -> str:
    if isinstance(cell, datetime):  # in the session's zone, UTC, without saying so
        return cell.replace(tzinfo=None).isoformat(" ")
    return str(cell)


def _nulls(cells: Sequence[object]) -> bytes:
    """A bit for each cell, the first in the lowest bit of the first byte."""
    bits = sum(1 << place for place, cell in enumerate(cells) if cell is None)
    return bits.to_bytes((len(cells) + 7) // 8, "little")
