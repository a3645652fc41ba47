"""Rows while the database is locked, away or full: journalled, replayed in order, bounded. On SQLite and PostgreSQL."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

import bot.committing
import bot.recorder
from bot.journal import Journal
from bot.recorder import Recorder
from bot.records import AlertSettled, AlertWaiting, Entry, Lane, Outcome, Record, decode, encode
from bot.storage.alerts import SqlAlertStore
from bot.storage.database import Database
from bot.storage.erasures import SqlErasures
from bot.storage.outbox import PENDING, UNDELIVERABLE, SqlOutbox
from bot.storage.redactions import SqlRedactions
from bot.storage.sessions import SqlSessionStore
from bot.writing import RecordWriter
from moderation.errors import StorageError
from moderation.events import SegmentFlagged, SegmentTranscribed, SessionEnded, SessionMoved, SessionStarted
from moderation.models import Coverage, Speaker, Verdict
from tests.bot.storage.conftest import SERVER
from tests.bot.storage.values import ADA, BEN, GUILD, NOON, alert, segment, session, verdict

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.committing, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(bot.recorder, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(bot.recorder, "LONGEST_PAUSE", 0.1)


def recorder_of(database: Database, folder: Path, **options: int) -> Recorder:
    lanes, redactions, erasures = {Lane.CARD: SqlOutbox(database)}, SqlRedactions(database), SqlErasures(database)
    writer = RecordWriter(SqlSessionStore(database), SqlAlertStore(database), lanes, redactions=redactions, erasures=erasures)
    return Recorder(writer, Journal(folder / "journal.jsonl", **options), lambda: NOON)


@asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    try:
        yield
    finally:
        recorder.close()
        await asyncio.wait_for(task, 60)


async def until(predicate: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(60):
        while not predicate():  # noqa: ASYNC110 - the recorder has no event for it: nobody but tests would wait
            await asyncio.sleep(0.01)
    assert predicate(), what


def said(n: int, speaker: int = ADA) -> SegmentTranscribed:
    return SegmentTranscribed(session(), Speaker(speaker, "name"), segment(speaker, n, float(n)), Verdict())


async def texts(database: Database) -> list[int]:
    return [f.segment.utterance for f in await SqlSessionStore(database).segments(GUILD, "s1")]


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else holds what every write needs."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        other = sqlite3.connect(str(parsed.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
    else:
        with psycopg.connect(f"{SERVER} user={parsed.username} dbname={parsed.database}") as connection:
            connection.execute("LOCK TABLE sessions, outbox, alerts IN ACCESS EXCLUSIVE MODE")
            yield


async def test_a_locked_database_loses_nothing_and_the_journal_is_gone_afterwards(database: Database, url: str, tmp_path: Path) -> None:
    recorder = recorder_of(database, tmp_path)
    async with running(recorder):
        with locked(url):
            for n in range(5):
                await recorder.emit(said(n))
            await until(lambda: recorder.journalled == 5, "all are in the journal")
            assert (recorder.away, recorder.waiting, recorder.unsafe) == (True, 5, 0)
            await recorder.emit(said(5))
            await until(lambda: recorder.journalled == 6, "and what comes meanwhile")
        await until(lambda: not recorder.away, "it has caught up")
        await recorder.emit(said(6))
    assert await texts(database) == list(range(7))
    assert (recorder.replayed, recorder.dropped, recorder.failed, recorder.waiting) == (6, 0, 0, 0)
    assert not (tmp_path / "journal.jsonl").exists()


async def test_the_newer_verdict_wins_although_both_waited(database: Database, url: str, tmp_path: Path) -> None:
    recorder = recorder_of(database, tmp_path)
    async with running(recorder):
        with locked(url):
            await recorder.emit(said(0))
            await recorder.emit(SegmentFlagged(session(), Speaker(ADA), segment(ADA, 0, 0.0), verdict((8,))))
            await until(lambda: recorder.journalled == 2, "journalled")
        await until(lambda: not recorder.away, "it has caught up")
    (found,) = await SqlSessionStore(database).segments(GUILD, "s1")
    assert found.verdict == verdict((8,))


async def test_another_process_replays_the_journal_and_sessions_end_when_they_ended(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.committing, "PATIENCE_SECONDS", 0.0)  # at the start a slow database is waited for
    ended = SessionEnded(session(), (Coverage(Speaker(ADA, "Ada"), 2.0, 1.0),), "stopped")
    journal = Journal(tmp_path / "journal.jsonl")
    records: list[Record] = [SessionStarted(session()), said(0), said(1), ended]
    journal.append([encode(Entry(NOON + timedelta(minutes=5), record)) for record in records])
    for _ in range(2):  # a crash in the middle of a replay begins it again
        Journal(tmp_path / "copy.jsonl").append([line.data for line in journal.peek(9)])
    (tmp_path / "copy.jsonl").replace(tmp_path / "journal.jsonl")
    recorder = recorder_of(database, tmp_path)
    assert (recorder.away, recorder.waiting) == (True, 8)
    await recorder.recover()
    assert (recorder.away, recorder.replayed) == (False, 8)
    assert await texts(database) == [0, 1]
    (kept,) = await SqlSessionStore(database).recent_sessions(GUILD)
    assert kept.ended_at == NOON + timedelta(minutes=5)


async def test_a_disk_that_takes_nothing_is_survived_in_memory(database: Database, url: str, tmp_path: Path) -> None:
    recorder = recorder_of(database, tmp_path, max_bytes=10)
    async with running(recorder):
        with locked(url):
            futures = [recorder.submit(said(n)) for n in range(3)]
            assert await asyncio.wait_for(asyncio.gather(*futures), 60) == [False] * 3, "said to be unsafe"
            assert (recorder.unsafe, recorder.waiting, recorder.journalled) == (3, 3, 0)
        await until(lambda: not recorder.away, "it has caught up")
        assert recorder.unsafe == 0
    assert await texts(database) == [0, 1, 2]


async def test_memory_is_bounded_and_what_is_lost_is_counted(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.recorder, "MAX_QUEUED", 4)
    recorder = recorder_of(database, tmp_path, max_bytes=10)
    async with running(recorder):
        with locked(url):
            for n in range(6):
                await recorder.emit(said(n))
            assert recorder.dropped == 2
            await until(lambda: recorder.unsafe == 4, "the oldest are held")
    assert await texts(database) == [0, 1, 2, 3]


async def test_when_it_stops_while_the_database_is_locked_the_journal_has_it(database: Database, url: str, tmp_path: Path) -> None:
    recorder = recorder_of(database, tmp_path)
    with locked(url):
        async with running(recorder):
            await recorder.emit(said(0))
    again = recorder_of(database, tmp_path)
    await again.recover()
    assert await texts(database) == [0]


async def test_forgetting_reaches_the_journal_and_memory(database: Database, url: str, tmp_path: Path) -> None:
    recorder = recorder_of(database, tmp_path)
    about, around = alert(session(), segment(ADA)), alert(session(), segment(BEN), context=[segment(ADA, 7)])
    async with running(recorder):
        with locked(url):
            for record in (said(0), said(0, BEN), AlertWaiting(about, NOON), AlertWaiting(around, NOON)):
                recorder.submit(record)
            recorder.submit(SessionEnded(session(), tuple(Coverage(Speaker(u), 1.0, 1.0) for u in (ADA, BEN)), "stopped"))
            await until(lambda: recorder.journalled == 5, "journalled")
            recorder.submit(said(1))
            assert await recorder.forget(ADA) == 5
            assert str(ADA).encode() not in (tmp_path / "journal.jsonl").read_bytes()
        await until(lambda: not recorder.away, "it has caught up")
    stored = SqlSessionStore(database)
    assert [f.segment.speaker_id for f in await stored.segments(GUILD, "s1")] == [BEN]
    assert [c.speaker.id for c in await stored.coverage(GUILD, "s1")] == [BEN]
    (waiting,) = await SqlOutbox(database).pending(9)
    assert (waiting.alert.speaker.id, waiting.alert.context) == (BEN, ())


async def test_a_journal_that_cannot_be_rewritten_is_told_and_tried_again(database: Database, url: str, tmp_path: Path) -> None:
    recorder, path = recorder_of(database, tmp_path), tmp_path / "journal.jsonl"
    async with running(recorder):
        with locked(url):
            recorder.submit(said(0))
            await until(lambda: recorder.journalled == 1, "journalled")
            kept = path.read_bytes()
            path.unlink()
            path.mkdir()
            with pytest.raises(StorageError, match="cannot be rewritten"):
                await recorder.forget(ADA)
            path.rmdir()
            path.write_bytes(kept)
            assert await recorder.forget(ADA) == 1
    assert await texts(database) == []


async def test_an_alert_that_cannot_be_read_is_not_kept_for_whoever_it_quotes(database: Database) -> None:
    outbox = SqlOutbox(database)
    await outbox.put(AlertWaiting(alert(session(), segment(BEN)), NOON))
    async with database.write() as connection:
        await connection.execute(text("UPDATE outbox SET payload = 'of another version, about Ada'"))
    assert await outbox.forget(ADA) == 1
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT state, payload FROM outbox"))).all() == [(UNDELIVERABLE, "")]


async def test_a_record_the_database_refuses_is_counted_and_the_next_is_written(database: Database, tmp_path: Path) -> None:
    recorder = recorder_of(database, tmp_path)
    async with running(recorder):
        await recorder.emit(SessionStarted(session("\ud800")))
        await recorder.emit(said(0))
    assert (recorder.failed, recorder.written, recorder.away) == (1, 1, False)
    assert await texts(database) == [0]


@pytest.mark.external
async def test_killed_postgres_connections_lose_nothing(postgres_url: str, tmp_path: Path) -> None:
    from bot.storage.migrate import upgrade

    database = await Database.open(postgres_url)
    await upgrade(database)
    parsed = make_url(postgres_url)
    recorder = recorder_of(database, tmp_path)
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND application_name = 'earshot'"
    killed = 0
    with psycopg.connect(f"{SERVER} user={parsed.username} dbname=postgres", autocommit=True) as admin:
        async with running(recorder):
            for n in range(60):
                await recorder.emit(said(n))
                if n % 10 == 5:
                    await asyncio.sleep(0.01)
                    killed += (admin.execute(kill, [parsed.database]).fetchone() or (0,))[0]
            await until(lambda: not recorder.waiting, "all are written")
    assert killed
    assert await texts(database) == list(range(60))
    await database.aclose()


@pytest.mark.integration
async def test_a_full_sqlite_file_loses_nothing(sqlite_url: str, tmp_path: Path) -> None:
    from bot.storage.migrate import upgrade

    database = await Database.open(sqlite_url)
    await upgrade(database)
    recorder = recorder_of(database, tmp_path)

    async def limit(pages: int) -> None:
        async with database._engine.connect() as connection:
            await connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    await limit(1)  # as many as there are: no page more
    async with running(recorder):
        for n in range(40):
            await recorder.emit(said(n))
        await until(lambda: recorder.away and recorder.journalled + recorder.written == 40, "the rest is in the journal")
        await limit(10**6)
        await until(lambda: not recorder.away, "it has caught up")
    assert await texts(database) == list(range(40))
    await database.aclose()


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from tests.bot.storage.test_recorder import recorder_of, running, said, texts, until
from bot.storage.database import Database
from bot.storage.migrate import upgrade

async def main(folder):
    database = await Database.open(f"sqlite:///{folder}/earshot.db")
    await upgrade(database)
    recorder = recorder_of(database, folder)
    size = max(p.stat().st_size for p in folder.iterdir())
    async with running(recorder):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        for n in range(30):
            await recorder.emit(said(n))
        await until(lambda: recorder.unsafe == 30, "memory alone has them")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await until(lambda: not recorder.away, "it has caught up")
    print(await texts(database) == list(range(30)), recorder.dropped, recorder.failed)
    await database.aclose()

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.integration
async def test_when_database_and_journal_share_a_full_disk_memory_bridges_it(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FULL_DISK, str(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (out.decode().split(), process.returncode) == (["True", "0", "0"], 0), err.decode()[-2000:]


# The outbox table.


async def test_a_waiting_alert_comes_back_as_it_was_newest_first(database: Database) -> None:
    outbox = SqlOutbox(database)
    first = AlertWaiting(alert(session(), segment(), context=[segment(BEN)], grouped=[segment(utterance=1)]), NOON)
    second = AlertWaiting(alert(session(), segment(BEN)), NOON + timedelta(seconds=1), 77, 3, NOON + timedelta(minutes=1))
    for waiting in (first, second, second):
        await outbox.put(waiting)
    assert await outbox.pending(9) == [second, first]
    assert await outbox.pending(1) == [second]


async def test_a_settled_alert_leaves_the_outbox_and_has_its_row(database: Database, tmp_path: Path) -> None:
    recorder, about = recorder_of(database, tmp_path), alert(session(), segment())
    async with running(recorder):
        recorder.submit(AlertWaiting(about, NOON))
        recorder.submit(AlertSettled(about, 77, Outcome.DELIVERED))
    assert await SqlOutbox(database).counts() == {}
    kept = await SqlAlertStore(database).alert(GUILD, about.id)
    assert kept is not None
    assert kept.message_id == 77


async def test_an_undeliverable_alert_is_counted_without_what_was_said_and_goes_after_a_month(database: Database) -> None:
    outbox, about = SqlOutbox(database), alert(session(), segment(text="never kept"))
    await outbox.put(AlertWaiting(about, NOON))
    await outbox.give_up(about.id, NOON)
    assert (await outbox.pending(9), await outbox.counts()) == ([], {UNDELIVERABLE: 1})
    async with database.read() as connection:
        assert "never" not in str((await connection.execute(text("SELECT * FROM outbox"))).all())
    await outbox.give_up("another", NOON + timedelta(days=31))
    assert await outbox.counts() == {}


async def test_a_row_of_another_version_is_given_up_and_the_others_come(database: Database) -> None:
    outbox = SqlOutbox(database)
    for n in range(2):
        await outbox.put(AlertWaiting(alert(session(), segment(utterance=n)), NOON))
    async with database.write() as connection:
        await connection.execute(text("UPDATE outbox SET payload = '{}' WHERE alert_id LIKE :id"), {"id": "%:0"})
    assert [w.alert.segment.utterance for w in await outbox.pending(9)] == [1]
    assert await outbox.counts() == {PENDING: 1, UNDELIVERABLE: 1}


async def test_forgetting_a_user_reaches_the_outbox(database: Database) -> None:
    outbox = SqlOutbox(database)
    await outbox.put(AlertWaiting(alert(session(), segment(ADA)), NOON))
    await outbox.put(AlertWaiting(alert(session(), segment(BEN), context=[segment(ADA, 3)]), NOON))
    assert await outbox.forget(ADA) == 2
    (left,) = await outbox.pending(9)
    assert (left.alert.speaker.id, left.alert.context) == (BEN, ())
    assert await outbox.forget(ADA) == 0


# Records as lines.


@pytest.mark.unit
@pytest.mark.parametrize(
    "record",
    [
        SessionStarted(session()),
        SessionMoved(session()),
        said(0),
        SegmentFlagged(session(), Speaker(ADA, "Ünï 😀"), segment(text="you Ünïcode 😀\n\x00"), verdict((5, 7))),
        SessionEnded(session(), (Coverage(Speaker(ADA), 1.0, 0.5, 1, 2, 3),), "stopped"),
        AlertWaiting(alert(session(), segment(), context=[segment(BEN)]), NOON, 77, 2, NOON),
        AlertSettled(alert(session(), segment()), None, Outcome.UNDELIVERABLE),
    ],
    ids=lambda r: type(r).__name__,
)
def test_records_come_back_as_they_were(record: Record) -> None:
    entry = Entry(datetime(2026, 1, 1, tzinfo=UTC), record)
    line = encode(entry)
    assert b"\n" not in line
    assert decode(line) == entry
    assert decode(line.replace(b'"record":{', b'"record":{"of a newer version":1,')) == entry


@pytest.mark.unit
@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"at":"x","kind":"SessionStarted","record":{}}', b'{"at":"2026-01-01","kind":"X"}'])
def test_what_cannot_be_read_is_an_error_that_quotes_nothing(line: bytes) -> None:
    with pytest.raises(StorageError) as caught:
        decode(line)
    assert caught.value.__cause__ is None
