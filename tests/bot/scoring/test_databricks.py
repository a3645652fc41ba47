"""The scorer: batches over all who ask, one deadline a text, rest for an endpoint that fails."""

import asyncio
import json
import logging
from collections.abc import Mapping

import pytest

from bot.scoring.breaker import Breaker, State
from config.kinds import ScoreType
from config.output_specs import OutputSpec
from moderation.errors import InvalidInput, ScorerUnavailable, ScoresUnreadable, ScoringFailed, ScoringTimeout
from tests.bot.scoring.support import FakeCredentials, refusing, scoring
from tests.bot.scoring.test_breaker import Clock
from tests.bot.voice.support import until
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.serving import Endpoint, ServingPart
from tests.loopback.databricks.tokens import PERSONAL
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration


async def test_what_is_asked_at_the_same_time_goes_out_together_and_comes_back_to_its_asker() -> None:
    part = ServingPart()
    words = ["useless", "nice", "worthless", "hello"] * 16
    seen: list[tuple[int, float]] = []
    async with scoring(LoopbackWorkspace(part), concurrency=2) as scorer:
        scorer.stats.observe = lambda size, seconds: seen.append((size, seconds))
        found = await asyncio.gather(*(scorer.score([f"you {word}"]) for word in words))
    assert [s.label for (s,) in found] == ["flag" if word.endswith("less") else "ok" for word in words]
    assert part.endpoints["toxicity"].batches == [32, 32]
    assert [size for size, _ in seen] == [32, 32]
    assert (scorer.stats.scored, scorer.stats.batches, scorer.stats.failed) == (64, 2, {})


async def test_an_endpoint_that_hangs_costs_every_text_its_deadline_and_no_more() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(Fault("/invocations", hang=True, times=9))
    async with scoring(workspace, deadline=1.0, concurrency=1, max_waiting=3) as scorer:
        found = await asyncio.gather(*(scorer.score(["x"]) for _ in range(5)), return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["ScorerUnavailable", "ScorerUnavailable", *["ScoringTimeout"] * 3]
        assert (scorer.waiting, scorer.refused) == (0, 2)
        assert scorer.stats.failed == {"scorer-unavailable": 2, "scoring-timeout": 3}
    assert len(workspace.requests) == 1


async def test_after_failures_in_a_row_it_is_not_asked_until_the_pause_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    workspace, clock = LoopbackWorkspace(ServingPart()), Clock()
    workspace.faults.append(refusing(403, times=3))
    breaker = Breaker(clock, failures=3, pause=5.0)
    async with scoring(workspace, breaker=breaker) as scorer:
        for _ in range(3):
            with pytest.raises(ScoringFailed):
                await scorer.score(["x"])
        assert (len(workspace.requests), breaker.state) == (3, State.OPEN)
        assert "CAN QUERY" in scorer.trouble
        with pytest.raises(ScorerUnavailable):
            await scorer.score(["x"])
        assert len(workspace.requests) == 3
        clock.now += 5.0
        await scorer.score(["x"])
        assert [r.message for r in caplog.records if r.name == "bot.scoring.databricks"] == [
            "the serving endpoint is given a rest",
            "the serving endpoint answers again",
        ]
        assert (breaker.state, scorer.trouble) == (State.CLOSED, "")


@pytest.mark.parametrize("status", [429, 503])
async def test_an_endpoint_that_says_how_long_to_wait_is_not_asked_before(status: int) -> None:
    workspace, clock = LoopbackWorkspace(ServingPart()), Clock()
    workspace.faults.append(refusing(status, retry_after=30.0))
    async with scoring(workspace, breaker=Breaker(clock)) as scorer:
        for left, passes in ((30.0, 0.0), (30.0, 29.5), (0.5, 0.5)):
            with pytest.raises(ScorerUnavailable) as caught:
                await scorer.score(["x"])
            assert caught.value.retry_after == left
            clock.now += passes
        assert len(workspace.requests) == 1
        await scorer.score(["x"])
        assert (len(workspace.requests), scorer.trouble) == (2, "")


async def test_an_answer_that_cannot_be_read_counts_against_the_endpoint() -> None:
    part = ServingPart()
    part.raw.extend([json.dumps({"predictions": [2.0]}).encode()] * 3)
    async with scoring(LoopbackWorkspace(part), breaker=Breaker(Clock(), failures=3)) as scorer:
        for _ in range(3):
            with pytest.raises(ScoresUnreadable):
                await scorer.score(["x"])
        assert scorer.breaker.state.value == "open"
        assert "DATABRICKS_SCORE_TYPE" in scorer.trouble


async def test_rate_gives_the_predictions_as_they_came() -> None:
    part = ServingPart(Endpoint("toxicity", model=lambda texts: [{"pct": 93.0, "why": "x"} for _ in texts]))
    spec = OutputSpec(score_field="pct", score_type=ScoreType.PERCENT)
    async with scoring(LoopbackWorkspace(part), spec=spec) as scorer:
        score, predictions = await scorer.rate("anything")
    assert (score.score, score.label) == (0.93, "flag")
    assert predictions == [{"pct": 93.0, "why": "x"}]


async def test_records_are_answered_as_they_came_and_bad_ones_do_not_count_against_the_endpoint() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    async with scoring(workspace, breaker=Breaker(Clock(), failures=1)) as scorer:
        assert len(await scorer.predict([{"text": "a"}, {"text": "b"}])) == 2
        with pytest.raises(InvalidInput, match=r"does not take these records .400 INVALID_PARAMETER_VALUE.*input schema"):
            await scorer.predict([{"wrong": "column"}])
        assert scorer.breaker.state.value == "closed"
        workspace.faults.append(refusing(503, retry_after=60.0))
        with pytest.raises(ScorerUnavailable):
            await scorer.predict([{"text": "a"}])
        assert scorer.breaker.state.value == "open"


@pytest.mark.parametrize(("deadline", "requests"), [(3.0, 2), (7.0, 4)])
async def test_one_deadline_holds_over_all_retries_together(deadline: float, requests: int) -> None:
    clock = Clock()

    class SlowCredentials(FakeCredentials):
        async def headers(self) -> Mapping[str, str]:
            clock.now += 2.0  # what an attempt takes
            return await super().headers()

    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(refusing(503, times=10_000))
    async with scoring(workspace, SlowCredentials(PERSONAL), deadline=deadline, clock=clock) as scorer:
        with pytest.raises(ScorerUnavailable, match="503"):
            await scorer.score(["x"])
    assert len(workspace.requests) == requests


async def test_what_waited_too_long_for_its_turn_is_not_sent() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(Fault("/invocations", hang=True))
    async with scoring(workspace, concurrency=1, deadline=60.0) as scorer:
        first = asyncio.create_task(scorer.score(["x"]))
        await until(lambda: workspace.requests)
        scorer._deadline = 0.05
        with pytest.raises(ScoringTimeout):
            await scorer.score(["y"])
        workspace.released.set()
        await first
    assert len(workspace.requests) == 2, "the first one, and once more after it was cut"


async def test_a_monologue_is_cut() -> None:
    lengths: list[int] = []

    def model(texts: object) -> list[float]:
        assert isinstance(texts, list)
        lengths.extend(len(t) for t in texts)
        return [0.1] * len(texts)

    async with scoring(LoopbackWorkspace(ServingPart(Endpoint("toxicity", model=model)))) as scorer:
        await scorer.score(["x" * 1_000_000])
    assert lengths == [5_000]
