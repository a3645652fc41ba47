"""Logging to stderr with the standard library: `console` lines for people, `json` lines for machines.

A record is a static message plus `extra` fields. Fields whose name begins with `pii.` may hold speech or names and are dropped.
Of exceptions the kind and the place are shown, never the text: it may quote what was being worked on.
Only the packages of this project log below INFO: libraries' debugging output quotes payloads, and with them people and tokens.
"""

import json
import logging
import math
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import Enum
from typing import Any

OWN = ("bot", "cogs", "config", "moderation")
"""Loggers that LOG_LEVEL holds for in full."""

QUIET = ("aiohttp.access", "aiosqlite", "alembic", "sqlalchemy")
"""Loggers that say nothing below WARNING: addresses with search words, statements, rows."""

SILENT = ("databricks.sql",)
"""Loggers that say nothing: their messages quote what the warehouse answered; what failed is told by Earshot's own log and `/ready`."""

DROPPED_PREFIX = "pii."

MAX_CHAIN = 8
"""Causes of an exception that are shown."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_KEYS = frozenset({"time", "level", "logger", "message", "exception"})
_CONTROL = {c: f"\\x{c:02x}" for c in (*range(32), 127, *range(128, 160))} | {0x2028: "\\u2028", 0x2029: "\\u2029"}


def configure(level: str = "INFO", format: str = "console", context: Mapping[str, ContextVar[str]] | None = None) -> None:
    """Log to stderr from `level` on, as `console` or `json` lines. Called again it replaces what it set up; other handlers stay.

    `context`: fields that every line has whose variable is not empty, such as the session and the request it belongs to.
    """
    handler = _StderrHandler()
    handler.addFilter(ContextFilter(context or {}))
    handler.setFormatter(JsonFormatter() if format == "json" else ConsoleFormatter())
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    own = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(own, logging.INFO))
    for name in OWN:
        logging.getLogger(name).setLevel(own)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(own, logging.WARNING))
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class ContextFilter(logging.Filter):
    """Puts what the running code belongs to into records that do not say so themselves."""

    def __init__(self, context: Mapping[str, ContextVar[str]]) -> None:
        super().__init__()
        self._context = context

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through."""
        for name, variable in self._context.items():
            if (value := variable.get()) and not hasattr(record, name):
                setattr(record, name, value)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (UTC, ISO 8601), `level`, `logger`, `message`, the fields, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, in ASCII."""
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {f"extra.{k}" if k in _KEYS else k: v for k, v in _fields(record).items()}
        if record.exc_info:
            line["exception"] = _exception(record.exc_info[1])
        return json.dumps(line)


class ConsoleFormatter(logging.Formatter):
    """`12:34:56 WARNING bot.alerts: alert not delivered  session_id=… attempt=2`, then the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds, and the traceback's lines."""
        fields = "".join(f" {k}={v}" for k, v in _fields(record).items())
        text = f"{record.name}: {record.getMessage()}{' ' if fields else ''}{fields}".translate(_CONTROL)
        line = f"{_time(record).astimezone():%H:%M:%S} {record.levelname:<7} {text}"
        return f"{line}\n{_exception(record.exc_info[1])}" if record.exc_info else line


class _StderrHandler(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at the time, as a progress bar may stand in for it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:  # noqa: ANN401
        return sys.stderr

    @stream.setter
    def stream(self, value: object) -> None:
        pass


def _exception(error: BaseException | None) -> str:
    return "".join(_lines(error, MAX_CHAIN)).rstrip() if error is not None else ""


def _lines(error: BaseException, depth: int) -> Iterator[str]:
    """Where and of what kind, oldest cause first. Of the text nothing: a library's may quote speech, a name or a token."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth:
        yield from _lines(cause, depth - 1)
        yield "and then\n"
    yield from traceback.format_tb(error.__traceback__)
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    yield f"{type(error).__module__}.{type(error).__qualname__}{f' ({code})' if isinstance(code, int | str) else ''}\n"
    if isinstance(error, BaseExceptionGroup) and depth:
        for member in error.exceptions:
            yield from (f"  | {line}" for text in _lines(member, depth - 1) for line in text.splitlines(keepends=True))


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What came as `extra`, without what may hold speech; first the session, which lines are looked up by."""
    given = {k: v for k, v in vars(record).items() if k not in _STANDARD and not k.startswith(DROPPED_PREFIX)}
    first = {"session_id": given.pop("session_id")} if "session_id" in given else {}
    return {k: _plain(v) for k, v in (first | given).items()}


def _plain(value: object) -> Any:  # noqa: ANN401 (a JSON value)
    """Numbers and texts as they are; of anything else its kind only, because its `repr` may hold anything."""
    match value:
        case Enum():
            return _plain(value.value)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple() | set() | frozenset():
            return [_plain(v) for v in value]
        case dict():
            return {str(k): _plain(v) for k, v in value.items() if not str(k).startswith(DROPPED_PREFIX)}
        case _:
            return f"<{type(value).__name__}>"
