"""How the endpoint fares, as `/ready` and `/voice status` tell it."""

import pytest

from bot.api.health import Status
from bot.scoring import health as module
from bot.scoring.breaker import Breaker
from bot.scoring.health import ServingHealth
from moderation.errors import ScoringFailed
from tests.bot.scoring.support import scoring
from tests.bot.scoring.test_breaker import Clock
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration
MEANWHILE = "The lexicon goes on."


async def test_before_the_first_text_databricks_is_asked_and_not_too_often() -> None:
    part = ServingPart()
    workspace, clock = LoopbackWorkspace(part), Clock()
    async with scoring(workspace) as scorer:
        health = ServingHealth(scorer, meanwhile=MEANWHILE, clock=clock)
        assert (await health.probe()).status is Status.OK
        part.endpoints["toxicity"].ready = False
        assert (await health.probe()).status is Status.OK
        assert len(workspace.requests) == 1
        clock.now += module.QUIET_SECONDS
        found = await health.probe()
        assert (found.status, "not ready" in found.detail, MEANWHILE in found.detail) == (Status.DEGRADED, True, True)
        assert health.troubles() == ()


async def test_a_score_is_proof_enough() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    async with scoring(workspace) as scorer:
        await scorer.score(["x"])
        assert (await ServingHealth(scorer, meanwhile=MEANWHILE).probe()).detail == "1 texts scored since the start"
    assert len(workspace.requests) == 1


@pytest.mark.parametrize(("essential", "status"), [(False, Status.DEGRADED), (True, Status.DOWN)])
async def test_an_endpoint_that_failed_is_tried_again_and_told_until_it_works(essential: bool, status: Status) -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(Fault("/invocations", status=403, times=2))
    async with scoring(workspace) as scorer:
        health = ServingHealth(scorer, meanwhile=MEANWHILE, essential=essential)
        with pytest.raises(Exception, match="CAN QUERY"):
            await scorer.score(["x"])
        (trouble,) = health.troubles()
        assert trouble.endswith(MEANWHILE)
        found = await health.probe()
        assert (found.status, "CAN QUERY" in found.detail) == (status, True)
        assert (await health.probe()).status is Status.OK
        assert health.troubles() == ()


async def test_while_it_is_given_a_rest_nobody_asks() -> None:
    workspace, clock = LoopbackWorkspace(ServingPart()), Clock()
    workspace.faults.append(Fault("/invocations", status=403, times=99))
    async with scoring(workspace, breaker=Breaker(clock, failures=1)) as scorer:
        with pytest.raises(ScoringFailed):
            await scorer.score(["x"])
        asked = len(workspace.requests)
        assert (await ServingHealth(scorer, meanwhile=MEANWHILE).probe()).status is Status.DEGRADED
        assert len(workspace.requests) == asked


async def test_an_endpoint_that_hangs_does_not_make_ready_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(Fault("/api", hang=True))
    async with scoring(workspace) as scorer:
        found = await ServingHealth(scorer, meanwhile=MEANWHILE).probe()
        assert (found.status, "does not answer" in found.detail) == (Status.DEGRADED, True)
