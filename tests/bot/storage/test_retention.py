"""What is too old goes, in batches, and nothing else, on SQLite and on PostgreSQL."""

from datetime import timedelta

from bot.retention import Retention
from bot.storage.alerts import SqlAlertStore
from bot.storage.consent import SqlConsentStore
from bot.storage.database import Database
from bot.storage.retention import SqlRetention, Swept
from bot.storage.rows import Counts
from bot.storage.sessions import SqlSessionStore
from moderation.consent import ConsentMode, GuildPrivacy
from moderation.models import Coverage, Speaker
from tests.bot.storage.values import ADA, BEN, GUILD, NOON, OTHER_GUILD, alert, segment, session, verdict

DAY = timedelta(days=1)


class Kept:
    """A session in each of two servers, with four segments and an alert, ended after a minute."""

    def __init__(self, database: Database) -> None:
        self.rows, self.alerts, self.consent = SqlSessionStore(database), SqlAlertStore(database), SqlConsentStore(database)
        self.retention = SqlRetention(database, batch=3)

    async def fill(self, *, ended: bool = True) -> "Kept":
        for of in (session(), session("o", OTHER_GUILD)):
            for n in range(4):
                await self.rows.add_segment(of, segment(utterance=n, session_id=of.id), verdict())
            await self.alerts.save_alert(alert(of, segment(session_id=of.id), context=[segment(BEN, session_id=of.id)]), 1)
            if ended:
                await self.rows.end_session(of, NOON + timedelta(minutes=1), "stopped", [Coverage(Speaker(ADA), 1.0, 1.0)])
        return self

    async def counts(self) -> list[Counts]:
        return [await self.rows.counts(guild) for guild in (GUILD, OTHER_GUILD)]


FULL, EMPTY = Counts(sessions=1, segments=4, flags=4, alerts=1), Counts()


async def test_what_is_older_than_its_days_goes_in_batches_and_not_before(database: Database) -> None:
    kept = await Kept(database).fill()
    assert await kept.retention.sweep(NOON + 30 * DAY, 30) == Swept()
    assert await kept.retention.sweep(NOON + 30 * DAY + timedelta(minutes=2), 30) == Swept(8, 2, 2)
    assert await kept.counts() == [EMPTY, EMPTY]
    assert await kept.rows.coverage(GUILD, "s1") == []


async def test_a_server_may_have_shorter_days_and_alerts_others_than_transcripts(database: Database) -> None:
    kept = await Kept(database).fill()
    await kept.consent.save_guild(GuildPrivacy(GUILD, ConsentMode.OPT_OUT, transcript_days=1, alert_days=7))
    await kept.consent.save_guild(GuildPrivacy(OTHER_GUILD, ConsentMode.OPT_OUT, transcript_days=400, alert_days=None))
    assert await kept.retention.sweep(NOON + 2 * DAY, 30) == Swept(4, 0, 0)
    assert await kept.counts() == [Counts(sessions=1, alerts=1), FULL]
    assert await kept.retention.sweep(NOON + 8 * DAY, 30) == Swept(0, 1, 1)
    assert await kept.retention.sweep(NOON + 31 * DAY, 30) == Swept(4, 1, 1), "longer than the operator's does not count"


async def test_with_no_days_nothing_outlives_its_session(database: Database) -> None:
    kept = await Kept(database).fill(ended=False)
    assert await kept.retention.sweep(NOON + timedelta(hours=3), 0) == Swept(), "they go on"
    await kept.rows.end_session(session(), NOON + timedelta(hours=3), "stopped", [])
    assert await kept.retention.sweep(NOON + timedelta(hours=3), 0) == Swept(4, 1, 1)
    assert await kept.counts() == [EMPTY, FULL]


async def test_the_sweeper_counts_and_a_database_that_is_away_does_not_end_it(database: Database) -> None:
    kept = await Kept(database).fill()
    sweeper = Retention(kept.retention, 30, now=lambda: NOON + 31 * DAY)
    await sweeper.sweep()
    assert (sweeper.deleted, sweeper.failed) == (12, 0)
    async with database.write() as connection:
        await connection.exec_driver_sql("DROP TABLE guild_privacy")
    await sweeper.sweep()
    assert (sweeper.deleted, sweeper.failed) == (12, 1)
