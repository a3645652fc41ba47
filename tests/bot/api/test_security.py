"""Who is let in: roles, browsers' cookies, other sites' pages, rates, and connections that only keep a place."""

import asyncio
import gc
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api.access import MAX_SIGNED_IN, SIGNED_IN_SECONDS, Access
from bot.api.app import create_app
from bot.api.limits import MAX_CLIENTS, Connections, Rate
from bot.api.routes import Role, Route

pytestmark = pytest.mark.integration
Client = TestClient[web.Request, web.Application]

OPERATE, READ = "operate-token", "read-token"


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def done(request: web.Request) -> web.Response:
    return web.Response(text="done")


ROUTES = [Route("GET", "/look", done, "Look."), Route("POST", "/change", done, "Change.", role=Role.OPERATE)]


@pytest.fixture
async def guarded() -> AsyncIterator[Client]:
    app = create_app({}, token=OPERATE, read_token=READ, max_body=1000, routes=ROUTES)
    async with TestClient(TestServer(app), cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield client


@pytest.fixture
async def open_to_all() -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app({}, token=None, max_body=1000, routes=ROUTES))) as client:
        yield client


@pytest.mark.parametrize(("token", "look", "change"), [(OPERATE, 200, 200), (READ, 200, 403), ("other", 401, 401)])
async def test_roles(guarded: Client, token: str, look: int, change: int) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert (await guarded.get("/look", headers=headers)).status == look
    assert (await guarded.post("/change", headers=headers)).status == change


async def test_a_browser_signs_in_and_out(guarded: Client) -> None:
    page = await guarded.get("/look", headers={"Accept": "text/html"})
    assert (page.status, page.content_type) == (401, "text/html")
    assert 'action="/sign-in"' in await page.text()
    refused = await guarded.post("/sign-in", data={"token": "other"}, allow_redirects=False)
    assert (refused.status, "Set-Cookie" in refused.headers) == (401, False)
    let_in = await guarded.post("/sign-in", data={"token": READ}, allow_redirects=False)
    assert let_in.status == 303
    cookie = let_in.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert READ not in cookie
    assert (await guarded.get("/look")).status == 200
    assert (await guarded.post("/change")).status == 403
    await guarded.post("/sign-out", allow_redirects=False)
    assert (await guarded.get("/look")).status == 401


@pytest.mark.parametrize(
    ("to", "leads"),
    [("/look?a=b%20c&d=/e", "/look?a=b%20c&d=/e"), ("/voicechat/", "/voicechat/"), ("", "/")]
    + [(to, "/") for to in ("//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "/a\r\nb: c", "evil")],
)
async def test_signing_in_leads_back_to_what_was_wanted_here_and_nowhere_else(guarded: Client, to: str, leads: str) -> None:
    let_in = await guarded.post("/sign-in", data={"token": READ, "to": to}, allow_redirects=False)
    assert (let_in.status, let_in.headers["Location"]) == (303, leads)


def test_browsers_are_forgotten_after_a_time_and_beyond_a_number() -> None:
    clock = FakeClock()
    access = Access(OPERATE, clock=clock)
    values = [access.sign_in(OPERATE) or "" for _ in range(MAX_SIGNED_IN + 1)]
    request = [_with_cookie(v) for v in (values[0], values[-1])]
    assert [access.role(r) for r in request] == [Role.OPEN, Role.OPERATE]
    clock.now += SIGNED_IN_SECONDS
    assert access.role(request[1]) is Role.OPEN


def _with_cookie(value: str) -> web.Request:
    from aiohttp.test_utils import make_mocked_request

    return make_mocked_request("GET", "/", headers={"Cookie": f"earshot={value}"})


async def test_other_sites_pages_change_nothing(open_to_all: Client) -> None:
    theirs = {"Origin": "https://evil.example"}
    assert (await open_to_all.post("/change", headers=theirs)).status == 403
    upgrade = {**theirs, "Upgrade": "websocket", "Connection": "Upgrade"}
    assert (await open_to_all.get("/look", headers=upgrade)).status == 403
    own = {"Origin": f"http://{open_to_all.host}:{open_to_all.port}"}
    assert (await open_to_all.post("/change", headers=own)).status == 200
    for nonsense in ("null", "", "http://["):
        assert (await open_to_all.post("/change", headers={"Origin": nonsense})).status == 403


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1", 200), ("localhost:80", 200), ("[::1]:1", 200), ("evil.example", 421), ("", 421), ("[", 421)]
)
async def test_without_a_token_only_loopback_names_are_served(open_to_all: Client, host: str, status: int) -> None:
    assert (await open_to_all.get("/look", headers={"Host": host})).status == status


async def test_too_many_requests_are_told_when_to_come_back() -> None:
    clock = FakeClock()
    app = create_app({}, token=None, max_body=1000, routes=ROUTES, per_minute=12, clock=clock)
    async with TestClient(TestServer(app)) as client:
        assert [(await client.get("/look")).status for _ in range(3)] == [200, 200, 429]
        refused = await client.get("/look")
        assert (refused.headers["Retry-After"], (await refused.json())["code"]) == ("5", "too-many-requests")
        clock.now += 5
        assert (await client.get("/look")).status == 200


def test_guessing_costs_more_and_addresses_are_bounded() -> None:
    rate = Rate(60, FakeClock())
    assert rate.take("a", cost=10) == 0.0
    assert rate.take("a") > 0
    for number in range(MAX_CLIENTS + 10):
        rate.take(str(number))
    assert len(rate._buckets) == MAX_CLIENTS
    assert rate.refused == 1


async def test_a_connection_without_a_whole_request_is_ended() -> None:
    clock = FakeClock()
    connections = Connections(clock, idle=30)
    served = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        served.set()
        await asyncio.sleep(30)
        return web.Response()

    app = web.Application(middlewares=[connections.watch])
    app.router.add_get("/slow", slow)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: a")
        _, busy = await asyncio.open_connection("127.0.0.1", server.port)
        busy.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await served.wait()
        assert server.handler is not None
        connections.sweep(server.handler)
        clock.now += 30
        connections.sweep(server.handler)
        assert await asyncio.wait_for(reader.read(), 60) == b""
        assert connections.ended == 1
        writer.close()
        busy.close()


async def test_nothing_is_kept_of_connections_that_are_over() -> None:
    """Not until the next look, either: clients that come and go quickly would pile up in between."""
    connections = Connections(FakeClock())

    async def hello(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=[connections.watch])
    app.router.add_get("/", hello)
    async with TestServer(app) as server:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in await asyncio.wait_for(reader.read(), 60)
            writer.close()
        assert server.handler is not None
        while server.handler.connections:  # noqa: ASYNC110 - their end is no event of ours
            await asyncio.sleep(0)
        gc.collect()
        assert (len(connections._since), len(connections._busy)) == (0, 0)


async def test_pages_run_nothing_from_elsewhere(guarded: Client) -> None:
    page = await guarded.get("/look", headers={"Accept": "text/html"})
    policy, html = page.headers["Content-Security-Policy"], await page.text()
    assert "unsafe" not in policy
    assert "https:" not in html
    assert "style=" not in html
    for name in ("earshot.css", "icon.svg"):
        assert (await guarded.get(f"/static/{name}")).status == 200
    for name in ("..%2fpages.py", "nothing.css", "%00.css"):
        assert (await guarded.get(f"/static/{name}")).status == 404
