"""Opening databases, and what is said when that fails."""

import asyncio
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from bot.storage.database import Database, location, parse_url
from bot.storage.guilds import SqlGuildStore
from bot.storage.migrate import upgrade
from moderation.errors import SettingsError, StorageError
from moderation.settings import GuildSettings
from tests.bot.storage.conftest import SERVER

PASSWORD = "s3cret"
ROOT = Path(__file__).parents[3]

integration, external, unit = pytest.mark.integration, pytest.mark.external, pytest.mark.unit


async def refused(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        await Database.open(url)
    assert PASSWORD not in str(caught.value)
    assert str(caught.value).endswith(").")
    return caught.value


# URLs.


@unit
@pytest.mark.parametrize(
    ("url", "opened"),
    [
        ("sqlite:///data/earshot.db", "sqlite+aiosqlite:///data/earshot.db"),
        ("sqlite+aiosqlite:////abs/e.db", "sqlite+aiosqlite:////abs/e.db"),
        ("postgres://u@h/n", "postgresql+psycopg://u@h/n"),
        ("postgresql://u:p@h:1/n?sslmode=require", "postgresql+psycopg://u:p@h:1/n?sslmode=require"),
    ],
)
def test_urls_get_the_driver_that_is_there(url: str, opened: str) -> None:
    assert parse_url(url).render_as_string(hide_password=False) == opened


@unit
@pytest.mark.parametrize(
    "url", ["", "earshot.db", f"mysql://u:{PASSWORD}@h/n", f"postgresql+asyncpg://u:{PASSWORD}@h/n", "sqlite://data/e.db"]
)
def test_other_urls_are_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: .*; |three slashes") as caught:
        parse_url(url)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


@unit
def test_the_location_has_no_password() -> None:
    assert location(parse_url(f"postgresql://u:{PASSWORD}@h:5/n")) == "n at h:5"
    assert location(parse_url("sqlite:///a/b.db")) == "a/b.db"


@unit
def test_importing_the_package_loads_no_sqlalchemy() -> None:
    code = "import bot.storage, sys; sys.exit(any(m.split('.')[0] in ('sqlalchemy', 'alembic') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0  # noqa: S603


# Both.


async def test_it_answers_and_closes_twice(url: str) -> None:
    database = await Database.open(url)
    await database.ping()
    await database.aclose()
    await database.aclose()


async def test_tables_that_are_missing_are_a_clear_error(url: str) -> None:
    database = await Database.open(url)
    with pytest.raises(StorageError, match="other tables"):
        await SqlGuildStore(database).settings(1)
    await database.aclose()


# SQLite.


@integration
async def test_sqlite_is_set_up_for_many_readers_and_one_writer(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    async with database.read() as connection:
        found = [(await connection.execute(text(f"PRAGMA {p}"))).scalar() for p in ("journal_mode", "busy_timeout", "foreign_keys")]
    assert found == ["wal", 5000, 1]
    await database.aclose()


@integration
async def test_a_memory_database_is_one_for_all_connections() -> None:
    database = await Database.open("sqlite:///:memory:")
    await upgrade(database)
    await SqlGuildStore(database).save_settings(GuildSettings(1, 2))
    assert (await SqlGuildStore(database).settings(1)).alert_channel_id == 2
    await database.aclose()


@integration
async def test_a_new_folder_is_for_the_owner_only(sqlite_url: str, tmp_path: Path) -> None:
    await (await Database.open(sqlite_url)).aclose()
    assert stat.S_IMODE((tmp_path / "deep" / "folder").stat().st_mode) == stat.S_IRWXU


@integration
async def test_readers_do_not_wait_for_a_writer(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    await upgrade(database)
    guilds = SqlGuildStore(database)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO lexicon_terms VALUES (1, 'a', 'word', 'c', 1)"))
        assert await guilds.terms(1) == []
    assert len(await guilds.terms(1)) == 1
    await database.aclose()


@integration
async def test_locked_is_retryable(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.storage.database.BUSY_SECONDS", 0.02)
    database = await Database.open(sqlite_url)
    await upgrade(database)
    other = sqlite3.connect(database.where, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="is locked") as caught:
        await SqlGuildStore(database).save_settings(GuildSettings(1))
    assert caught.value.retryable
    other.execute("ROLLBACK")
    other.close()
    await SqlGuildStore(database).save_settings(GuildSettings(1))
    await database.aclose()


@integration
async def test_a_full_disk_is_retryable(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    await upgrade(database)

    async def fill() -> None:
        async with database.write() as connection:
            await connection.execute(text("PRAGMA max_page_count=1"))
            await connection.execute(text("INSERT INTO lexicon_terms SELECT 1, hex(randomblob(100000)), 'word', 'c', 1"))

    with pytest.raises(StorageError, match="no room left") as caught:
        await fill()
    assert caught.value.retryable
    await database.aclose()


@integration
async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    path.write_bytes(b"this is a text file, and not a short one" * 100)
    error = await refused(f"sqlite:///{path}")
    assert str(error).startswith(f"The database {path} is not one, or is damaged. Restore it")
    assert not error.retryable


def damage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + os.urandom(4000) + data[4100:])


@integration
async def test_a_database_that_was_damaged_is_named(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    await upgrade(database)
    await database.aclose()
    damage(Path(database.where))
    assert "damaged" in str(await refused(sqlite_url))


@integration
async def test_a_folder_where_the_file_should_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"is a folder\. Name a file in it\."):
        await Database.open(f"sqlite:///{tmp_path}")


@integration
async def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"The folder .*/file of the database cannot be used .* set EARSHOT_DATA_DIR"):
        await Database.open(f"sqlite:///{tmp_path}/file/e.db")


OPEN = """
import asyncio, concurrent.futures.thread, os, sys
from bot.storage.database import Database
from bot.storage.migrate import upgrade
from moderation.errors import StorageError
async def main(url):
    try:
        database = await Database.open(url)
    except StorageError as error:
        return print(error)
    try:
        await upgrade(database)
    except StorageError as error:
        print(error)
    await database.aclose()
asyncio.run(main("sqlite:///:memory:"))  # loads every module: the user below may not be allowed to read them
if os.geteuid() == 0:
    os.setuid(65534)
asyncio.run(main(sys.argv[1]))
"""


def open_as_nobody(url: str) -> str:
    """In a process of its own, as a user whom file rights bind: they do not bind root."""
    done = subprocess.run([sys.executable, "-c", OPEN, url], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users may look into, with a database in it."""
    path = Path(tempfile.mkdtemp())
    sqlite3.connect(path / "e.db").execute("CREATE TABLE a (b)").connection.close()
    path.chmod(0o755)
    yield path
    path.chmod(0o700)
    shutil.rmtree(path)


@integration
def test_a_read_only_folder_is_named(folder: Path) -> None:
    folder.chmod(0o555)
    said = open_as_nobody(f"sqlite:///{folder}/new.db")
    assert said.startswith(f"The database {folder}/new.db cannot be opened. See that the folder exists, is readable and writable")
    assert "cannot be used (Permission denied)" in open_as_nobody(f"sqlite:///{folder}/deeper/new.db")


@integration
def test_a_read_only_file_is_named(folder: Path) -> None:
    (folder / "e.db").chmod(0o444)
    assert "e.db may not be written. Give this user the right" in open_as_nobody(f"sqlite:///{folder}/e.db")


@integration
def test_an_unreadable_folder_is_named(folder: Path) -> None:
    folder.chmod(0o000)
    assert "(Permission denied)" in open_as_nobody(f"sqlite:///{folder}/e.db")


# PostgreSQL.


@integration
async def test_a_server_that_is_away_is_retryable(unused_tcp_port: int) -> None:
    error = await refused(f"postgresql://u:{PASSWORD}@127.0.0.1:{unused_tcp_port}/n")
    assert error.retryable
    assert str(error).startswith(f"The database n at 127.0.0.1:{unused_tcp_port} cannot be reached")


@integration
async def test_a_server_that_never_answers_is_retryable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.storage.database.CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert (await refused(f"postgresql://u:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/n")).retryable


@external
async def test_a_database_that_is_not_there_is_named(postgres_user: str) -> None:
    error = await refused(f"postgresql://{postgres_user}:{PASSWORD}@127.0.0.1:5432/not_there")
    assert "not_there at 127.0.0.1:5432 does not exist on the server. Create it" in str(error)
    assert not error.retryable


@external
async def test_a_user_that_is_not_there_is_refused(postgres_url: str) -> None:
    error = await refused(postgres_url.replace("//root@", "//nobody_known@").replace("//postgres@", "//nobody_known@"))
    assert "refuses the user or the password. Correct DATABASE_URL" in str(error)


@external
async def test_a_connection_that_the_server_ended_is_replaced(postgres_url: str, postgres_user: str) -> None:
    database = await Database.open(postgres_url)
    await upgrade(database)
    name = postgres_url.rsplit("/", 1)[1]

    def end_all() -> None:
        with psycopg.connect(f"{SERVER} user={postgres_user} dbname=postgres", autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    async def write() -> None:
        async with database.write() as connection:
            await asyncio.to_thread(end_all)
            await connection.execute(text("SELECT 1"))

    with pytest.raises(StorageError, match="connection was lost") as caught:
        await write()
    assert caught.value.retryable
    await asyncio.to_thread(end_all)
    await SqlGuildStore(database).save_settings(GuildSettings(1))
    await database.aclose()


@external
async def test_a_user_without_rights_is_told_what_to_grant(postgres_url: str, postgres_user: str) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    role = f"reader_{name}"
    with psycopg.connect(f"{SERVER} user={postgres_user} dbname=postgres", autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN".encode())
        try:
            database = await Database.open(f"postgresql://{role}@127.0.0.1:5432/{name}")
            with pytest.raises(StorageError, match="Grant the user all rights"):
                await upgrade(database)
            await database.aclose()
        finally:
            admin.execute(f"DROP ROLE {role}".encode())
