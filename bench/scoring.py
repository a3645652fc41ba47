"""Scores by a serving endpoint on loopback: what a round trip costs, what batches gain, and what an endpoint that is away costs.

The peer is the same client asking for every text by itself.
"""

import asyncio
import statistics
import time

import aiohttp

from bench.rows import Row
from bot.databricks.auth import PersonalToken
from bot.scoring.databricks import DatabricksScorer
from bot.scoring.serving import ServingEndpoint, address
from config.output_specs import OutputSpec
from moderation.errors import ModerationError
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.tokens import PERSONAL
from tests.loopback.databricks.workspace import LoopbackWorkspace

TEXT = "please push the left side and cover me right now"
TEXTS = 2_000
ASKERS = 200
"""Askers at the same time, each with one text after the other: as many speakers."""
ALONE = 300


def run() -> list[Row]:
    """Measure, everything in one process."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    rows = []
    async with LoopbackWorkspace(ServingPart()) as workspace, aiohttp.ClientSession() as session:
        endpoint = ServingEndpoint(session, address(workspace.url, "toxicity"), PersonalToken(PERSONAL))
        async with _scorer(endpoint, max_batch=1, max_wait=0.0) as scorer:
            await _alone(scorer, 50)
            delays = await _alone(scorer, ALONE)
        rows.append(Row(f"one text, round trip, median of {ALONE}", statistics.median(delays) * 1e3, "ms"))
        rows.append(Row("one text, round trip, 99th percentile", _p99(delays), "ms"))
        single, _ = await _crowd(endpoint, 1)
        for size in (8, 32):
            rate, delays = await _crowd(endpoint, size)
            peer = f"one text a request: {single:,.0f} texts/s"
            rows.append(Row(f"{ASKERS} askers, batches of up to {size}", rate, "texts/s", peer, rate / single))
            rows += [Row("  a text, median", statistics.median(delays) * 1e3, "ms"), Row("  a text, 99th percentile", _p99(delays), "ms")]
        rows += await _away(workspace, endpoint)
    return rows


def _scorer(endpoint: ServingEndpoint, *, max_batch: int, max_wait: float = 0.02) -> DatabricksScorer:
    return DatabricksScorer(endpoint, column="text", spec=OutputSpec(), threshold=0.7, deadline=2.5, max_batch=max_batch, max_wait=max_wait)


async def _alone(scorer: DatabricksScorer, count: int) -> list[float]:
    delays = []
    for _ in range(count):
        started = time.perf_counter()
        await scorer.score([TEXT])
        delays.append(time.perf_counter() - started)
    return delays


async def _crowd(endpoint: ServingEndpoint, size: int) -> tuple[float, list[float]]:
    """(texts a second, seconds of every text)."""
    async with _scorer(endpoint, max_batch=size) as scorer:
        started = time.perf_counter()
        found = await asyncio.gather(*(_alone(scorer, TEXTS // ASKERS) for _ in range(ASKERS)))
        return TEXTS / (time.perf_counter() - started), [delay for each in found for delay in each]


async def _away(workspace: LoopbackWorkspace, endpoint: ServingEndpoint) -> list[Row]:
    """What a text costs once the circuit breaker is open."""
    await workspace.stop()
    async with _scorer(endpoint, max_batch=32) as scorer:
        for _ in range(6):
            await asyncio.gather(_refused(scorer), return_exceptions=True)
        delays = [await _refused(scorer) for _ in range(ALONE)]
    return [Row("a text while the endpoint is given a rest, median", statistics.median(delays) * 1e6, "µs")]


async def _refused(scorer: DatabricksScorer) -> float:
    started = time.perf_counter()
    try:
        await scorer.score([TEXT])
    except ModerationError:
        return time.perf_counter() - started
    raise RuntimeError("an endpoint that is away answered")


def _p99(delays: list[float]) -> float:
    """In milliseconds."""
    return statistics.quantiles(delays, n=100)[98] * 1e3
