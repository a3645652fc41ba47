"""Databases for tests: SQLite files, and PostgreSQL databases of their own on the local server."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from bot.storage.database import Database
from bot.storage.migrate import upgrade

SERVER = "host=127.0.0.1 port=5432 connect_timeout=3"
USERS = ("root", "postgres")

BOTH = [pytest.param("sqlite_url", marks=pytest.mark.integration), pytest.param("postgres_url", marks=pytest.mark.external)]


@pytest.fixture(scope="session")
def postgres_user() -> str:
    """A user that may make databases. Without a server: skipped, except where CI promises one."""
    reasons = []
    for user in USERS:
        try:
            with psycopg.connect(f"{SERVER} user={user} dbname=postgres") as connection:
                connection.execute("SELECT 1")
            return user
        except psycopg.OperationalError as error:
            reasons.append(f"{user}: {str(error).splitlines()[0]}")
    reason = f"no PostgreSQL server at 127.0.0.1:5432 lets us in ({'; '.join(reasons)})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def postgres_url(postgres_user: str) -> Iterator[str]:
    """A new, empty database; dropped afterwards."""
    name = f"earshot_test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{SERVER} user={postgres_user} dbname=postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'".encode())
        yield f"postgresql://{postgres_user}@127.0.0.1:5432/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/folder/earshot.db"


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Open, with all tables, of each kind."""
    opened = await Database.open(url)
    await upgrade(opened)
    yield opened
    await opened.aclose()
