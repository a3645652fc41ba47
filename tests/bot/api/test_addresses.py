"""Addresses and methods: who is told that there is nothing, what HEAD answers, slashes, and pages for those who prefer them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api import feed as feeds
from bot.api import live_pages, live_socket
from bot.api.accept import prefers_html
from bot.api.app import create_app, serve
from bot.api.feed import Feed
from bot.api.routes import ROUTES, Role, Route
from bot.api.streams import Streams
from moderation.scoring import TextScoring
from tests.fakes import FakeTranscriber

pytestmark = pytest.mark.integration
Client = TestClient[web.Request, web.Application]

OPERATE, READ = "operate-token", "read-token"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


async def done(request: web.Request) -> web.Response:
    return web.Response(text="done")


def whole(token: str | None = None) -> web.Application:
    routes = [
        *live_pages.routes(tuple),
        *live_socket.routes(Streams(FakeTranscriber()), TextScoring(None, None, 0.7)),
        *feeds.routes(Feed(tuple)),
        Route("POST", "/change", done, "Change.", role=Role.OPERATE),
    ]
    read = READ if token else None
    return create_app({}, token=token, read_token=read, max_body=1000, routes=routes, render=lambda: ("text/plain", b"figures 1\n"))


@pytest.fixture
async def guarded() -> AsyncIterator[Client]:
    async with TestClient(TestServer(whole(OPERATE))) as client:
        yield client


@pytest.fixture
async def open_to_all() -> AsyncIterator[Client]:
    async with TestClient(TestServer(whole())) as client:
        yield client


@pytest.mark.parametrize("token", [OPERATE, READ])
async def test_whoever_may_look_is_told_what_is_not_there(guarded: Client, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not-found"),
        ("POST", "/nothing", 404, "not-found"),
        ("POST", "/api/docs", 405, "method-not-allowed"),
        ("DELETE", "/change", 405, "method-not-allowed"),
    ):
        answer = await guarded.request(method, path, headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (status, code), (method, path)
    assert (await guarded.post("/change", headers=headers)).status == (200 if token == OPERATE else 403)
    assert (await guarded.get("/nothing")).status == 401


async def test_head_is_get_without_the_body() -> None:
    """All on one connection: what comes after an answer that is wrongly framed is garbage."""
    app = whole()
    async with serve(app, "127.0.0.1", 0) as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for route in {id(r): r for r in app[ROUTES].values() if r.method == "GET"}.values():
            path = route.template.replace("{name}", "icon.svg")
            writer.write(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 405 " if route.endless else b"HTTP/1.1 200 "), (path, head)
            if route.endless:
                assert b"Allow: GET\r\n" in head
                continue
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            same = await reader.readuntil(b"\r\n\r\n")
            assert _length(same) == _length(head), path
            assert len(await reader.readexactly(_length(same))) > 0
        writer.close()


def _length(head: bytes) -> int:
    return next(int(line[15:]) for line in head.splitlines() if line.lower().startswith(b"content-length:"))


async def test_a_slash_more_or_less_is_the_same(open_to_all: Client) -> None:
    for path in ("/health", "/ready", "/metrics", "/api/docs", "/api/openapi.json", "/voicechat", "/demo/live-audio"):
        bare, slashed = await open_to_all.get(path), await open_to_all.get(f"{path}/")
        assert (bare.status, slashed.status, bare.content_type) == (200, 200, slashed.content_type), path
    assert (await open_to_all.post("/change/")).status == 200
    assert (await open_to_all.get("/static/icon.svg/")).status == 404
    assert (await open_to_all.get("/health//")).status == 404


async def test_probes_need_no_token_with_a_slash_either(guarded: Client) -> None:
    assert [(await guarded.get(path)).status for path in ("/health/", "/ready/", "/metrics/")] == [200, 200, 401]


async def test_browsers_get_their_errors_as_a_page(open_to_all: Client) -> None:
    for path, status, told in (("/nothing", 404, "There is nothing at this address."), ("/ws/events/", 400, "speaks WebSocket")):
        shown = await open_to_all.get(path, headers={"Accept": BROWSER})
        assert (shown.status, shown.content_type, shown.headers["Vary"]) == (status, "text/html", "Accept")
        assert told in await shown.text()
        assert "unsafe" not in shown.headers["Content-Security-Policy"]
        assert (await open_to_all.get(path)).content_type == "application/json"
    other = await open_to_all.get("/health", headers={"Accept": BROWSER, "Host": "evil.example"})
    assert (other.status, other.content_type) == (421, "text/html")


WANTS_PAGES = [
    *(BROWSER, "text/html", "TEXT/HTML; charset=utf-8", "text/*", "application/json;q=0.5, text/html;q=0.6"),
    *("text/html, */*", "*/*;q=0.1, text/html;q=0.1"),
]
WANTS_JSON = [
    *("", "*/*", "text/html;q=0", "text/html;q=0, */*", "text/html; q=0.000", "text/html;q=x", "text/htmlx"),
    *("application/json, text/html;q=0.9", "text/html, application/json"),
]


@pytest.mark.parametrize("accept", [*WANTS_PAGES, *WANTS_JSON])
def test_what_is_rather_read(accept: str) -> None:
    assert prefers_html(accept) is (accept in WANTS_PAGES)
