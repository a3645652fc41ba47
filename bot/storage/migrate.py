"""Bringing the tables to what this version needs.

Migrations are the files in `migrations/versions`, named `v<number>_<what>.py`, never edited once released. `upgrade(op)` takes Alembic's
operations as an argument. A new one comes with the change in `tables.py`; a test compares both on both databases.
"""

from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from bot.storage.database import Database
from moderation.errors import StorageError

MIGRATIONS = Path(__file__).parent / "migrations"

LOCK = int.from_bytes(b"earshot", "big")
"""Key of the PostgreSQL advisory lock that one upgrading process holds."""


async def upgrade(database: Database) -> str:
    """Run the migrations that are missing, in one transaction; the revision the database is at then.

    May be called at every start, by several processes at once: the first works, the others wait and find it done.

    Raises:
        StorageError: the database was made by a newer version, or cannot be changed.
    """
    async with database.write() as connection:
        if database.is_postgres:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        try:
            return await connection.run_sync(_upgrade)
        except CommandError:
            raise StorageError(
                f"The database {database.where} was used by another, newer version of Earshot. Install that one, or restore a backup."
            ) from None


def _upgrade(connection: Connection) -> str:
    script = ScriptDirectory(str(MIGRATIONS))

    def missing(revision: Any, context: MigrationContext) -> Any:  # noqa: ANN401 (Alembic's)
        return script._upgrade_revs("head", revision)

    context = MigrationContext.configure(connection, opts={"fn": missing})
    context.run_migrations(op=Operations(context))
    return str(context.get_current_revision())
