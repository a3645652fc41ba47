"""SQLAlchemy's and the drivers' errors as `StorageError`. Drivers quote rows in their messages, so these go no further."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from moderation.errors import StorageError

_PRIMARY = 0xFF
"""SQLite's extended result codes keep the primary one in the lowest byte (sqlite.org/rescode.html)."""


@dataclass(frozen=True, slots=True)
class _Kind:
    what: str
    """Completes "The database … "."""
    retryable: bool = False


_BUSY = _Kind("is locked by another process that does not let go. It will be tried again; see what else uses it", retryable=True)
_FULL = _Kind("has no room left on its disk. Make room", retryable=True)
_AWAY = _Kind("cannot be reached or the connection was lost. See that the server runs and DATABASE_URL is right", retryable=True)
_BROKEN = _Kind("is not one, or is damaged. Restore it from a backup, or move it away to begin anew")
_READ_ONLY = _Kind("may not be written. Give this user the right to write the file and its folder, or set EARSHOT_DATA_DIR elsewhere")
_UNOPENABLE = _Kind("cannot be opened. See that the folder exists, is readable and writable for this user, and that the path names a file")
_FOREIGN = _Kind("has other tables than this version of Earshot needs. Restore it from a backup, or use a database of its own")
_REFUSED = _Kind("refuses the user or the password. Correct DATABASE_URL")
_FORBIDDEN = _Kind("does not let this user do what is needed. Grant the user all rights on the database and its schema `public`")
_UNKNOWN = _Kind("does not exist on the server. Create it, or correct DATABASE_URL")
_CROWDED = _Kind("takes no more connections for now", retryable=True)
_CONFLICT = _Kind("could not do it because of another change at the same time", retryable=True)
_UNFIT = _Kind("refused a value that does not fit its column")

_SQLITE = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _Kind("failed to read or write its disk. See the system's log", retryable=True),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _UNOPENABLE,
    sqlite3.SQLITE_CORRUPT: _BROKEN,
    sqlite3.SQLITE_NOTADB: _BROKEN,
    sqlite3.SQLITE_ERROR: _FOREIGN,
    sqlite3.SQLITE_CONSTRAINT: _UNFIT,
    sqlite3.SQLITE_TOOBIG: _UNFIT,
    sqlite3.SQLITE_MISMATCH: _UNFIT,
}

_POSTGRES = {
    "08": _AWAY,
    "22": _UNFIT,
    "23": _UNFIT,
    "25006": _READ_ONLY,
    "28": _REFUSED,
    "3D": _UNKNOWN,
    "40": _CONFLICT,
    "42501": _FORBIDDEN,
    "42": _FOREIGN,
    "3F": _FOREIGN,
    "53100": _FULL,
    "53": _CROWDED,
    "55P03": _BUSY,
    "57": _AWAY,
    "58": _Kind("failed to read or write its disk. See the server's log", retryable=True),
}
"""SQLSTATE, or its class (PostgreSQL documentation, appendix A)."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turns what the database raises into `StorageError`. `where`: the database as people know it, without password."""
    try:
        yield
    except PoolTimeout:
        raise StorageError(f"The database {where} is too busy: all connections are in use.", retryable=True) from None
    except SQLAlchemyError as error:
        raise _translate(where, error) from None
    except (UnicodeError, OverflowError):
        raise StorageError(f"The database {where} {_UNFIT.what}.") from None
    except OSError as error:
        raise StorageError(f"The database {where} {_AWAY.what} ({type(error).__name__}).", retryable=True) from None


def _translate(where: str, error: SQLAlchemyError) -> StorageError:
    original = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(original, "sqlite_errorcode", None)
    if isinstance(code, int):
        kind, name = _SQLITE.get(code & _PRIMARY), getattr(original, "sqlite_errorname", str(code))
    elif (state := getattr(original, "sqlstate", None)) is not None:
        kind, name = _POSTGRES.get(state) or _POSTGRES.get(state[:2]), f"SQLSTATE {state}"
    else:
        kind, name = _without_code(error, original), type(original or error).__name__
    kind = kind or _Kind("did not do it")
    return StorageError(f"The database {where} {kind.what} ({name}).", retryable=kind.retryable)


def _without_code(error: SQLAlchemyError, original: BaseException | None) -> _Kind | None:
    """What the drivers raise themselves, without asking the database."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _AWAY
    name = type(original).__name__ if original is not None else ""
    if name in {"DataError", "OverflowError", "ValueError"} or isinstance(original, ValueError):
        return _UNFIT
    if name == "ConnectionTimeout":
        return _AWAY
    if name == "OperationalError":
        text = str(original)
        if any(hint in text for hint in ("password", "pg_hba.conf", "role ")):
            return _REFUSED
        return _UNKNOWN if "does not exist" in text else _AWAY
    return None
