"""`/databricks/products/` as programs and browsers use it: exact prices, awkward names, pages, a store that is away."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from bot.api.app import create_app, serve
from bot.api.products import ProductAnswer, ProductsAnswer, routes
from moderation.catalogue import Catalogue
from moderation.errors import CatalogueUnavailable, OutcomeUnknown
from moderation.product_copy import ProductCopy
from tests.bot.api.test_openapi import examine
from tests.fakes import FakeProductStore
from tests.product_store_contract import AWKWARD

pytestmark = pytest.mark.integration

PATH = "/databricks/products/"
FORM = "/databricks/products-form"
HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
Client = TestClient[web.Request, web.Application]


class Shop:
    """A server with a catalogue, and a client."""

    def __init__(self) -> None:
        self.store = FakeProductStore()
        self.copy = ProductCopy(self.store)
        self.catalogue = Catalogue(self.store, self.copy)
        self.app = create_app({}, token=None, max_body=100_000, routes=routes(self.catalogue))
        self.client: Client = TestClient(TestServer(self.app))

    async def add(self, *names: str) -> None:
        for name in names:
            await self.catalogue.add(name, 1)

    async def ask(self, method: str, path: str = PATH, body: str | bytes | None = None) -> tuple[int, Any]:
        """Status and JSON, numbers exact."""
        answer = await self.client.request(method, URL(path, encoded=True), data=body, headers={"Content-Type": "application/json"})
        text = await answer.text()
        return answer.status, json.loads(text, parse_float=Decimal) if text else None

    async def page(self, path: str = PATH) -> tuple[int, str]:
        answer = await self.client.get(path, headers=HTML)
        assert answer.content_type == "text/html"
        return answer.status, await answer.text()

    async def send(self, **fields: str) -> tuple[int, str]:
        answer = await self.client.post(FORM, data=fields, headers=HTML)
        return answer.status, unescape(await answer.text())

    def names(self) -> list[str]:
        return [p.name for p in self.catalogue.search().products]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop()
    await made.copy.refresh()
    async with made.client:
        yield made


def address(name: str) -> str:
    return f"{PATH}{quote(name, safe='')}/"


async def test_a_product_from_beginning_to_end(shop: Shop) -> None:
    status, added = await shop.ask("POST", body='{"product_name":"Widget","price":100}')
    assert (status, added["product_name"], added["price"]) == (201, "Widget", 100)
    assert (await shop.ask("POST", body='{"product_name":"WIDGET","price":1}'))[1]["code"] == "already-exists"
    status, listed = await shop.ask("GET")
    assert (status, listed) == (200, {"products": [added], "total": 1, "next_cursor": None, "stale_since": None})
    status, changed = await shop.ask("PUT", address("widget"), '{"product_name":"Widget","price":9.99}')
    assert (status, changed["product_name"], changed["price"]) == (200, "Widget", Decimal("9.99"))
    assert await shop.ask("GET", address("Widget")) == (200, changed)
    assert await shop.ask("DELETE", address("Widget")) == (204, None)
    for method, body in (("DELETE", None), ("GET", None), ("PUT", '{"price":1}')):
        status, told = await shop.ask(method, address("Widget"), body)
        assert (status, told["code"]) == (404, "not-found")
    assert (await shop.ask("GET"))[1]["products"] == []


async def test_where_a_new_product_is_found_is_told(shop: Shop) -> None:
    added = await shop.client.post(PATH, json={"product_name": "a/b ü", "price": 1})
    assert added.headers["Location"] == "/databricks/products/a%2Fb%20%C3%BC/"
    assert (await shop.client.get(URL(added.headers["Location"], encoded=True))).status == 200


@pytest.mark.parametrize("price", ["0", "0.10", "19.99", "0.29", "9007199254740993", "1234567890123456.78", "9999999999999999.99"])
async def test_prices_keep_every_digit_as_numbers_and_as_strings(shop: Shop, price: str) -> None:
    for written in (price, f'"{price}"'):
        status, answer = await shop.ask("POST", body=f'{{"product_name":"Widget","price":{written}}}')
        assert (status, answer["price"]) == (201, Decimal(price))
        assert (await shop.ask("GET"))[1]["products"][0]["price"] == Decimal(price)
        await shop.ask("DELETE", address("Widget"))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"product_name":"x","price":1.005}', "not rounded"),
        ('{"product_name":"x","price":1e400}', "too many digits"),
        ('{"product_name":"x","price":NaN}', "NaN"),
        ('{"product_name":"x","price":Infinity}', "Infinity"),
        ('{"product_name":"x","price":-1}', "negative"),
        ('{"product_name":"x","price":"1,50"}', "a point"),
        ('{"product_name":"x","price":"free"}', "digits"),
        ('{"product_name":"x","price":true}', "number"),
        ('{"product_name":"x","price":null}', "number"),
        ('{"product_name":"x","price":[1]}', "number"),
        ('{"product_name":"x"}', "price: "),
        ('{"price":1}', "product_name: "),
        ('{"product_name":5,"price":1}', "product_name: "),
        ('{"product_name":" ","price":1}', "needs a name"),
        ('{"product_name":"a\\u0000b","price":1}', "control"),
        ('{"product_name":"' + "x" * 256 + '","price":1}', "at most 255"),
        ('{"product_name":"\\ud800","price":1}', "surrogate"),
        ("[]", "body"),
        ("", "empty"),
        ("{", "JSON"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_changed(shop: Shop, body: str, told: str) -> None:
    status, answer = await shop.ask("POST", body=body)
    assert (status, told in answer["error"]) == (400, True), answer
    assert shop.store.products == {}


async def test_a_wrong_price_or_another_name_changes_nothing(shop: Shop) -> None:
    await shop.add("Widget")
    for body, told in (('{"price":-1}', "negative"), ('{"price":1,"product_name":"Other"}', "cannot be renamed"), ("{}", "price: ")):
        status, answer = await shop.ask("PUT", address("Widget"), body)
        assert (status, told in answer["error"]) == (400, True), answer
    assert [str(p.price) for p in shop.catalogue.search().products] == ["1.00"]
    for name in ("x" * 256, "a\x00b", "\n"):
        assert (await shop.ask("PUT", address(name), '{"price":1}'))[0] == 404, "no product can have that name"


@pytest.mark.parametrize("name", [*AWKWARD, "{braces}", "100%", "%2e%2e", "a;b=c&d?e#f", "+ +", "...", "form", "<b>"])
async def test_names_in_addresses(shop: Shop, name: str) -> None:
    status, added = await shop.ask("POST", body=json.dumps({"product_name": name, "price": 1}))
    assert (status, added["product_name"]) == (201, name)
    for path in (address(name), address(name).rstrip("/")):
        assert await shop.ask("GET", path) == (200, added)
        assert (await shop.ask("PUT", path, '{"price":2}'))[0] == 200
        assert (await shop.ask("PUT", path, '{"price":1}'))[0] == 200
    page = unescape((await shop.page())[1])
    assert name in page
    assert await shop.ask("DELETE", address(name).rstrip("/")) == (204, None)
    assert shop.names() == []


async def test_both_addresses_of_the_list(shop: Shop) -> None:
    assert (await shop.ask("POST", PATH.rstrip("/"), '{"product_name":"x","price":1}'))[0] == 201
    assert await shop.ask("GET", PATH.rstrip("/")) == await shop.ask("GET", PATH)
    assert (await shop.client.head(PATH)).status == 200
    refused = await shop.client.put(PATH, json={})
    assert (refused.status, set(refused.headers["Allow"].split(","))) == (405, {"GET", "HEAD", "POST"})


async def test_pages_and_searches(shop: Shop) -> None:
    await shop.add(*(f"p{n:02}" for n in range(25)), "Café crème")
    seen: list[str] = []
    query = "?limit=10"
    while True:
        status, page = await shop.ask("GET", PATH + query)
        assert (status, page["total"]) == (200, 26)
        seen += [p["product_name"] for p in page["products"]]
        if page["next_cursor"] is None:
            break
        query = f"?limit=10&cursor={page['next_cursor']}"
    assert seen == shop.names()
    status, page = await shop.ask("GET", PATH + "?q=CAFE%20c")
    assert [p["product_name"] for p in page["products"]] == ["Café crème"]
    for bad in ("limit=0", "limit=201", "limit=x", "cursor=x", "q=" + "x" * 256):
        assert (await shop.ask("GET", f"{PATH}?{bad}"))[0] == 400


async def test_answers_are_as_the_models_say(shop: Shop) -> None:
    await shop.add("Widget", *AWKWARD)
    listed = ProductsAnswer.model_validate_json(await (await shop.client.get(PATH + "?limit=2")).text())
    assert len(listed.products) == 2
    ProductAnswer.model_validate_json(await (await shop.client.get(address("Widget"))).text())


async def test_while_the_store_is_away_what_is_known_is_shown_and_marked(shop: Shop) -> None:
    await shop.add("Widget")
    shop.store.away = CatalogueUnavailable("The warehouse is stopped.")
    with pytest.raises(CatalogueUnavailable):
        await shop.copy.refresh()
    status, listed = await shop.ask("GET")
    assert (status, len(listed["products"])) == (200, 1)
    assert listed["stale_since"].endswith("+00:00")
    assert "a fake store is away. This is what it held at" in (await shop.page())[1]
    for method, path, body in (
        ("POST", PATH, '{"product_name":"x","price":1}'),
        ("PUT", address("Widget"), '{"price":1}'),
        ("DELETE", address("Widget"), None),
    ):
        status, told = await shop.ask(method, path, body)
        assert (status, told) == (503, {"error": "The warehouse is stopped.", "code": "catalogue-unavailable"})
    shop.store.away = OutcomeUnknown("It cannot be told whether it was saved; look again.")
    status, told = await shop.ask("DELETE", address("Widget"))
    assert (status, told["code"]) == (504, "outcome-unknown")


async def test_before_the_first_load_it_says_so() -> None:
    shop = Shop()
    async with shop.client:
        status, told = await shop.ask("GET")
        assert (status, told["code"]) == (503, "catalogue-unavailable")
        status, page = await shop.page()
        assert status == 503
        assert "not loaded yet" in page


# The page.


async def test_the_page_adds_changes_and_removes_without_scripts(shop: Shop) -> None:
    status, page = await shop.send(action="add", product_name="Blue widget", price="9.5")
    assert status == 200
    assert "The product is added." in page
    assert '<td class="number">9.50</td>' in page
    status, page = await shop.send(action="price", product_name="Blue widget", price="3")
    assert "The price is saved." in page
    assert '<td class="number">3.00</td>' in page
    status, page = await shop.send(action="remove", product_name="Blue widget")
    assert "The product is removed." in page
    assert "There are none yet." in page
    assert "<script" not in page


async def test_what_is_wrong_stands_on_the_page_with_what_was_typed(shop: Shop) -> None:
    await shop.add("Widget")
    for fields, code, told in (
        ({"action": "add", "product_name": "New one", "price": "1,50"}, 400, "a point"),
        ({"action": "add", "product_name": "Widget", "price": "1"}, 409, "a product of that name"),
        ({"action": "price", "product_name": "Other", "price": "1"}, 404, "no product of that name"),
        ({"action": "remove", "product_name": "Other"}, 404, "no product of that name"),
        ({"action": "melt"}, 400, "action"),
        ({}, 400, "action"),
    ):
        status, page = await shop.send(**fields)
        assert (status, told in page) == (code, True)
        assert f'value="{fields.get("product_name", "")}"' in page
    assert (await shop.client.post(FORM, json={})).status == 415
    assert shop.names() == ["Widget"]


async def test_nothing_from_outside_becomes_markup(shop: Shop) -> None:
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
    await shop.add(evil)
    pages = [(await shop.page())[1], (await shop.page(f"{PATH}?q={quote(evil)}"))[1]]
    pages.append(await (await shop.client.post(FORM, data={"action": "add", "product_name": evil, "price": evil})).text())
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page
        assert evil in unescape(page)
    answer = await shop.client.get(PATH, headers=HTML)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy
    assert answer.headers["Vary"] == "Accept"


async def test_the_page_is_turned_and_searched(shop: Shop) -> None:
    await shop.add(*(f"p{n:02}" for n in range(5)))
    page = (await shop.page(f"{PATH}?q=p&limit=3"))[1]
    assert "p02" in page
    assert "p03" not in page
    link = unescape(page.split('rel="next" href="')[1].split('"')[0])
    page = (await shop.page(link))[1]
    assert "p04" in page
    assert "p02" not in page
    assert "First page" in page
    assert "No name contains that." in (await shop.page(f"{PATH}?q=zz"))[1]


async def test_another_sites_form_is_refused(shop: Shop) -> None:
    refused = await shop.client.post(
        FORM, data={"action": "add", "product_name": "x", "price": "1"}, headers={"Origin": "http://evil.example"}
    )
    assert refused.status == 403
    assert shop.names() == []


async def test_strangers_requests_find_nothing(shop: Shop, tmp_path: Path) -> None:
    async with serve(shop.app, "127.0.0.1", 0) as port:
        more = (
            "--include-path-regex",
            "products",
            "--exclude-checks",
            "positive_data_acceptance",
        )  # which cursors there are, and which names, is more than a schema says
        code, told = await examine(f"http://127.0.0.1:{port}", tmp_path, *more)
    assert code == 0, told
