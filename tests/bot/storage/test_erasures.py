"""Deletions that other processes have still to carry out: who is asked, what nobody writes meanwhile, and what a restart does first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from bot.journal import Journal
from bot.records import AlertSettled, AlertWaiting, Entry, Lane, Outcome, Record, encode
from bot.storage.alerts import SqlAlertStore
from bot.storage.consent import SqlConsentStore
from bot.storage.database import Database
from bot.storage.erasures import KEEP, SqlErasures
from bot.storage.notices import SqlNoticeMentions
from bot.storage.outbox import SqlOutbox
from bot.storage.redactions import SqlRedactions
from bot.storage.retention import SqlRetention
from bot.storage.sessions import SqlSessionStore
from bot.storage.tables import alert_segments, alerts, consents, coverage, flags, metadata, notice_mentions, outbox, segments
from bot.stores import open_stores
from bot.writing import RecordWriter
from config.settings import Settings
from moderation.consent import Choice
from moderation.errors import StorageError
from moderation.events import SegmentTranscribed, SessionEnded
from moderation.forgetting import Erasure, ForgetRows, Forgetting
from moderation.models import Coverage, Session, Speaker, Verdict
from moderation.shards import ALL_SHARDS, SHARD_SHIFT, Shards
from tests.bot.storage.values import ADA, BEN, NOON, alert, segment, session, verdict

FIRST, SECOND = Shards((0,), 2), Shards((1,), 2)
HERE, THERE = 10 << SHARD_SHIFT, 11 << SHARD_SHIFT
"""A server of each."""
ASKED = Erasure(ADA, NOON + timedelta(seconds=1))


def at(guild_id: int) -> Session:
    return session(f"s{guild_id}", guild_id)


def said(guild_id: int, user_id: int, n: int = 0) -> SegmentTranscribed:
    of = at(guild_id)
    return SegmentTranscribed(of, Speaker(user_id), segment(user_id, n, session_id=of.id), Verdict())


def card(about: int, message_id: int | None, *, around: int | None = None, lane: Lane = Lane.CARD) -> AlertSettled:
    of = at(THERE)
    context = [] if around is None else [segment(around, 5, session_id=of.id)]
    raised = alert(of, segment(about, message_id or 0, session_id=of.id), context=context)
    return AlertSettled(raised, message_id, Outcome.DELIVERED, lane)


WAITED: tuple[Record, ...] = (
    said(THERE, ADA),
    said(THERE, BEN),
    SessionEnded(at(THERE), tuple(Coverage(Speaker(u), 1.0, 1.0) for u in (ADA, BEN)), "stopped"),
    AlertWaiting(alert(at(THERE), segment(ADA, 9, session_id=at(THERE).id)), NOON),
    card(ADA, 7),
    card(BEN, 8, around=ADA),
    card(ADA, None),
    card(ADA, 1, lane=Lane.WEBHOOK),
)
"""What a process had not written yet when somebody asked another one to forget Ada."""


def writer_of(database: Database, shards: Shards, now: datetime = NOON) -> RecordWriter:
    lanes = {Lane.CARD: SqlOutbox(database), Lane.WEBHOOK: SqlOutbox(database)}
    rows, cards, erasures = SqlSessionStore(database), SqlAlertStore(database), SqlErasures(database, shards)
    return RecordWriter(rows, cards, lanes, redactions=SqlRedactions(database), erasures=erasures, now=lambda: now)


async def rows(database: Database, *, but: str = "") -> str:
    async with database.read() as connection:
        tables = [t for t in metadata.sorted_tables if t.name != but]
        return "\n".join([f"{t.name} {row}" for t in tables for row in await connection.execute(select(t))])


async def to_edit(database: Database) -> set[tuple[int, bool]]:
    return {(each.message_id, each.whole) for each in await SqlRedactions(database).pending(9)}


async def test_every_process_is_asked_and_its_row_goes_when_it_is_done(database: Database) -> None:
    first, second, alone = SqlErasures(database, FIRST), SqlErasures(database, SECOND), SqlErasures(database, ALL_SHARDS)
    await first.request(ASKED)
    assert await first.ours() == await second.ours() == await alone.ours() == [ASKED], "who is alone answers for all there were"
    assert await SqlErasures(database, Shards((0,), 4)).ours() == []
    await first.done(ASKED)
    assert (await first.waiting(ADA), await second.waiting(ADA), await first.waiting(BEN)) == (1, 0, 0)
    again = replace(ASKED, requested_at=NOON + timedelta(seconds=2))
    await first.request(again)
    await second.done(ASKED)
    assert await second.ours() == [again], "what it did was not what is asked for now"
    for each in (first, second):
        assert str(ADA) in await rows(database)
        await each.done(again)
    assert str(ADA) not in await rows(database)
    await second.request(again)
    await alone.done(again)
    assert str(ADA) not in await rows(database)


async def test_a_row_that_nobody_answers_goes_in_the_end(database: Database) -> None:
    erasures, retention = SqlErasures(database, FIRST), SqlRetention(database)
    await erasures.request(ASKED)
    await retention.sweep(ASKED.requested_at + KEEP, 30)
    assert await erasures.ours() == [ASKED]
    await retention.sweep(ASKED.requested_at + KEEP + timedelta(seconds=1), 30)
    assert str(ADA) not in await rows(database)


async def test_what_came_about_before_is_written_by_nobody_and_no_card_is_lost(database: Database) -> None:
    await SqlErasures(database, FIRST).request(ASKED)
    writer = writer_of(database, SECOND)
    for record in WAITED:
        await writer.write(Entry(ASKED.requested_at, record))
    assert str(ADA) not in await rows(database, but="erasures")
    assert await to_edit(database) == {(7, True), (8, False)}
    assert str(BEN) in await rows(database)
    assert writer.refused == len(WAITED) - 1
    await writer.write(Entry(ASKED.requested_at + timedelta(microseconds=1), said(THERE, ADA, 1)))
    assert str(ADA) in await rows(database, but="erasures"), "what they say afterwards is kept"


async def test_what_is_older_than_anybody_remembers_deletions_is_not_written(database: Database) -> None:
    writer = writer_of(database, SECOND, NOON + KEEP + timedelta(seconds=1))
    await writer.write(Entry(NOON, said(THERE, ADA)))
    assert str(ADA) not in await rows(database)
    await writer_of(database, ALL_SHARDS, NOON + 2 * KEEP).write(Entry(NOON, said(THERE, ADA)))
    assert str(ADA) in await rows(database), "a process that is alone knows of every deletion"


async def fill(database: Database, guild_id: int) -> None:
    """Something about Ada in every table that may have it."""
    of = at(guild_id)
    own, others = segment(ADA, 0, session_id=of.id), segment(BEN, 1, session_id=of.id)
    stored, cards = SqlSessionStore(database), SqlAlertStore(database)
    await stored.add_segment(of, own, verdict())
    await stored.end_session(of, NOON, "stopped", [Coverage(Speaker(ADA), 1.0, 1.0)])
    await cards.save_alert(alert(of, own), guild_id)
    await cards.save_alert(alert(of, others, context=[own]), guild_id + 1)
    await SqlOutbox(database).put(AlertWaiting(alert(of, segment(ADA, 2, session_id=of.id)), NOON, message_id=guild_id + 2))
    await SqlNoticeMentions(database).name(guild_id, guild_id + 3, {ADA}, NOON)
    await SqlConsentStore(database).save_choice(Choice(guild_id, ADA, heard=True, chosen_at=NOON))


async def test_the_other_processes_servers_are_left_alone(database: Database) -> None:
    for guild_id in (HERE, THERE):
        await fill(database, guild_id)
    erasures = SqlErasures(database, SECOND)
    places: dict[str, ForgetRows] = {
        "posted cards": SqlRedactions(database).forget,
        "the outbox": SqlOutbox(database).forget,
        "posted notices": SqlNoticeMentions(database).forget,
        "alerts": SqlAlertStore(database).forget,
        "transcripts": SqlSessionStore(database).forget,
        "consent": SqlConsentStore(database).forget,
    }
    await SqlErasures(database, FIRST).request(ASKED)
    assert await Forgetting({}, places, erasures, shards=SECOND).catch_up()
    async with database.read() as connection:
        for table in (segments, flags, coverage, alerts, alert_segments, outbox, notice_mentions, consents):
            owner = table.c.user_id if "user_id" in table.c else table.c.speaker_id
            guilds = set((await connection.execute(select(table.c.guild_id).where(owner == ADA))).scalars())
            assert guilds == {HERE}, table.name
    assert await to_edit(database) == {(THERE, True), (THERE + 1, False), (THERE + 2, True), (THERE + 3, True)}
    assert await erasures.ours() == []


@asynccontextmanager
async def left_by_a_crash(url: str, folder: Path, shards: Shards) -> AsyncIterator[Database]:
    """A journal that was not replayed, rows that were written at the last moment, and a request that came afterwards."""
    database = await Database.open(url)
    settings = Settings(earshot_data_dir=folder, database_url=SecretStr(url))
    async with open_stores(settings, shards):
        pass
    Journal(folder / "journal.jsonl").append([encode(Entry(NOON, record)) for record in WAITED])
    await fill(database, THERE)
    await SqlErasures(database, FIRST if shards is SECOND else shards).request(ASKED)
    yield database
    await database.aclose()


@pytest.mark.parametrize("shards", [SECOND, ALL_SHARDS], ids=["one of two", "alone"])
async def test_a_restart_erases_before_it_replays_or_takes_anything_up(url: str, tmp_path: Path, shards: Shards) -> None:
    async with left_by_a_crash(url, tmp_path / "data", shards) as database:
        settings = Settings(earshot_data_dir=tmp_path / "data", database_url=SecretStr(url))
        async with open_stores(settings, shards) as stores:
            assert str(ADA) not in await rows(database, but="erasures")
            assert str(BEN) in await rows(database), "what others said is replayed"
            assert await stores.outbox.pending(9) == []
            assert await stores.erasures.ours() == []
            assert not (tmp_path / "data" / "journal.jsonl").exists()
        assert {(7, True), (8, False), (THERE, True), (THERE + 1, False), (THERE + 2, True)} <= await to_edit(database)
        if shards is ALL_SHARDS:
            assert str(ADA) not in await rows(database)


async def test_a_restart_that_cannot_erase_replays_nothing_and_says_what_to_do(url: str, tmp_path: Path) -> None:
    async with left_by_a_crash(url, tmp_path / "data", ALL_SHARDS) as database:
        settings = Settings(earshot_data_dir=tmp_path / "data", database_url=SecretStr(url))
        async with database.write() as connection:
            await connection.execute(text("ALTER TABLE notice_mentions RENAME TO away"))
        with pytest.raises(StorageError, match="then start again"):
            await open_stores(settings).__aenter__()
        async with database.write() as connection:
            found = (await connection.execute(select(segments.c.id).where(segments.c.speaker_id == BEN))).all()
            assert found == [], "the journal was not replayed"
            await connection.execute(text("ALTER TABLE away RENAME TO notice_mentions"))
        async with open_stores(settings):
            assert str(ADA) not in await rows(database)
        assert {(7, True), (THERE, True), (THERE + 1, False), (THERE + 3, True)} <= await to_edit(database), "no card is lost over it"
