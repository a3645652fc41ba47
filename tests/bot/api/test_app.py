"""The HTTP side: errors, token, limits, headers, and the server around it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api.app import create_app, serve
from bot.api.errors import STATUS, status_of
from bot.api.health import Probe, ProbeResult, Status
from moderation import errors
from moderation.errors import ModerationError, NotFound, SettingsError, StorageError

pytestmark = pytest.mark.integration

TOKEN = "tökén-1234"
Client = TestClient[web.Request, web.Application]
Start = Callable[[web.Application], Awaitable[Client]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an application and gives a client for it."""
    opened: list[Client] = []

    async def make(app: web.Application) -> Client:
        opened.append(TestClient(TestServer(app)))
        await opened[-1].start_server()
        return opened[-1]

    yield make
    for client in opened:
        await client.close()


def with_routes(token: str | None = None, max_body: int = 1000) -> web.Application:
    app = create_app({}, token=token, max_body=max_body)

    async def missing(request: web.Request) -> web.Response:
        raise NotFound("There is no such case.")

    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError("spoken words")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"Cache-Control": "max-age=5"})

    app.router.add_get("/missing", missing)
    app.router.add_get("/broken", broken)
    app.router.add_post("/echo", echo)
    return app


async def code(response: aiohttp.ClientResponse) -> tuple[int, str]:
    body = await response.json()
    assert set(body) == {"error", "code"}
    assert body["error"].endswith(".")
    return response.status, body["code"]


async def test_errors_are_json(start: Start) -> None:
    client = await start(with_routes())
    assert await code(await client.get("/nothing")) == (404, "not-found")
    assert await code(await client.get("/missing")) == (404, "not-found")
    assert await code(await client.get("/broken")) == (500, "internal-error")
    refused = await client.post("/health")
    assert await code(refused) == (405, "method-not-allowed")
    assert refused.headers["Allow"] == "GET,HEAD"


async def test_what_broke_is_logged_and_not_told(start: Start) -> None:
    client = await start(with_routes())
    assert "spoken words" not in await (await client.get("/broken")).text()


def test_every_error_of_the_core_has_a_status() -> None:
    family = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, ModerationError)]
    assert len(family) > 10
    assert set(STATUS) <= set(family)
    assert status_of(StorageError("away")) == 503
    assert status_of(NotFound("gone")) == 404
    assert status_of(ModerationError("other")) == 500


@pytest.mark.parametrize(
    "header", [None, "", TOKEN, "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer tökén"]
)
async def test_without_the_token_nothing_is_told(start: Start, header: str | None) -> None:
    client = await start(with_routes(TOKEN))
    headers = {} if header is None else {"Authorization": header}
    for path in ("/missing", "/nothing", "/nothing/", "/echo"):
        refused = await client.get(path, headers=headers)
        assert await code(refused) == (401, "unauthorized")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_with_the_token_all_is_open_and_health_always_is(start: Start) -> None:
    client = await start(with_routes(TOKEN))
    for scheme in ("Bearer", "bearer"):
        answer = await client.post("/echo", data=b"x", headers={"Authorization": f"{scheme} {TOKEN}"})
        assert await answer.read() == b"x"
    assert [(await client.get(p)).status for p in ("/health", "/ready")] == [200, 200]


async def test_large_bodies_are_refused_announced_or_not(start: Start) -> None:
    client = await start(with_routes(max_body=10))

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"12345"

    assert (await client.post("/echo", data=b"1234567890")).status == 200
    assert await code(await client.post("/echo", data=b"12345678901")) == (413, "body-too-large")
    assert await code(await client.post("/echo", data=chunks())) == (413, "body-too-large")


async def test_every_answer_carries_the_headers_unless_a_handler_says_otherwise(start: Start) -> None:
    client = await start(with_routes())
    for path in ("/health", "/nothing", "/broken"):
        headers = (await client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "Earshot"
    assert (await client.post("/echo", data=b"")).headers["Cache-Control"] == "max-age=5"


async def test_a_server_tells_its_port_and_ends() -> None:
    async with serve(create_app({}, token=None, max_body=10), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        assert json.loads((await reader.read()).split(b"\r\n\r\n")[1]) == {"status": "ok"}
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_is_said() -> None:
    async with serve(create_app({}, token=None, max_body=10), "127.0.0.1", 0) as port:
        with pytest.raises(SettingsError, match=rf"^API_PORT: 127.0.0.1 port {port} .* choose another port"):
            await serve(create_app({}, token=None, max_body=10), "127.0.0.1", port).__aenter__()


async def test_others_are_not_let_in_without_a_token() -> None:
    everywhere = "0.0.0.0"  # noqa: S104 (that is what is tested)
    with pytest.raises(SettingsError, match=r"^API_TOKEN: "):
        await serve(create_app({}, token=None, max_body=10), everywhere, 0).__aenter__()
    async with serve(create_app({}, token=TOKEN, max_body=10), everywhere, 0) as port:
        assert port > 0


async def test_stopping_does_not_wait_for_probes_that_hang() -> None:
    asked = asyncio.Event()

    async def hangs() -> ProbeResult:
        asked.set()
        await asyncio.Event().wait()
        return ProbeResult(Status.OK)

    probes: dict[str, Probe] = {"vosk": hangs}
    async with serve(create_app(probes, token=None, max_body=10), "127.0.0.1", 0) as port, aiohttp.ClientSession() as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/ready"))
        await asked.wait()
        asking.cancel()
        await asyncio.wait({asking})
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("probe") and not t.cancelling()]
