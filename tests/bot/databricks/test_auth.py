"""Tokens for machines, against a workspace on a socket."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.databricks.auth import FAILURE_SECONDS, PersonalToken, ServicePrincipal
from moderation.errors import NotAllowed, SignInUnavailable
from tests.bot.voice.support import until
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.oauth import OAuthPart
from tests.loopback.databricks.tokens import Tokens
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def oauth() -> OAuthPart:
    return OAuthPart(Tokens(), lifetime=3600)


@pytest.fixture
async def workspace(oauth: OAuthPart) -> AsyncIterator[LoopbackWorkspace]:
    async with LoopbackWorkspace(oauth) as workspace:
        yield workspace


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def principal(session: aiohttp.ClientSession, workspace: LoopbackWorkspace, clock: FakeClock) -> ServicePrincipal:
    return ServicePrincipal(session, workspace.url, "loopback-client", "loopback-secret", clock)


async def test_a_personal_token_is_what_it_is() -> None:
    token = PersonalToken("dapi-1")
    token.rejected(await token.headers())
    assert await token.headers() == {"Authorization": "Bearer dapi-1"}


async def test_a_token_serves_all_until_a_minute_before_its_end(principal: ServicePrincipal, oauth: OAuthPart, clock: FakeClock) -> None:
    first = await principal.headers()
    clock.now += 3600 - 61
    assert await principal.headers() == first
    clock.now += 1
    assert await principal.headers() == {"Authorization": f"Bearer {oauth.given[1]}"}
    assert len(oauth.given) == 2


async def test_many_who_ask_at_once_share_one_request(principal: ServicePrincipal, oauth: OAuthPart) -> None:
    answers = await asyncio.gather(*(principal.headers() for _ in range(20)))
    assert answers == [{"Authorization": f"Bearer {oauth.given[0]}"}] * 20
    assert len(oauth.given) == 1


async def test_a_refused_token_is_not_given_again(principal: ServicePrincipal, oauth: OAuthPart) -> None:
    first = await principal.headers()
    principal.rejected(first)
    assert await principal.headers() != first


async def test_many_who_are_refused_the_same_token_cost_one_new_one(principal: ServicePrincipal, oauth: OAuthPart) -> None:
    first = await principal.headers()
    for _ in range(6):  # answers that come one after the other
        principal.rejected(first)
        assert await principal.headers() == {"Authorization": f"Bearer {oauth.given[1]}"}
    assert len(oauth.given) == 2


async def test_who_gives_up_does_not_end_the_request_for_a_token(
    principal: ServicePrincipal, workspace: LoopbackWorkspace, oauth: OAuthPart
) -> None:
    workspace.faults.append(Fault("/oidc", delay=0.3))
    for _ in range(3):
        asking = asyncio.create_task(principal.headers())
        await until(lambda: workspace.requests)
        asking.cancel()
        await asyncio.wait({asking})
    assert await principal.headers() == {"Authorization": f"Bearer {oauth.given[0]}"}
    assert len(workspace.requests) == 1


async def test_a_request_for_a_token_ends_with_its_owner(principal: ServicePrincipal, workspace: LoopbackWorkspace) -> None:
    workspace.faults.append(Fault("/oidc", hang=True))
    waiting = asyncio.create_task(principal.headers())
    await until(lambda: workspace.requests)
    await principal.aclose()
    await principal.aclose()
    for asker in (waiting, principal.headers()):
        with pytest.raises(SignInUnavailable, match="stopping"):
            await asker
    assert len(workspace.requests) == 1
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "Databricks token"]


async def test_while_there_is_no_token_a_crowd_asks_once_a_second(
    principal: ServicePrincipal, workspace: LoopbackWorkspace, clock: FakeClock
) -> None:
    workspace.faults.append(Fault("/oidc", status=503, times=99))
    for _ in range(3):
        told = await asyncio.gather(*(principal.headers() for _ in range(8)), return_exceptions=True)
        assert [type(each) for each in told] == [SignInUnavailable] * 8
    assert len(workspace.requests) == 1
    clock.now += FAILURE_SECONDS
    with pytest.raises(SignInUnavailable):
        await principal.headers()
    assert len(workspace.requests) == 2


async def test_a_token_that_is_said_to_live_no_time_is_not_asked_for_in_a_loop(principal: ServicePrincipal, oauth: OAuthPart) -> None:
    oauth.lifetime = 0
    assert await principal.headers() == await principal.headers()


async def test_a_wrong_secret_says_which_settings_to_check(session: aiohttp.ClientSession, workspace: LoopbackWorkspace) -> None:
    principal = ServicePrincipal(session, workspace.url, "loopback-client", "wrong-secret")
    with pytest.raises(NotAllowed, match="DATABRICKS_CLIENT_SECRET") as refused:
        await principal.headers()
    assert "wrong-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
        Fault(drop=True),
        Fault(malformed="garbage"),
        Fault(malformed="truncated"),
    ],
    ids=["503", "redirect", "drop", "garbage", "truncated"],
)
async def test_no_token_for_now(
    principal: ServicePrincipal, workspace: LoopbackWorkspace, oauth: OAuthPart, clock: FakeClock, fault: Fault
) -> None:
    workspace.faults.append(fault)
    with pytest.raises(SignInUnavailable) as refused:
        await principal.headers()
    assert not any(token in str(refused.value) for token in [*oauth.given, "loopback-secret"])
    clock.now += FAILURE_SECONDS
    assert (await principal.headers())["Authorization"] == f"Bearer {oauth.given[-1]}"


async def test_a_workspace_that_is_gone(principal: ServicePrincipal, workspace: LoopbackWorkspace, clock: FakeClock) -> None:
    await workspace.stop()
    with pytest.raises(SignInUnavailable, match="cannot be reached"):
        await principal.headers()
    await workspace.start()
    clock.now += FAILURE_SECONDS
    assert await principal.headers()


async def test_the_well_known_documents_lead_to_the_token_endpoint(session: aiohttp.ClientSession, workspace: LoopbackWorkspace) -> None:
    async with session.get(f"{workspace.url}/.well-known/databricks-config") as response:
        oidc = (await response.json())["oidc_endpoint"]
    async with session.get(f"{oidc}/.well-known/oauth-authorization-server") as response:
        assert (await response.json())["token_endpoint"] == f"{workspace.url}/oidc/v1/token"
