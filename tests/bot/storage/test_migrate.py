"""Migrations: from nothing to what the tables say, twice, by many, and not backwards."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from bot.storage.database import Database
from bot.storage.migrate import MIGRATIONS, upgrade
from bot.storage.tables import metadata
from moderation.errors import StorageError

ROOT = Path(__file__).parents[3]


def differences(connection: Connection) -> list[object]:
    options = {"target_metadata": metadata, "compare_type": True, "compare_server_default": True}
    found: list[object] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return found


async def test_the_migrated_schema_is_what_the_tables_say(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_comparison_would_notice(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE alerts DROP COLUMN grouped_dropped"))
        await connection.execute(text("DROP INDEX ix_segments_speaker_id"))
    async with database.read() as connection:
        assert len(await connection.run_sync(differences)) == 2


async def test_upgrading_again_changes_nothing(url: str) -> None:
    database = await Database.open(url)
    first = await upgrade(database)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO lexicon_terms VALUES (1, 'a', 'word', 'c', 1)"))
    assert await upgrade(database) == first == newest()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM lexicon_terms"))).scalar() == 1
    await database.aclose()


async def test_several_that_start_at_once_upgrade_once(url: str) -> None:
    databases = [await Database.open(url) for _ in range(4)]
    assert await asyncio.gather(*map(upgrade, databases)) == [newest()] * 4
    async with databases[0].read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM alembic_version"))).scalar() == 1
    for database in databases:
        await database.aclose()


UPGRADE = """
import asyncio, sys
from bot.storage.database import Database
from bot.storage.migrate import upgrade
async def main():
    database = await Database.open(sys.argv[1])
    print(await upgrade(database))
    await database.aclose()
asyncio.run(main())
"""


async def test_several_processes_that_start_at_once_upgrade_once(url: str) -> None:
    async def one() -> tuple[int | None, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", UPGRADE, url, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        return process.returncode, out.strip(), err

    assert await asyncio.gather(*(one() for _ in range(3))) == [(0, newest().encode(), b"")] * 3


async def test_a_migration_that_fails_changes_nothing(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "v1.py").write_text(
        "import sqlalchemy as sa\nrevision, down_revision = '1', None\n"
        "def upgrade(op):\n    op.create_table('half', sa.Column('id', sa.Integer()))\n    op.execute('NONSENSE')\n"
    )
    monkeypatch.setattr("bot.storage.migrate.MIGRATIONS", versions.parent)
    database = await Database.open(url)
    with pytest.raises(StorageError):
        await upgrade(database)
    monkeypatch.setattr("bot.storage.migrate.MIGRATIONS", MIGRATIONS)
    assert await upgrade(database) == newest()
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    await database.aclose()


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match=r"newer version .* Install that one") as caught:
        await upgrade(database)
    assert not caught.value.retryable


@pytest.mark.unit
def test_every_folder_of_migrations_is_a_package_so_that_it_is_installed() -> None:
    folders = {path.parent for path in MIGRATIONS.rglob("*.py")}
    assert MIGRATIONS / "versions" in folders
    assert all((folder / "__init__.py").is_file() for folder in folders)


def newest() -> str:
    return max(p.stem for p in (MIGRATIONS / "versions").glob("v*.py")).removeprefix("v").split("_")[0]
