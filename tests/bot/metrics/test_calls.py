"""Sums over calls: they never fall, and what is over is not kept but as a sum."""

import asyncio
from dataclasses import replace

import pytest

from bot.metrics.calls import OUTCOMES, Calls
from moderation.events import SessionEnded, SessionStarted
from moderation.models import Session
from moderation.pipeline import Pipeline
from moderation.sessions import Running
from moderation.settings import GuildSettings
from tests.fakes import FakeSink, FakeTranscriber
from tests.fakes_live import FakeLiveSource
from tests.moderation.test_pipeline import SESSION, say

pytestmark = pytest.mark.unit


class Stand:
    """Sessions over fakes, as the session manager would announce them."""

    def __init__(self) -> None:
        self.running: dict[int, Running] = {}
        self.calls = Calls(self.running.get)

    async def start(self, guild_id: int) -> Session:
        session, settings = replace(SESSION, id=f"session {guild_id}", guild_id=guild_id), GuildSettings(guild_id)
        source = FakeLiveSource(say("hello", 0.0))
        pipeline = Pipeline(session, FakeTranscriber(), (), FakeSink(), lambda: settings)
        task = asyncio.create_task(asyncio.sleep(0))
        self.running[guild_id] = Running(session, source, pipeline, task)
        await self.calls.emit(SessionStarted(session))
        await pipeline.run(source)
        return session

    async def end(self, session: Session) -> None:
        await self.calls.emit(SessionEnded(session, (), "stopped"))
        del self.running[session.guild_id]


async def test_totals_stay_when_sessions_end() -> None:
    stand = Stand()
    first, second = await stand.start(1), await stand.start(2)
    before = dict(stand.calls.sums())
    assert before["speech", "heard"] == pytest.approx(2 * 5 * 0.02)
    await stand.end(first)
    assert stand.calls.sums() == pytest.approx(before)
    assert len(stand.calls) == 1
    await stand.end(second)
    assert stand.calls.sums() == pytest.approx(before)
    assert (len(stand.calls), stand.calls.coverage(), stand.calls.health()) == (0, [], [])


async def test_a_session_that_is_announced_twice_as_over_counts_once() -> None:
    stand = Stand()
    session = await stand.start(1)
    before = dict(stand.calls.sums())
    for _ in range(2):
        await stand.calls.emit(SessionEnded(session, (), "stopped"))
    assert stand.calls.sums() == pytest.approx(before)


async def test_scraping_does_not_change_what_is_scraped() -> None:
    stand = Stand()
    await stand.start(1)
    assert stand.calls.sums() == stand.calls.sums()


def test_every_counter_of_a_speaker_is_an_outcome() -> None:
    assert {"received", "late", "lost", "concealed", "undecodable", "refused"} <= set(OUTCOMES)
    assert not {"failed", "seconds_heard", "seconds_spoken"} & set(OUTCOMES)
