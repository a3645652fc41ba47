"""`POST /api/ml/predict` over sockets, with a serving endpoint and without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api import predict
from bot.api.app import create_app
from bot.scoring import databricks
from bot.scoring.breaker import Breaker
from moderation.ports import Endpoint, Scorer
from moderation.predictor import Predictor
from tests.bot.scoring.support import refusing, scoring
from tests.bot.scoring.test_breaker import Clock
from tests.fakes import FakeScorer
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration
Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def api(endpoint: Endpoint | None, local: Scorer | None = None) -> AsyncIterator[Client]:
    routes = predict.routes(Predictor(endpoint, local or FakeScorer(), 0.7))
    async with TestClient(TestServer(create_app({}, token=None, max_body=100_000, routes=routes))) as client:
        yield client


async def test_a_text_and_records_are_answered_by_the_endpoint() -> None:
    async with scoring() as scorer, api(scorer) as client:
        answer = await client.post("/api/ml/predict", json={"text": "you worthless useless fool"})
        said = await answer.json()
        assert (answer.status, said["label"], said["flagged"], said["provider"]) == (200, "flag", True, "databricks")
        assert said["predictions"] == [{"toxicity": said["score"]}]
        rows = await client.post("/api/ml/predict", json={"records": [{"text": "hello", "weight": 0.5}, {"text": "thank you"}]})
        found = await rows.json()
        assert (rows.status, set(found), len(found["predictions"])) == (200, {"predictions", "provider"}, 2)


async def test_without_an_endpoint_the_scorer_that_comes_along_answers() -> None:
    async with api(None, FakeScorer("ugly", name="embedded")) as client:
        said = await (await client.post("/api/ml/predict", json={"text": "how ugly"})).json()
        assert (said["score"], said["label"], said["flagged"], said["provider"]) == (0.95, "flag", True, "embedded")
        refused = await client.post("/api/ml/predict", json={"records": [{"text": "x"}]})
        assert (refused.status, (await refused.json())["code"]) == (400, "invalid-input")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("/invocations", status=400), 502, "scoring-failed"),
        (Fault("/invocations", malformed="garbage"), 502, "scores-unreadable"),
        (Fault("/invocations", malformed="truncated"), 502, "scores-unreadable"),
        (refusing(429, retry_after=7), 503, "scorer-unavailable"),
        (Fault("/invocations", drop=True, times=99), 503, "scorer-unavailable"),
        (Fault("/invocations", hang=True), 504, "scoring-timeout"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
async def test_an_endpoint_that_is_away_has_a_status_and_a_code(
    fault: Fault, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databricks, "PREDICT_SECONDS", 0.3 if fault.hang else 1.0 if fault.drop else 5.0)
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(fault)
    async with scoring(workspace) as scorer, api(scorer) as client:
        answer = await client.post("/api/ml/predict", json={"text": "spoken words"})
        said = await answer.json()
        assert (answer.status, said["code"]) == (status, code)
        assert said["error"]
        assert "spoken words" not in said["error"]
        assert answer.headers.get("Retry-After") == fault.headers.get("Retry-After")


async def test_while_the_endpoint_is_given_a_rest_the_answer_says_for_how_long() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(Fault("/invocations", status=403))
    async with scoring(workspace, breaker=Breaker(Clock(), failures=1, pause=5.0)) as scorer, api(scorer) as client:
        assert (await client.post("/api/ml/predict", json={"text": "x"})).status == 502
        answer = await client.post("/api/ml/predict", json={"text": "x"})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_records_that_the_endpoint_does_not_take_are_the_askers_fault(status: int) -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(Fault("/invocations", status=status))
    async with scoring(workspace) as scorer, api(scorer) as client:
        answer = await client.post("/api/ml/predict", json={"records": [{"txt": "spoken words"}]})
        said = await answer.json()
        assert (answer.status, said["code"]) == (400, "invalid-input")
        assert f"does not take these records ({status})" in said["error"]
        assert "spoken words" not in said["error"]


@pytest.mark.parametrize("question", [{"text": "x"}, {"records": [{"text": "x"}]}])
@pytest.mark.parametrize("raw", [b'{"predictions": ["\\ud800"]}', b'{"predictions":' + b"[" * 90_000 + b"]" * 90_000 + b"}"])
async def test_answers_that_nothing_could_write_out_are_the_endpoints_fault(question: dict[str, object], raw: bytes) -> None:
    part = ServingPart()
    part.raw.append(raw)
    async with scoring(LoopbackWorkspace(part), breaker=Breaker(Clock(), failures=1)) as scorer, api(scorer) as client:
        answer = await client.post("/api/ml/predict", json=question)
        assert (answer.status, (await answer.json())["code"]) == (502, "scores-unreadable")
        assert scorer.breaker.state.value == "open"


async def test_surrogate_pairs_are_characters() -> None:
    part = ServingPart()
    part.raw.append(b'{"predictions": [{"toxicity": 0.9, "why": "\\ud83d\\ude00"}]}')
    async with scoring(LoopbackWorkspace(part)) as scorer, api(scorer) as client:
        said = await (await client.post("/api/ml/predict", json={"text": "x"})).json()
        assert said["predictions"] == [{"toxicity": 0.9, "why": "\U0001f600"}]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "   "},
        {"text": "x" * 5001},
        {"text": 1},
        {"text": "x", "records": [{}]},
        {"records": []},
        {"records": [1]},
        {"txt": "x"},
        [],
    ],
    ids=str,
)
async def test_bad_questions_are_refused(body: object) -> None:
    async with api(None) as client:
        answer = await client.post("/api/ml/predict", json=body)
        assert (answer.status, (await answer.json())["code"]) == (400, "invalid-input")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("1e999", "records: a number is too large."),
        ("1e999999999999999999999", "The body is no JSON that can be used: a number is too large or too small."),
        ("-1e-999999999999999999999", "The body is no JSON that can be used: a number is too large or too small."),
    ],
)
async def test_numbers_that_no_model_takes(number: str, told: str) -> None:
    async with scoring() as scorer, api(scorer) as client:
        answer = await client.post("/api/ml/predict", data=f'{{"records": [{{"a": {{"b": [{number}]}}}}]}}'.encode())
        assert (answer.status, (await answer.json())["error"]) == (400, told)
