"""`/metrics` and the ids of requests."""

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api.app import create_app
from bot.api.requests import HEADER
from config.logs import ContextFilter
from moderation.context import FIELDS

pytestmark = pytest.mark.integration

Seen = list[tuple[str, str, int]]


def app(seen: Seen, token: str | None = None) -> web.Application:
    made = create_app(
        {},
        token=token,
        max_body=10,
        render=lambda: ("text/plain; version=0.0.4; charset=utf-8", b"up 1\n"),
        answered=lambda method, route, status, seconds: seen.append((method, route, status)),
    )

    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError

    made.router.add_get("/broken/{name}", broken)
    return made


async def test_metrics_need_the_token_where_there_is_one() -> None:
    async with TestClient(TestServer(app([], token="secret"))) as client:
        assert (await client.get("/metrics")).status == 401
        answer = await client.get("/metrics", headers={"Authorization": "Bearer secret"})
        assert (answer.status, await answer.text()) == (200, "up 1\n")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_without_a_token_loopback_may_ask() -> None:
    async with TestClient(TestServer(app([]))) as client:
        assert (await client.get("/metrics")).status == 200


async def test_requests_are_told_by_template_never_by_address() -> None:
    seen: Seen = []
    async with TestClient(TestServer(app(seen, token="secret"))) as client:
        bearer = {"Authorization": "Bearer secret"}
        for path in ("/health", "/broken/ben_", "/ben_"):
            await client.get(path, headers=bearer)
        await client.get("/broken/ben_")
        await client.post("/health", data=b"x" * 11, headers=bearer)
    assert seen == [
        ("GET", "/health", 200),
        ("GET", "/broken/{name}", 500),
        ("GET", "unknown", 404),
        ("GET", "/broken/{name}", 401),
        ("POST", "unknown", 413),
    ]


async def test_an_id_comes_back_and_a_forged_one_does_not() -> None:
    async with TestClient(TestServer(app([]))) as client:
        given = (await client.get("/health", headers={HEADER: "trace-1.a_B"})).headers[HEADER]
        assert given == "trace-1.a_B"
        made = {
            (await client.get(path, headers={HEADER: bad})).headers[HEADER]
            for path in ("/health", "/nothing")
            for bad in ("", "a b", "x" * 65)
        }
        assert len(made) == 6
        assert all(len(each) == 32 for each in made)


async def test_log_lines_of_a_request_carry_its_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(ContextFilter(FIELDS))
    async with TestClient(TestServer(app([]))) as client:
        await client.get("/broken/x", headers={HEADER: "trace-2"})
    (record,) = [r for r in caplog.records if r.getMessage() == "a request failed"]
    assert (record.__dict__["request_id"], record.levelno) == ("trace-2", logging.ERROR)
