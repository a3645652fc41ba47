"""`/databricks/products/`: the catalogue over HTTP, for programs as JSON and for people as a page.

Prices are numbers of JSON with every digit, in both directions: a client that reads them as binary floating point rounds them itself.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from bot.api.accept import prefers_html
from bot.api.bodies import Body
from bot.api.product_page import PATH, product_form, product_page
from bot.api.routes import SHOWN, Role, Route, body_of, query_of
from moderation.catalogue import Catalogue
from moderation.errors import InvalidProduct
from moderation.product_index import MAX_PAGE, MAX_QUERY, Page
from moderation.products import MAX_NAME, MAX_PRICE, Product, name_key, parse_name, parse_price

_TAG = "products"
TEXTS = 4096
"""Products whose JSON is remembered: writing it is most of a list's work. The one asked for longest ago goes first."""
_ITEM = f"{PATH}{{product_name:[^/]+}}/"

_NUMBER = {"type": "number", "minimum": 0}
_WRITTEN = {"type": "string", "pattern": r"^[0-9]{1,14}(\.[0-9]{1,2})?$"}
Name = Annotated[
    str,
    BeforeValidator(lambda value: parse_name(value) if isinstance(value, str) else value),
    Field(description="Without line breaks and other control characters.", min_length=1, max_length=MAX_NAME),
]
Price = Annotated[
    Decimal,
    BeforeValidator(parse_price),
    WithJsonSchema(
        {
            "anyOf": [_NUMBER | {"maximum": int(MAX_PRICE)}, _WRITTEN],
            "description": "At most two decimals; exact, also when written as a string.",
        }
    ),
]


class NewProduct(Body):
    """A product to add."""

    product_name: Name
    price: Price


class NewPrice(Body):
    """What a product is to cost."""

    price: Price
    product_name: Name | None = Field(None, description="May repeat the name in the address; a product cannot be renamed.")


class ProductQuery(BaseModel):
    """Which products."""

    q: str = Field("", max_length=MAX_QUERY, description="Part of a name; letter case and accents do not matter.")
    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Products of a page.")
    cursor: str | None = Field(None, max_length=6000, description="`next_cursor` of the page before.")
    done: Literal["added", "saved", "removed"] | None = Field(None, description="For the page: what it says was done.")


class ProductAnswer(BaseModel):
    """A product."""

    product_name: str
    price: Annotated[Decimal, WithJsonSchema(_NUMBER)]
    updated_at: datetime


class ProductsAnswer(BaseModel):
    """A page of products, those whose name begins with what was searched for first."""

    products: list[ProductAnswer]
    total: int = Field(description="In all pages.")
    next_cursor: str | None = Field(description="Asks for the next page; null on the last.")
    stale_since: datetime | None = Field(description="When this was last known to be right, while where products are kept is away.")


def routes(catalogue: Catalogue) -> Sequence[Route]:
    """All of them."""
    products = _Products(catalogue)
    one: dict[int, list[type[BaseModel] | str]] = {200: [ProductAnswer]}
    away, may = (503, 504), Role.OPERATE
    return [
        Route("GET", PATH, products.show, "List them.", {200: [ProductsAnswer, "text/html"]}, {503}, query=ProductQuery, tag=_TAG),
        Route("POST", PATH, products.add, "Add one.", {201: [ProductAnswer]}, {409, *away}, may, body=NewProduct, tag=_TAG),
        Route("GET", _ITEM, products.get, "Show one.", one, {404, 503}, tag=_TAG),
        Route("PUT", _ITEM, products.set_price, "Set the price of one.", one, {404, *away}, may, body=NewPrice, tag=_TAG),
        Route("DELETE", _ITEM, products.remove, "Remove one.", {204: []}, {404, *away}, may, tag=_TAG),
        *product_form(catalogue),
    ]


class _Products:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def show(self, request: web.Request) -> web.Response:
        query = query_of(request, ProductQuery)
        if prefers_html(request.headers.get("Accept", "")):
            may_change = request[SHOWN] is Role.OPERATE
            return product_page(self._catalogue, query.q, query.limit, query.cursor, done=query.done or "", may_change=may_change)
        page = self._catalogue.search(query.q, query.limit, query.cursor)
        return _json(_page_text(page, self._catalogue.stale_since), headers={"Vary": "Accept"})

    async def add(self, request: web.Request) -> web.Response:
        body = body_of(request, NewProduct)
        product = await self._catalogue.add(body.product_name, body.price)
        return _json(_text(product), 201, {"Location": f"{PATH}{quote(product.name, safe='')}/"})

    async def get(self, request: web.Request) -> web.Response:
        return _json(_text(self._catalogue.find(_name(request))))

    async def set_price(self, request: web.Request) -> web.Response:
        body, name = body_of(request, NewPrice), _name(request)
        if body.product_name is not None and name_key(body.product_name) != name_key(name):
            raise InvalidProduct("product_name: a product cannot be renamed. Add one of the new name and remove this one.")
        return _json(_text(await self._catalogue.set_price(name, body.price)))

    async def remove(self, request: web.Request) -> web.Response:
        await self._catalogue.remove(_name(request))
        return web.Response(status=204)


def _name(request: web.Request) -> str:
    """From the address, where `%2F` is a slash of the name."""
    return request.match_info["product_name"]


def _json(text: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


@lru_cache(maxsize=TEXTS)
def _text(product: Product) -> str:
    """`ProductAnswer` as JSON; no encoder writes a `Decimal` as a number with all its digits."""
    name, at = json.dumps(product.name), json.dumps(product.updated_at.isoformat())
    return f'{{"product_name":{name},"price":{product.price},"updated_at":{at}}}'


def _page_text(page: Page, stale_since: datetime | None) -> str:
    products = ",".join(map(_text, page.products))
    since = json.dumps(stale_since.isoformat() if stale_since is not None else None)
    return f'{{"products":[{products}],"total":{page.total},"next_cursor":{json.dumps(page.cursor)},"stale_since":{since}}}'
