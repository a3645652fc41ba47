"""From settings to what scores."""

import asyncio

import pytest
from pydantic import SecretStr

from bot.api.health import Status
from bot.commands.check import serving
from bot.databricks.access import workspace_of
from bot.scoring.local import LocalScorer
from bot.scoring.opening import open_scoring, output_spec
from config.kinds import EmbeddedUse, FlaggingProvider, ScoreType
from config.output_specs import OutputSpec
from config.settings import Settings
from moderation.errors import DetectorError, ScoringFailed
from moderation.models import TranscriptSegment
from tests.fakes import FakeScorer
from tests.loopback.databricks.oauth import OAuthPart
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.tokens import PERSONAL, Tokens
from tests.loopback.databricks.workspace import LoopbackWorkspace
from tests.moderation.detectors.sessions import SESSION

pytestmark = pytest.mark.integration


def databricks(url: str = "http://127.0.0.1:1", **more: object) -> Settings:
    return Settings.model_validate(
        {"databricks_host": url, "databricks_token": SecretStr(PERSONAL), "databricks_endpoint": "toxicity", **more}
    )


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Settings(), []),
        (Settings(earshot_embedded_scorer=EmbeddedUse.ON), ["embedded"]),
        (databricks(), ["databricks"]),
        (databricks(earshot_embedded_scorer="on"), ["embedded", "databricks"]),
        (databricks(flagging_provider="lexicon"), []),
        (databricks(flagging_provider="databricks"), ["databricks"]),
    ],
)
async def test_which_detectors_calls_go_through(settings: Settings, names: list[str]) -> None:
    async with open_scoring(settings, load=FakeScorer) as scoring:
        assert [d.name for d in scoring.detectors] == names
        assert (scoring.endpoint is None) == (settings.databricks_endpoint is None)
        assert scoring.troubles() == ()


async def test_the_scorer_that_comes_along_is_the_real_one() -> None:
    async with open_scoring(Settings()) as scoring:
        insult, greeting = await scoring.local.score(["you are a worthless idiot", "good evening everybody"])
    assert insult.score > 0.7 > greeting.score
    assert insult.categories


async def test_it_stands_in_for_an_endpoint_that_is_away() -> None:
    async with open_scoring(databricks(earshot_score_deadline_seconds=1.0)) as scoring:
        segment = TranscriptSegment("s", 1, 0, 0.0, 1.0, "you are a worthless idiot", final=True)
        (flag,) = await scoring.detectors[0].detect(SESSION, segment)
        assert flag.detector == "embedded"
        (trouble,) = scoring.troubles()
        assert trouble.endswith("The lexicon goes on. The embedded scorer answers instead.")


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({}, Status.DEGRADED, "The lexicon goes on. The embedded scorer answers instead."),
        ({"earshot_embedded_scorer": "off"}, Status.DEGRADED, "The lexicon goes on."),
        ({"flagging_provider": "databricks"}, Status.DEGRADED, "The embedded scorer answers instead."),
        ({"flagging_provider": "databricks", "earshot_embedded_scorer": "off"}, Status.DOWN, "Nothing is flagged meanwhile."),
        ({"flagging_provider": "lexicon"}, Status.DEGRADED, "Only /predict and POST /api/ml/predict need it."),
    ],
    ids=str,
)
async def test_what_goes_on_without_the_endpoint_is_told(more: dict[str, str], status: Status, said: str) -> None:
    async with open_scoring(databricks(**more)) as scoring:
        assert scoring.health is not None
        found = await scoring.health.probe()
        assert found.status is status
        assert found.detail == f"The serving endpoint toxicity cannot be reached (ClientConnectorError). {said}"


async def test_without_databricks_nothing_is_opened_or_loaded() -> None:
    def load() -> FakeScorer:
        raise AssertionError("nobody asked")

    tasks = asyncio.all_tasks()
    async with open_scoring(Settings(), load=load) as scoring:
        assert asyncio.all_tasks() == tasks
        assert scoring.health is None


@pytest.mark.parametrize("who", ["token", "principal"])
async def test_it_scores_as_a_person_or_as_a_service_principal(who: str) -> None:
    tokens = Tokens()
    async with LoopbackWorkspace(ServingPart(tokens=tokens), OAuthPart(tokens)) as workspace:
        settings = databricks(workspace.url)
        if who == "principal":
            secret = SecretStr("loopback-secret")
            update = {"databricks_token": None, "databricks_client_id": "loopback-client", "databricks_client_secret": secret}
            settings = settings.model_copy(update=update)
        async with open_scoring(settings) as scoring:
            assert scoring.endpoint is not None
            (score,) = await scoring.endpoint.score(["you worthless useless fool"])
            assert score.label == "flag"
    assert [path for _, path in workspace.requests if "oidc" in path] == (["/oidc/v1/token"] if who == "principal" else [])


def test_an_endpoints_own_spec_goes_over_the_one_for_all() -> None:
    settings = databricks(
        databricks_score_type="percent_0_100",
        databricks_positive_class="bad",
        databricks_endpoint_output_specs={"toxicity": {"score_type": "logit"}, "other": {"positive_class": "x"}},
    )
    assert output_spec(settings, "toxicity") == OutputSpec(score_type=ScoreType.LOGIT, positive_class="bad")
    assert output_spec(settings, "unknown").score_type is ScoreType.PERCENT


async def test_the_local_scorer_is_loaded_once_and_again_where_that_failed() -> None:
    made = FakeScorer("ugly")
    outcomes: list[Exception | None] = [DetectorError("the model file is damaged"), None]
    loads = 0

    def load() -> FakeScorer:
        nonlocal loads
        loads += 1
        if (problem := outcomes.pop(0)) is not None:
            raise problem
        return made

    local = LocalScorer(load)
    with pytest.raises(ScoringFailed, match="damaged"):
        await local.score(["x"])
    await asyncio.gather(*(local.score(["ugly"]) for _ in range(5)))
    assert (loads, len(made.asked)) == (2, 5)


def test_a_url_names_its_workspace() -> None:
    settings = Settings(databricks_endpoint="https://h.example:8/serving-endpoints/e/invocations")
    assert workspace_of(settings) == "https://h.example:8"
    assert workspace_of(Settings()) is None


async def test_the_doctor_scores_a_text() -> None:
    assert not (await serving(Settings())).needed
    async with LoopbackWorkspace(ServingPart()) as workspace:
        found = await serving(databricks(workspace.url))
        assert (found.ok, "a greeting scores 0.0" in found.detail) == (True, True)
        refused = await serving(databricks(workspace.url, databricks_token=SecretStr("wrong")))
        assert (refused.ok, refused.needed) == (False, False)
        assert "DATABRICKS_TOKEN" in refused.detail
        alone = await serving(databricks(workspace.url, databricks_endpoint="none", flagging_provider=FlaggingProvider.DATABRICKS))
        assert (alone.ok, alone.needed) == (False, True)
