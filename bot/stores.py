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
from bot.storage.database import Database
from bot.storage.guilds import SqlGuildStore
from bot.storage.migrate import upgrade
from bot.storage.notices import SqlNoticeMentions
from bot.storage.outbox import SqlOutbox
from bot.storage.sessions import SqlSessionStore
from bot.storage.tables import webhook_outbox
from bot.writing import RecordWriter
from config.settings import Settings
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
        webhooks = SqlOutbox(database, shards, webhook_outbox)
        recorder = Recorder(RecordWriter(rows, alerts, {Lane.CARD: outbox, Lane.WEBHOOK: webhooks}), journal)
        await recorder.recover()
        await rows.close_stale(datetime.now(UTC), shards)
        mentions = SqlNoticeMentions(database)
        yield Stores(database, guilds, alerts, rows, outbox, webhooks, RememberedSettings(guilds), recorder, mentions)
    finally:
        await database.aclose()
