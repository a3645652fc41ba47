"""What is kept while people come and go, counted: after the calls everything is as before, however many there were.

`make soak` measures the same over hours, in megabytes.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import aiohttp
import pytest

from bot.app import Application
from tests.bot.voice.support import until
from tests.soak.evening import Evening, in_step, open_evening
from tests.soak.overload import ORDER, overload
from tests.soak.readings import Reading

OVERLOADS = True
pytestmark = pytest.mark.integration

LENGTHS, WARM_UP, SECONDS = (10.0, 20.0), 150.0, 550.0
TURNS = {"talk": 6, "open microphone": 1, "nothing": 1, "come": 10, "go": 6, "choose": 1}
"""A busier evening than people's: what is looked for is what their coming and going leaves behind."""
IDLE_RECOGNISERS = 4
"""Kept for the next speakers, however many there were (`bot.speech.pool.Limits`)."""

FEW = 4
"""What may be new after a second, longer while: somebody who waits for a pause to end, a label's first value."""
POOLED = 5
"""Connections in the database's pool, which opens them when they are first needed: a thread and three files (SQLite, WAL) each."""
DROPS = (
    "earshot_frames_dropped_total",
    "earshot_track_items_dropped_total",
    "earshot_shed_seconds_total",
    'earshot_recorder_events_total{outcome="dropped"}',
    'earshot_alert_deliveries_total{lane="card",outcome="dropped"}',
    'earshot_evidence_dropped_total{what="packets"}',
    'earshot_evidence_dropped_total{what="speakers"}',
)
"""One for each queue or ring between a packet and a moderator; their bounds and rules are tested where they are."""


async def scraped(app: Application) -> dict[str, float]:
    """Series of `/metrics`, with their labels → value."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{app.api_port}/metrics") as answer:
        lines = (line.rpartition(" ") for line in (await answer.text()).splitlines() if not line.startswith("#"))
        return {series: float(value) for series, _, value in lines}


def kinds(series: Iterable[str]) -> set[str]:
    """What is measured of what: series without the bounds of histograms' buckets."""
    return {re.sub(r"(_bucket|_sum|_count|_created)?(\{|$)", r"\2", re.sub(r',?le="[^"]*"', "", each), count=1) for each in series}


async def at_rest(app: Application, folder: Path) -> Reading:
    """What is held once the last rows and cards are out."""
    await app.dispatcher.drained()
    await until(lambda: not app.evidence.stats.speakers and not app.recorder.waiting, 30.0)
    return Reading.of(app, folder)


async def test_after_the_calls_nothing_is_left_of_them(tmp_path: Path) -> None:
    async with open_evening(tmp_path) as (app, gateway, delivery):
        evenings = [Evening(app, gateway, guild_id, lengths=LENGTHS, turns=TURNS) for guild_id in (1, 2)]
        await in_step(evenings, WARM_UP, lambda minute: None)
        await scraped(app)
        first, series, people = await at_rest(app, tmp_path), kinds(await scraped(app)), sum(e.people for e in evenings)
        await in_step(evenings, WARM_UP + SECONDS, lambda minute: None)
        last, grown = await at_rest(app, tmp_path), kinds(await scraped(app)) - series
    assert sum(e.sessions for e in evenings) >= 8
    assert sum(e.people for e in evenings) >= people + 20, "so what is kept for each person would show"
    assert delivery.cards > 0
    assert (last.sessions, last.rings, last.ring_bytes, last.rows_waiting, last.alerts_waiting, last.decoding) == (0,) * 6
    assert last.recognisers <= IDLE_RECOGNISERS
    assert (last.remembered_settings, last.compiled_terms) == (first.remembered_settings, first.compiled_terms)
    assert last.tasks - first.tasks <= FEW
    assert last.threads - first.threads <= POOLED
    assert last.descriptors - first.descriptors <= 3 * POOLED
    assert len(grown) <= FEW


async def test_overload_is_borne_in_order_by_the_whole_application_and_ends_by_itself(tmp_path: Path) -> None:
    async with open_evening(tmp_path) as (app, gateway, _):
        course = await overload(app, gateway, speakers=2, seconds=16.0)
        figures = await scraped(app)
    assert course.in_order, course.levels
    assert course.over
    (risky, harmless) = course.coverage.values()
    assert sum(c.flags for c in risky) > 0
    assert sum(c.shed_seconds for c in risky) == 0.0, "the channel with findings is heard"
    assert sum(c.shed_seconds for c in harmless) > 1.0
    assert all(c.dropped == 0 and c.shed_partials > 0 for c in (*risky, *harmless))
    assert all(figures[f'earshot_shedding_entered_total{{level="{level}"}}'] >= 1 for level in ORDER[1:])
    assert figures["earshot_shedding_level"] == 0.0
    assert figures["earshot_shed_seconds_total"] == pytest.approx(sum(c.shed_seconds for c in harmless))


async def test_whatever_drops_something_says_so_in_the_metrics(tmp_path: Path) -> None:
    async with open_evening(tmp_path) as (app, _, _):
        figures = await scraped(app)
    assert {series: figures.get(series) for series in DROPS} == dict.fromkeys(DROPS, 0.0)
