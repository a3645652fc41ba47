"""What a warehouse says when it refuses a statement: `[ERROR_CLASS] sentence SQLSTATE: xxxxx`.

Classes and SQLSTATEs after Databricks' published list of error conditions; the sentences are our own.
"""

import re

import duckdb


class Refused(Exception):
    """A statement the warehouse does not carry out."""

    def __init__(self, error_class: str, sqlstate: str, message: str) -> None:
        super().__init__(f"[{error_class}] {message} SQLSTATE: {sqlstate}")
        self.sqlstate = sqlstate


def syntax(near: str) -> Refused:
    return Refused("PARSE_SYNTAX_ERROR", "42601", f"Syntax error at or near '{near}'.")


_CATALOGUE = (
    (r'Table with name "?([^"\s]+)"? already exists', "TABLE_OR_VIEW_ALREADY_EXISTS", "42P07", "Cannot create table `{0}`: it exists."),
    (r"(?:Table|View) with name \"?([^\"\s!]+)\"? does not exist", "TABLE_OR_VIEW_NOT_FOUND", "42P01", "`{0}` cannot be found."),
    (r"Schema with name \"?([^\"\s!]+)\"? does not exist", "SCHEMA_NOT_FOUND", "42704", "The schema `{0}` cannot be found."),
    (r"Catalog \"?([^\"\s!]+)\"? does not exist", "NO_SUCH_CATALOG_EXCEPTION", "42704", "Catalog '{0}' was not found."),
    (r"does not have a column with name \"?([^\"\s!]+)\"?", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703", "`{0}` cannot be resolved."),
    (r"column \"?([^\"\s!]+)\"? not found", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703", "A column `{0}` cannot be resolved."),
    (r"NOT NULL constraint failed: (\S+)", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502", "NOT NULL constraint violated for column: {0}."),
    (r"(Conflict|Transaction)", "DELTA_CONCURRENT_APPEND", "2D521", "Files were added by a concurrent update. Please try again."),
    (r"Could not (?:cast|convert)", "CAST_INVALID_INPUT", "22018", "A value cannot be cast, or it is out of range."),
    (r"out of range", "NUMERIC_VALUE_OUT_OF_RANGE", "22003", "A value cannot be represented."),
)


def explain(error: duckdb.Error) -> Refused:
    """The engine's refusal, as a warehouse words it."""
    text = str(error)
    for pattern, error_class, sqlstate, message in _CATALOGUE:
        if found := re.search(pattern, text, re.IGNORECASE):
            return Refused(error_class, sqlstate, message.format(*found.groups()))
    return Refused("INTERNAL_ERROR", "XX000", text.splitlines()[0])
