"""Everything that keeps rows, opened together: the database, its stores, and the recorder whose journal outlives them being away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.folder import only_process_in
from bot.journal import Journal
from bot.recorder import Recorder
from bot.records import Lane
from bot.remembered import RememberedSettings
from bot.storage.alerts import SqlAlertStore
from bot.storage.consent import SqlConsentStore
from bot.storage.database import Database
from bot.storage.erasures import SqlErasures
from bot.storage.guilds import SqlGuildStore
from bot.storage.migrate import upgrade
from bot.storage.notices import SqlNoticeMentions
from bot.storage.outbox import SqlOutbox
from bot.storage.redactions import SqlRedactions
from bot.storage.sessions import SqlSessionStore
from bot.storage.tables import webhook_outbox
from bot.writing import RecordWriter
from config.settings import Settings
from moderation.errors import StorageError
from moderation.forgetting import ForgetRows, Forgetting
from moderation.shards import ALL_SHARDS, Shards


@dataclass(frozen=True, slots=True)
class Stores:
    """The bot's own rows."""

    database: Database
    guilds: SqlGuildStore
    alerts: SqlAlertStore
    rows: SqlSessionStore
    outbox: SqlOutbox
    webhooks: SqlOutbox
    remembered: RememberedSettings
    recorder: Recorder
    mentions: SqlNoticeMentions
    erasures: SqlErasures
    redactions: SqlRedactions

    def places(self) -> dict[str, ForgetRows]:
        """Rows about members, in the order in which they must be deleted."""
        return {
            "the outbox": self.outbox.forget,
            "the webhooks' outbox": self.webhooks.forget,
            "posted notices": self.mentions.forget,
            "alerts": self.alerts.forget,
            "transcripts": self.rows.forget,
        }


@asynccontextmanager
async def open_stores(settings: Settings, shards: Shards = ALL_SHARDS) -> AsyncIterator[Stores]:
    """Connect, migrate, and write down what the last process left in its journal. Raises `StorageError`, saying what to do.

    `shards`: whose servers' rows this process reads and ends; those of others it leaves alone.
    """
    with only_process_in(settings.earshot_data_dir):
        async with _open(settings, shards) as stores:
            yield stores


@asynccontextmanager
async def _open(settings: Settings, shards: Shards) -> AsyncIterator[Stores]:
    database = await Database.open(settings.database_url.get_secret_value())
    try:
        await upgrade(database)
        guilds, alerts, rows = SqlGuildStore(database), SqlAlertStore(database), SqlSessionStore(database)
        outbox = SqlOutbox(database, shards)
        journal = await asyncio.to_thread(Journal, settings.earshot_data_dir / "journal.jsonl")
        webhooks, mentions = SqlOutbox(database, shards, webhook_outbox), SqlNoticeMentions(database)
        erasures, redactions = SqlErasures(database, shards), SqlRedactions(database, shards)
        lanes = {Lane.CARD: outbox, Lane.WEBHOOK: webhooks}
        recorder = Recorder(RecordWriter(rows, alerts, lanes, redactions=redactions, erasures=erasures), journal)
        stores = Stores(
            database, guilds, alerts, rows, outbox, webhooks, RememberedSettings(guilds), recorder, mentions, erasures, redactions
        )
        await _erase(stores, shards)
        await recorder.recover()
        await rows.close_stale(datetime.now(UTC), shards)
        yield stores
    finally:
        await database.aclose()


async def _erase(stores: Stores, shards: Shards) -> None:
    """Do what was asked for while this process was away, or died over: before anything is replayed, read or shown.

    Raises `StorageError` when it cannot be done: what was to be deleted must not come back.
    """
    rows = {"posted cards": stores.redactions.forget, **stores.places(), "consent": SqlConsentStore(stores.database).forget}
    forgetting = Forgetting({"rows still queued": stores.recorder.forget}, rows, stores.erasures, shards=shards)
    while await stores.erasures.ours():
        if not await forgetting.catch_up():
            raise StorageError(
                "A member's data was to be deleted and could not be; the log says where. "
                "See to it that the database and the disk of EARSHOT_DATA_DIR can be written, then start again."
            )
