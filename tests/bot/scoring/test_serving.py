"""The serving endpoint over a socket: what is retried, what is not, and that the deadline is kept."""

from collections.abc import Callable, Sequence

import aiohttp
import pytest

from bot.databricks.auth import ServicePrincipal
from bot.scoring import wire
from bot.scoring.serving import RequestRefused, ServingEndpoint, address, records, split
from moderation.errors import ModerationError, ScorerUnavailable, ScoresUnreadable, ScoringFailed, ScoringTimeout
from tests.bot.scoring.support import FakeCredentials, asking, now, refusing
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.oauth import OAuthPart
from tests.loopback.databricks.serving import Endpoint, ServingPart
from tests.loopback.databricks.tokens import Tokens
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration
TEXTS = ["you are useless", "good evening"]


async def ask(endpoint: ServingEndpoint, seconds: float = 5.0) -> dict[str, list[dict[str, float]]]:
    answer: dict[str, list[dict[str, float]]] = await endpoint.invoke(records("text", TEXTS), now() + seconds)
    return answer


@pytest.mark.parametrize("shape", [records, split])
async def test_both_request_forms_are_answered(shape: Callable[[str, Sequence[str]], dict[str, object]]) -> None:
    part = ServingPart()
    async with asking(LoopbackWorkspace(part)) as endpoint:
        answer = await endpoint.invoke(shape("text", TEXTS), now() + 5)
    first, second = (row["toxicity"] for row in answer["predictions"])
    assert first > 0.7 > second
    assert part.endpoints["toxicity"].forms == [f"dataframe_{shape.__name__}"]


@pytest.mark.parametrize(
    "fault",
    [
        refusing(429, retry_after=0.01),
        refusing(429),
        refusing(503, times=2),
        refusing(503, retry_after=0.01),
        refusing(500),
        refusing(504),
        Fault("/invocations", drop=True),
        Fault("/invocations", drop=True, when="after"),
    ],
    ids=lambda f: f"{f.status or 'drop'} {f.when} {dict(f.headers)}",
)
async def test_what_passes_is_retried(fault: Fault) -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(fault)
    async with asking(workspace) as endpoint:
        assert len((await ask(endpoint))["predictions"]) == 2
        assert endpoint.stats.retries == fault.times
        assert sum(endpoint.stats.errors.values()) == fault.times


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "DATABRICKS_INPUT_COLUMN"),
        (422, "DATABRICKS_INPUT_COLUMN"),
        (403, "CAN QUERY"),
        (413, "too large"),
        (302, "DATABRICKS_HOST"),
        (418, "expects"),
    ],
)
async def test_what_does_not_pass_is_not_retried(status: int, said: str) -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(refusing(status))
    async with asking(workspace) as endpoint:
        with pytest.raises(ScoringFailed, match=said) as caught:
            await ask(endpoint)
    assert type(caught.value) is (RequestRefused if status in (400, 413, 422) else ScoringFailed)
    assert len(workspace.requests) == 1


async def test_a_model_that_fails_is_asked_again_once() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(refusing(500, times=9))
    async with asking(workspace) as endpoint:
        with pytest.raises(ScorerUnavailable):
            await ask(endpoint)
    assert len(workspace.requests) == 2


async def test_a_wait_longer_than_the_deadline_is_told_at_once() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(refusing(429, retry_after=30.0))
    async with asking(workspace) as endpoint:
        with pytest.raises(ScorerUnavailable, match=r"429 REQUEST_LIMIT_EXCEEDED") as caught:
            await ask(endpoint)
    assert caught.value.retry_after == 30.0
    assert len(workspace.requests) == 1


async def test_an_endpoint_that_hangs_is_left_at_the_deadline() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(Fault("/invocations", hang=True))
    async with asking(workspace) as endpoint:
        with pytest.raises(ScoringTimeout):
            await ask(endpoint, 0.2)
        assert endpoint.stats.errors == {"timeout": 1}


async def test_an_endpoint_that_keeps_failing_is_given_up_inside_the_deadline() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults.append(refusing(503, times=10_000))
    async with asking(workspace) as endpoint:
        with pytest.raises(ScorerUnavailable, match="503"):
            await ask(endpoint, 1.0)
    assert len(workspace.requests) > 2


async def test_an_endpoint_that_fails_and_then_hangs_is_said_to_fail() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    workspace.faults += [refusing(503), Fault("/invocations", hang=True)]
    async with asking(workspace) as endpoint:
        with pytest.raises(ScorerUnavailable, match="503"):
            await ask(endpoint, 1.0)
        assert endpoint.stats.errors == {"http-503": 1, "timeout": 1}


async def test_nobody_there() -> None:
    async with aiohttp.ClientSession() as session:
        endpoint = ServingEndpoint(session, address("http://127.0.0.1:1", "toxicity"), FakeCredentials("any"), first_pause=0.001)
        with pytest.raises(ScorerUnavailable, match="cannot be reached"):
            await ask(endpoint, 1.0)
        with pytest.raises(ScorerUnavailable, match="cannot be reached"):
            await endpoint.ready()


async def test_a_refused_token_is_exchanged_once_where_there_is_another() -> None:
    workspace = LoopbackWorkspace(ServingPart())
    async with asking(workspace, FakeCredentials("expired", "dapi-loopback")) as endpoint:
        assert len((await ask(endpoint))["predictions"]) == 2
    assert len(workspace.requests) == 2


@pytest.mark.parametrize(("tokens", "requests"), [(("wrong",), 1), (("wrong", "wrong too"), 2)])
async def test_a_refused_token_is_told_where_there_is_no_other(tokens: tuple[str, ...], requests: int) -> None:
    workspace = LoopbackWorkspace(ServingPart())
    async with asking(workspace, FakeCredentials(*tokens)) as endpoint:
        with pytest.raises(ScoringFailed, match="refuses the credentials") as caught:
            await ask(endpoint)
    assert len(workspace.requests) == requests
    assert "wrong" not in str(caught.value)


async def test_a_service_principal_whose_token_was_revoked_gets_a_new_one() -> None:
    tokens = Tokens()
    sign_in = OAuthPart(tokens)
    workspace = LoopbackWorkspace(ServingPart(tokens=tokens), sign_in)
    async with workspace, aiohttp.ClientSession() as session:
        who = ServicePrincipal(session, workspace.url, "loopback-client", "loopback-secret")
        endpoint = ServingEndpoint(session, address(workspace.url, "toxicity"), who)
        await ask(endpoint)
        sign_in.revoke()
        await ask(endpoint)
        assert len(sign_in.given) == 2
        workspace.faults.append(Fault("/oidc", status=503, times=9))
        sign_in.revoke()
        with pytest.raises(ScorerUnavailable, match="no token"):
            await ask(endpoint)
        stranger = ServingEndpoint(session, address(workspace.url, "toxicity"), ServicePrincipal(session, workspace.url, "x", "wrong"))
        workspace.faults.clear()
        with pytest.raises(ScoringFailed, match="DATABRICKS_CLIENT_SECRET"):
            await ask(stranger)


async def test_an_unknown_endpoint_is_named() -> None:
    async with asking(LoopbackWorkspace(ServingPart()), name="toxicitee") as endpoint:
        with pytest.raises(ScoringFailed, match=r"toxicitee does not exist.*404 RESOURCE_DOES_NOT_EXIST"):
            await ask(endpoint)


async def test_a_refusal_that_echoes_what_was_said_is_not_repeated() -> None:
    part = ServingPart(Endpoint("toxicity", column="comment"))
    async with asking(LoopbackWorkspace(part)) as endpoint:
        with pytest.raises(ScoringFailed, match="INVALID_PARAMETER_VALUE") as caught:
            await ask(endpoint)
    assert "useless" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"predictions": [',
        b"\xff\xfe",
        b'["\xed\xa0\x80"]',
        b"[" + b"0," * 50_000 + b"0]",
        b"[" * 40_000 + b"]" * 40_000,
        b"[" * 40 + b"]" * 40,
        b'{"predictions": ["\\uD800"]}',
        b'{"predictions": [{"toxicity": 0.9, "\\udfff": 0.1}]}',
    ],
    ids=["html", "cut", "not UTF-8", "surrogate in UTF-8", "too large", "far too deep", "too deep", "surrogate", "surrogate in a name"],
)
async def test_answers_that_are_too_large_or_no_json_that_can_be_used(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_ANSWER", 100_000)
    part = ServingPart()
    part.raw.append(body)
    async with asking(LoopbackWorkspace(part)) as endpoint:
        with pytest.raises(ScoresUnreadable):
            await ask(endpoint)


async def test_the_state_of_an_endpoint() -> None:
    part = ServingPart()
    workspace = LoopbackWorkspace(part)
    async with asking(workspace) as endpoint:
        assert await endpoint.ready() is True
        part.endpoints["toxicity"].ready = False
        assert await endpoint.ready() is False
        workspace.faults.append(Fault("/api/2.0", status=403))
        assert await endpoint.ready() is None, "CAN QUERY does not imply CAN VIEW"
        workspace.faults.append(Fault("/api/2.0", status=404))
        with pytest.raises(ModerationError, match="does not exist"):
            await endpoint.ready()


@pytest.mark.parametrize(
    ("endpoint", "name", "invocations", "state"),
    [
        ("tox", "tox", "https://w/serving-endpoints/tox/invocations", "https://w/api/2.0/serving-endpoints/tox"),
        (
            "https://x/1/serving-endpoints/tox/invocations",
            "tox",
            "https://x/1/serving-endpoints/tox/invocations",
            "https://w/api/2.0/serving-endpoints/tox",
        ),
        (
            "https://x/serving-endpoints/tox/",
            "tox",
            "https://x/serving-endpoints/tox/invocations",
            "https://w/api/2.0/serving-endpoints/tox",
        ),
    ],
)
def test_addresses(endpoint: str, name: str, invocations: str, state: str) -> None:
    where = address("https://w", endpoint)
    assert (where.name, where.invocations, where.state) == (name, invocations, state)
