"""The table of routes: queries and bodies are checked before a handler sees them."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, Field

from bot.api.app import create_app
from bot.api.bodies import MAX_DEPTH, parse_json
from bot.api.routes import Role, Route, answer, body_of, query_of

pytestmark = pytest.mark.integration
Client = TestClient[web.Request, web.Application]


class Thing(BaseModel):
    name: str
    price: Decimal


class Page(BaseModel):
    limit: int = Field(10, ge=1, le=100)


async def echo(request: web.Request) -> web.Response:
    return answer(body_of(request, Thing), 201)


async def page(request: web.Request) -> web.Response:
    return answer(query_of(request, Page))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    routes = [
        Route("POST", "/things/", echo, "Make one.", {201: [Thing]}, body=Thing, role=Role.OPERATE),
        Route("GET", "/things/", page, "List them.", {200: [Page]}, query=Page),
    ]
    async with TestClient(TestServer(create_app({}, token=None, max_body=100_000, routes=routes))) as opened:
        yield opened


async def test_fractions_keep_every_digit(client: Client) -> None:
    sent = await client.post("/things/", data=b'{"name":"a","price":100000000000000000.01}')
    assert (sent.status, await sent.json()) == (201, {"name": "a", "price": "100000000000000000.01"})


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"{", "line 1, column 2"),
        (b"[]", "body: "),
        (b'{"name":"a"}', "price: "),
        (b'{"name":"a","price":NaN}', "NaN is not a number"),
        (b'{"name":"a","price":' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"name":"\\ud800","price":1}', "surrogate"),
        (b"\xff", "UTF-8"),
        (b"[" * (MAX_DEPTH + 1), "levels deep"),
        (b'{"name":"spoken words","price":"spoken words"}', "price: "),
    ],
)
async def test_bad_bodies_are_refused_with_the_place(client: Client, body: bytes, told: str) -> None:
    refused = await client.post("/things/", data=body)
    said = await refused.json()
    assert (refused.status, said["code"]) == (400, "invalid-input")
    assert told in said["error"]
    assert "spoken words" not in said["error"]


async def test_a_whole_number_may_have_a_point() -> None:
    assert parse_json(b"[5.0, 1e2, 0.5, 1e400]", None) == [5, 100, Decimal("0.5"), Decimal("1e400")]


async def test_brackets_inside_words_are_no_nesting(client: Client) -> None:
    sent = await client.post("/things/", json={"name": "[" * 200 + '\\"' + "{" * 200, "price": 1})
    assert sent.status == 201


async def test_queries(client: Client) -> None:
    assert await (await client.get("/things/")).json() == {"limit": 10}
    assert (await client.get("/things/?limit=5")).status == 200
    refused = await client.get("/things/?limit=0")
    assert (refused.status, (await refused.json())["error"]) == (400, "limit: Input should be greater than or equal to 1.")
