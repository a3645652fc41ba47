"""The contract of the stores, on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from bot.records import AlertWaiting
from bot.storage.alerts import SqlAlertStore
from bot.storage.database import Database
from bot.storage.guilds import SqlGuildStore
from bot.storage.outbox import SqlOutbox
from bot.storage.retention import SqlRetention
from bot.storage.rows import Counts
from bot.storage.sessions import STALE, SqlSessionStore
from bot.storage.watching import SqlWatchStore
from moderation.errors import StorageError
from moderation.models import AlertState, Coverage, Finding, Session, Speaker, Verdict
from moderation.ports import AlertStore, GuildStore, SessionStore, TermStore
from moderation.seats import Seat
from moderation.settings import GuildSettings
from moderation.shards import SHARD_SHIFT, Shards
from moderation.terms import Term, TermType
from tests.bot.storage.values import ADA, BEN, CLEO, GUILD, NOON, OTHER_GUILD, alert, segment, session, verdict


class Stores:
    def __init__(self, database: Database) -> None:
        self.sessions, self.alerts, self.guilds = SqlSessionStore(database), SqlAlertStore(database), SqlGuildStore(database)


@pytest.fixture
def stores(database: Database) -> Stores:
    return Stores(database)


def test_they_implement_the_ports(stores: Stores) -> None:
    sessions: SessionStore = stores.sessions
    alerts: AlertStore = stores.alerts
    guilds: GuildStore = stores.guilds
    assert {sessions, alerts, guilds}


# Sessions and segments.


async def test_a_session_comes_back_as_it_was_and_then_as_it_ended(stores: Stores) -> None:
    await stores.sessions.start_session(session())
    await stores.sessions.start_session(session())
    (kept,) = await stores.sessions.recent_sessions(GUILD)
    assert (kept.session, kept.ended_at, kept.end_reason, kept.segments) == (session(), None, None, 0)
    heard = [Coverage(Speaker(ADA, "Ada"), 10.0, 9.5, segments=3, flags=2, alerts=1), Coverage(Speaker(BEN), 0.0, 0.0)]
    ended = NOON + timedelta(hours=1)
    for _ in range(2):
        await stores.sessions.end_session(session(), ended, "stopped", heard)
    (kept,) = await stores.sessions.recent_sessions(GUILD)
    assert (kept.session, kept.ended_at, kept.end_reason) == (session(), ended, "stopped")
    assert kept.ended_at is not None
    assert kept.ended_at.utcoffset() == timedelta()
    assert await stores.sessions.coverage(GUILD, "s1") == [replace(heard[0], speaker=Speaker(ADA)), heard[1]], "names are not kept"


async def test_a_moved_session_names_its_channel_and_what_was_said_the_one_it_was_said_in(stores: Stores, database: Database) -> None:
    moved = replace(session(), channel_id=6, channel_name="Garden")
    await stores.sessions.start_session(session())
    await stores.sessions.add_segment(session(), segment(), verdict())
    await stores.alerts.save_alert(alert(session(), segment()), None)
    for _ in range(2):
        await stores.sessions.move_session(moved)
    await stores.sessions.add_segment(session(), segment(utterance=1, start=5.0), verdict())  # begun before, ended after the move
    await stores.sessions.add_segment(moved, segment(utterance=2, start=9.0), verdict())
    await stores.alerts.save_alert(alert(moved, segment(utterance=2, start=9.0)), None)
    (kept,) = await stores.sessions.recent_sessions(GUILD)
    assert (kept.session, kept.ended_at, kept.segments) == (moved, None, 3)
    async with database.read() as connection:
        said = await connection.execute(text("SELECT channel_id FROM segments ORDER BY start_seconds"))
        assert said.scalars().all() == [5, 5, 6]
    told = [await stores.alerts.alert(GUILD, f"s1:{ADA}:{utterance}") for utterance in (0, 2)]
    assert [each.channel_id for each in told if each is not None] == [5, 6]


async def test_times_in_other_zones_are_the_same_moment(stores: Stores) -> None:
    elsewhere = replace(session(), started_at=NOON.astimezone(timezone(timedelta(hours=-7))))
    await stores.sessions.start_session(elsewhere)
    (kept,) = await stores.sessions.recent_sessions(GUILD)
    assert kept.session.started_at == NOON


async def test_naive_times_are_refused(stores: Stores) -> None:
    with pytest.raises(StorageError) as caught:
        await stores.sessions.start_session(replace(session(), started_at=datetime(2026, 1, 1)))  # noqa: DTZ001
    assert not caught.value.retryable


async def test_a_session_that_was_never_started_can_end(stores: Stores) -> None:
    await stores.sessions.end_session(session(), NOON, "stopped", [])
    assert len(await stores.sessions.recent_sessions(GUILD)) == 1


async def test_a_segment_comes_back_with_its_words_and_flags(stores: Stores) -> None:
    await stores.sessions.start_session(session())
    said = segment(text="you Ünïcode 😀 idiot")
    await stores.sessions.add_segment(session(), said, verdict((5, 7)))
    assert await stores.sessions.segments(GUILD, "s1") == [Finding(said, verdict((5, 7)))]


async def test_the_same_segment_twice_is_one_row_with_the_newer_verdict(stores: Stores) -> None:
    await stores.sessions.add_segment(session(), segment(), Verdict())
    await stores.sessions.add_segment(session(), segment(), verdict((5, 6, 7)))
    await stores.sessions.add_segment(session(), segment(), verdict((8,)))
    assert await stores.sessions.segments(GUILD, "s1") == [Finding(segment(), verdict((8,)))]
    assert await stores.sessions.counts(GUILD) == Counts(sessions=1, segments=1, flags=1)


async def test_a_segment_whose_session_is_missing_is_not_lost(stores: Stores) -> None:
    await stores.sessions.add_segment(session(), segment(), Verdict())
    (kept,) = await stores.sessions.recent_sessions(GUILD)
    assert (kept.session, kept.segments) == (session(), 1)


async def test_many_writers_at_once_lose_nothing(stores: Stores) -> None:
    said = [segment(ADA + n % 3, n // 3, float(n)) for n in range(30)]
    await asyncio.gather(*(stores.sessions.add_segment(session(), s, verdict()) for s in said for _ in range(2)))
    assert [f.segment for f in await stores.sessions.segments(GUILD, "s1")] == said
    assert (await stores.sessions.counts(GUILD)).flags == 30


async def test_segments_come_in_time_order_in_pages_and_of_the_own_guild_only(stores: Stores) -> None:
    for n in (3, 1, 2):
        await stores.sessions.add_segment(session(), segment(utterance=n, start=float(n)), Verdict())
    page = await stores.sessions.segments(GUILD, "s1", limit=2)
    assert [f.segment.start for f in page] == [1.0, 2.0]
    assert [f.segment.start for f in await stores.sessions.segments(GUILD, "s1", after=2.0)] == [3.0]
    assert await stores.sessions.segments(OTHER_GUILD, "s1") == []


async def test_sessions_come_newest_first_and_of_the_own_guild_only(stores: Stores) -> None:
    for n in range(3):
        await stores.sessions.start_session(session(f"s{n}", started=timedelta(minutes=n)))
    await stores.sessions.start_session(session("other", OTHER_GUILD))
    assert [s.session.id for s in await stores.sessions.recent_sessions(GUILD, 2)] == ["s2", "s1"]
    assert [s.session.id for s in await stores.sessions.recent_sessions(OTHER_GUILD)] == ["other"]


async def test_what_a_crash_left_open_ends_at_the_last_word(stores: Stores) -> None:
    await stores.sessions.add_segment(session("spoken"), segment(session_id="spoken", start=60.0), Verdict())
    await stores.sessions.add_segment(session("spoken"), segment(session_id="spoken", utterance=1, start=30.0), Verdict())
    await stores.sessions.start_session(session("silent"))
    await stores.sessions.start_session(session("later", started=timedelta(hours=2)))
    await stores.sessions.end_session(session("ended"), NOON + timedelta(minutes=5), "stopped", [])
    assert await stores.sessions.close_stale(NOON + timedelta(hours=1)) == 2
    assert await stores.sessions.close_stale(NOON + timedelta(hours=1)) == 0
    kept = {s.session.id: (s.ended_at, s.end_reason) for s in await stores.sessions.recent_sessions(GUILD)}
    assert kept == {
        "spoken": (NOON + timedelta(seconds=62), STALE),
        "silent": (NOON, STALE),
        "later": (None, None),
        "ended": (NOON + timedelta(minutes=5), "stopped"),
    }


# Alerts.


async def test_an_alert_is_inserted_and_then_brought_up_to_date(stores: Stores) -> None:
    of, about = session(), segment()
    before, after = segment(BEN, 0, 0.5), segment(CLEO, 0, 5.0)
    first = replace(alert(of, about, context=[before]), state=AlertState.EARLY)
    await stores.alerts.save_alert(first, 77)
    await stores.alerts.save_alert(alert(of, about, context=[before, after], grouped=[segment(utterance=1, start=6.0)]), None)
    kept = await stores.alerts.alert(GUILD, about.id)
    assert kept is not None
    assert (kept.state, kept.speaker_id, kept.severity, kept.message_id) == ("confirmed", ADA, 7, 77)
    assert kept.categories == ("insult-0",)
    assert (kept.start, kept.end, kept.spoken_at) == (1.0, 8.0, NOON + timedelta(seconds=3))
    assert kept.context == (before.id, after.id)
    assert kept.grouped == (f"s1:{ADA}:1",)
    assert await stores.alerts.alert(OTHER_GUILD, about.id) is None
    assert (await stores.sessions.counts(GUILD)).alerts == 1


async def test_recent_alerts_come_newest_first_and_of_the_own_guild_only(stores: Stores) -> None:
    for n in range(3):
        await stores.alerts.save_alert(alert(session(), segment(utterance=n, start=float(n))), None)
    await stores.alerts.save_alert(alert(session("o", OTHER_GUILD), segment(session_id="o")), None)
    assert await stores.alerts.recent_alerts(GUILD, 2) == [(f"s1:{ADA}:{n}", ADA, "confirmed") for n in (2, 1)]
    assert len(await stores.alerts.recent_alerts(OTHER_GUILD, 10)) == 1


async def test_no_text_is_kept_with_an_alert(stores: Stores, database: Database) -> None:
    heard = "never copied"
    said = segment(text=heard)
    await stores.alerts.save_alert(
        alert(session(), said, context=[segment(BEN, text=heard)], grouped=[segment(utterance=1, text=heard)]), 1
    )
    async with database.read() as connection:
        for table in ("alerts", "alert_segments", "sessions"):
            found = [str(row) for row in await connection.execute(text(f"SELECT * FROM {table}"))]  # noqa: S608
            assert found
            assert heard not in "".join(found)


# Forgetting.


async def test_forgetting_a_user_deletes_all_about_them_and_nothing_else(stores: Stores) -> None:
    of, ada, ben = session(), segment(ADA), segment(BEN, 0, 2.0)
    for said in (ada, ben):
        await stores.sessions.add_segment(of, said, verdict((5, 6)))
    await stores.sessions.end_session(of, NOON, "stopped", [Coverage(Speaker(u), 1.0, 1.0) for u in (ADA, BEN)])
    await stores.alerts.save_alert(alert(of, ada, context=[ben]), 1)
    await stores.alerts.save_alert(alert(of, ben, context=[ada], grouped=[segment(BEN, 1)]), 2)
    assert await stores.sessions.forget(ADA) == 4, "segment, two flags, coverage"
    assert await stores.alerts.forget(ADA) == 3, "alert, its context, the turn in Ben's context"
    assert await stores.guilds.forget(ADA) == 0
    assert [f.segment.speaker_id for f in await stores.sessions.segments(GUILD, "s1")] == [BEN]
    assert [c.speaker.id for c in await stores.sessions.coverage(GUILD, "s1")] == [BEN]
    assert await stores.sessions.counts(GUILD) == Counts(sessions=1, segments=1, flags=2, alerts=1)
    kept = await stores.alerts.alert(GUILD, ben.id)
    assert kept is not None
    assert (kept.context, kept.grouped) == ((), (f"s1:{BEN}:1",))
    assert await stores.sessions.forget(ADA) + await stores.alerts.forget(ADA) == 0


async def test_after_forgetting_no_row_of_any_table_has_the_id(stores: Stores, database: Database) -> None:
    of, ada = session(), segment(ADA)
    await stores.sessions.add_segment(of, ada, verdict())
    await stores.sessions.end_session(of, NOON, "stopped", [Coverage(Speaker(ADA), 1.0, 1.0)])
    await stores.alerts.save_alert(alert(of, ada), 1)
    await stores.alerts.save_alert(alert(of, segment(BEN), context=[ada]), 2)
    for store in (stores.sessions, stores.alerts, stores.guilds):
        await store.forget(ADA)
    tables = ("sessions", "coverage", "segments", "flags", "alerts", "alert_segments", "guild_settings", "lexicon_terms", "seats")
    async with database.read() as connection:
        for table in tables:
            for row in await connection.execute(text(f"SELECT * FROM {table}")):  # noqa: S608
                assert str(ADA) not in str(row), table


# Guilds.


async def test_settings_are_defaults_until_saved_and_then_what_was_saved_last(stores: Stores) -> None:
    assert await stores.guilds.settings(GUILD) == GuildSettings(GUILD)
    for channel in (OTHER_GUILD, None, 3):
        chosen = GuildSettings(GUILD, channel, 5, 8, 0.25, 1.5, 60.0, keep_evidence=False)
        await stores.guilds.save_settings(chosen)
        assert await stores.guilds.settings(GUILD) == chosen
    assert await stores.guilds.settings(OTHER_GUILD) == GuildSettings(OTHER_GUILD)


async def test_terms_are_added_replaced_and_removed_per_guild(stores: Stores) -> None:
    guilds = stores.guilds
    await guilds.set_term(GUILD, Term("zebra", TermType.WORD, "insult", 3))
    await guilds.set_term(GUILD, Term("Äpfel und 🍐", TermType.PHRASE, "threat", 9, line=12))
    await guilds.set_term(GUILD, Term("zebra", TermType.ALLOW))
    await guilds.set_term(OTHER_GUILD, Term("zebra", TermType.WORD, "insult", 1))
    assert await guilds.terms(GUILD) == [Term("zebra", TermType.ALLOW), Term("Äpfel und 🍐", TermType.PHRASE, "threat", 9)]
    assert await guilds.remove_term(GUILD, "zebra") is True
    assert await guilds.remove_term(GUILD, "zebra") is False
    assert [t.term for t in await guilds.terms(OTHER_GUILD)] == ["zebra"]


async def test_many_terms_change_in_one_transaction_or_not_at_all(stores: Stores) -> None:
    guilds: TermStore = stores.guilds
    await guilds.change_terms(OTHER_GUILD, [Term("zebra", TermType.WORD, "insult", 1)], ())
    await guilds.change_terms(GUILD, [Term("Zebra", TermType.WORD, "insult", 3), Term("lion", TermType.WORD, "insult", 3)], ())
    many = [Term(f"term {n}", TermType.PHRASE, "threat", 9) for n in range(5000)]
    await guilds.change_terms(GUILD, [*many, Term("zebra", TermType.ALLOW), Term("lion", TermType.WORD, "insult", 8)], ["Zebra", "none"])
    held = {t.term: t for t in await guilds.terms(GUILD)}
    assert len(held) == 5002
    assert (held["zebra"].type, held["lion"].severity) == (TermType.ALLOW, 8)
    with pytest.raises(StorageError):
        await guilds.change_terms(GUILD, [Term("fine", TermType.WORD, "x", 1), Term("\ud800", TermType.WORD, "x", 1)], ["zebra"])
    assert {t.term: t for t in await guilds.terms(GUILD)} == held
    await guilds.change_terms(GUILD, (), ())
    assert [t.term for t in await guilds.terms(OTHER_GUILD)] == ["zebra"]


# What does not fit, and what goes wrong in between.


@pytest.mark.parametrize(
    "bad",
    [
        replace(session(), guild_id=2**63),
        replace(session(), id="\ud800"),
        replace(session(), channel_name=None),  # type: ignore[arg-type]
    ],
    ids=["too large a number", "half a character", "no name"],
)
async def test_values_that_do_not_fit_are_refused_without_being_quoted(stores: Stores, bad: Session) -> None:
    bad = replace(bad, channel_id=424242)
    with pytest.raises(StorageError, match="does not fit") as caught:
        await stores.sessions.start_session(bad)
    assert not caught.value.retryable
    assert "424242" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert await stores.sessions.recent_sessions(GUILD) == []


async def test_what_breaks_off_leaves_nothing_behind(stores: Stores, database: Database) -> None:
    async def half() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO lexicon_terms VALUES (1, 'a', 'word', 'c', 1)"))
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await half()
    assert await stores.guilds.terms(1) == []


async def test_a_task_cancelled_while_writing_does_not_block_the_next(stores: Stores) -> None:
    for _ in range(5):
        task = asyncio.create_task(stores.sessions.add_segment(session(), segment(), verdict()))
        await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.wait({task})
    await stores.sessions.add_segment(session(), segment(), verdict())
    assert (await stores.sessions.counts(GUILD)).segments == 1


async def test_processes_that_share_a_database_read_and_end_only_their_own_servers_rows(database: Database) -> None:
    """Two shards: what is above the 22 low bits of the server's id is even, or odd."""
    shards = [Shards((n,), 2) for n in (0, 1)]
    guilds = [n << SHARD_SHIFT | 5 for n in (1000, 1001)]
    store, watch, outbox = SqlSessionStore(database), SqlWatchStore(database), SqlOutbox(database)
    for n, guild_id in enumerate(guilds):
        of = session(f"session {n}", guild_id)
        await store.start_session(of)
        await outbox.put(AlertWaiting(alert(of, segment(session_id=of.id)), NOON))
        await watch.take_seat(Seat(guild_id, 8))
        await watch.set_watched(guild_id, [8])
    for n, mine in enumerate(shards):
        assert [s.guild_id for s in await SqlWatchStore(database, mine).seats()] == [guilds[n]]
        assert [w.guild_id for w in await SqlWatchStore(database, mine).watched()] == [guilds[n]]
        assert [w.alert.session.guild_id for w in await SqlOutbox(database, mine).pending(9)] == [guilds[n]]
        assert (mine.serves(guilds[n]), mine.serves(guilds[1 - n])) == (True, False)
    later = NOON + timedelta(days=1)
    assert await store.close_stale(later, shards[1]) == 1
    assert [(await store.recent_sessions(g))[0].ended_at is None for g in guilds] == [True, False]
    assert await store.close_stale(later, Shards((0, 1), 2)) == 1
    assert (await SqlRetention(database, shards=shards[0]).sweep(later + timedelta(days=9), 1)).sessions == 1
    assert [len(await store.recent_sessions(g)) for g in guilds] == [0, 1]
    assert len(await watch.seats()) == 2
