"""One database: engine, pragmas, transactions, errors."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Table, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from bot.storage.errors import translated
from moderation.errors import SettingsError, StorageError

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
"""Scheme of `DATABASE_URL` → SQLAlchemy's name of the driver."""

BUSY_SECONDS = 5.0
"""How long a SQLite writer waits for another."""
CONNECT_SECONDS = 5
"""How long a PostgreSQL server may take to answer a new connection."""
POOL_SECONDS = 10.0
"""How long a caller waits for a connection."""

Insert = postgresql.Insert | sqlite.Insert


class Database:
    """An open database. Make it with `open`; every method may raise `StorageError`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(immediate=True)
        self.where = location(engine.url)
        """What it is called in messages: a path, or host and name."""
        self.observe: Callable[[str, float], None] = lambda operation, seconds: None
        """Is told `read` or `write` and the seconds of every transaction."""

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, and make the folder of a SQLite file.

        Args:
            url: `sqlite:///file.db`, `sqlite:///:memory:` or `postgresql://user:password@host/name`.

        Raises:
            SettingsError: the URL is none, or of another kind of database.
            StorageError: the database cannot be used; says why, and what to do.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite" and not _in_memory(parsed):
            await asyncio.to_thread(_make_folder, Path(str(parsed.database)))
        database = cls(_engine(parsed))
        try:
            await database.ping()
        except BaseException:
            await database.aclose()
            raise
        return database

    @property
    def is_postgres(self) -> bool:
        """Whether it is PostgreSQL; otherwise it is SQLite."""
        return self._engine.dialect.name == "postgresql"

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads."""
        with self._timed("read"), translated(self.where):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes: committed at the end, undone when an exception passes through."""
        with self._timed("write"), translated(self.where):
            async with self._writing.begin() as connection:
                yield connection

    def insert(self, table: Table) -> Insert:
        """`INSERT` that knows `ON CONFLICT`."""
        return postgresql.insert(table) if self.is_postgres else sqlite.insert(table)

    def upsert(self, table: Table, values: dict[str, Any]) -> Insert:
        """Insert a row, or bring the row with the same primary key up to date."""
        statement = self.insert(table).values(values)
        keys = [c.name for c in table.primary_key]
        return statement.on_conflict_do_update(index_elements=keys, set_={n: statement.excluded[n] for n in values if n not in keys})

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(operation, time.perf_counter() - started)

    async def ping(self) -> None:
        """Ask the database something."""
        async with self.read() as connection:
            await connection.execute(text("SELECT count(*) FROM sqlite_master" if not self.is_postgres else "SELECT 1"))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


def parse_url(url: str) -> URL:
    """The URL with the driver that Earshot uses. Raises `SettingsError`; never quotes the URL, which may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(["DATABASE_URL: it is not a URL; set something like sqlite:///data/earshot.db"]) from None
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise SettingsError(["DATABASE_URL: its scheme is neither sqlite nor postgresql; use one of them"])
    if driver.startswith("sqlite") and parsed.host:
        raise SettingsError(["DATABASE_URL: a SQLite URL has three slashes before a relative path and four before an absolute one"])
    return parsed.set(drivername=driver)


def location(url: URL) -> str:
    """The database without user and password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return f"{url.database or url.username} at {url.host or 'the local socket'}{f':{url.port}' if url.port else ''}"


def _in_memory(url: URL) -> bool:
    return url.database in {None, "", ":memory:"}


def file_to_make(url: str) -> Path | None:
    """The SQLite file that opening this URL would make; None when it is there, or none is needed. Nothing is made here.

    Raises `SettingsError`, and `StorageError` when it could not be made.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or _in_memory(parsed):
        return None
    path = Path(str(parsed.database))
    if path.exists():
        return None
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise _unusable(path.parent, "no folder" if not parent.is_dir() else "Permission denied")
    return path


def _unusable(folder: Path, why: str | None) -> StorageError:
    advice = "Make it a folder that this user may write, or set EARSHOT_DATA_DIR or DATABASE_URL elsewhere"
    return StorageError(f"The folder {folder} of the database cannot be used ({why}). {advice}.")


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_dir():
            raise StorageError(f"The database {path} is a folder. Name a file in it.")
    except OSError as error:
        raise _unusable(path.parent, error.strerror) from error


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        options: dict[str, Any] = {"poolclass": StaticPool} if _in_memory(url) else {"pool_timeout": POOL_SECONDS}
        engine = create_async_engine(url, hide_parameters=True, **options)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    try:
        arguments = {"connect_timeout": CONNECT_SECONDS, "application_name": "earshot"}
        return create_async_engine(url, hide_parameters=True, pool_pre_ping=True, pool_timeout=POOL_SECONDS, connect_args=arguments)
    except ImportError:
        advice = "run `.venv/bin/pip install '.[postgres]'` in Earshot's folder, or `make run`, which brings it"
        raise SettingsError([f"DATABASE_URL: PostgreSQL needs a driver that is not installed; {advice}"]) from None


def _prepare_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401 (the driver's)
    """WAL lets readers read while one writes; transactions are begun by `_begin_sqlite`, not by the driver (SQLAlchemy: pysqlite)."""
    connection.isolation_level = None
    cursor = connection.cursor()
    pragmas = (f"busy_timeout={int(BUSY_SECONDS * 1000)}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON")
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Who is going to write asks for the lock at once: a reader that turns writer may be refused without any waiting."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
