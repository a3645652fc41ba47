"""Finding products: all of them in memory, by key, by part of the name, page by page. No I/O."""

import base64
import binascii
import hashlib
import json
import unicodedata
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from moderation.errors import InvalidInput
from moderation.products import Product, name_key

MAX_PAGE = 200
"""Products of a page."""
MAX_QUERY = 255
"""Characters of what is searched for: no name has more."""
MAX_CHOICE = 100
"""Characters of what can be chosen in a command (Discord docs, application command option choices); counted in UTF-16, to be safe."""

_ID = "id:"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the products that were searched for."""

    products: tuple[Product, ...]
    total: int
    """How many there are in all pages."""
    cursor: str | None
    """Opaque; asks for the next page of the same search. None: this is the last."""


class ProductIndex:
    """Products by key, ordered by key."""

    def __init__(self, products: Iterable[Product] = ()) -> None:
        self._products = {product.key: product for product in products}
        self._folded = {key: fold(product.name) for key, product in self._products.items()}
        self._keys = sorted(self._products)

    def __len__(self) -> int:
        return len(self._products)

    def get(self, key: str) -> Product | None:
        """The product of that key."""
        return self._products.get(key)

    def put(self, product: Product) -> None:
        """Insert or replace."""
        key = product.key
        if key not in self._products:
            insort(self._keys, key)
        self._products[key], self._folded[key] = product, fold(product.name)

    def drop(self, key: str) -> None:
        """Remove, where it is there."""
        if self._products.pop(key, None) is not None:
            del self._folded[key], self._keys[bisect_left(self._keys, key)]

    def find(self, text: str) -> Product | None:
        """By its name, or by what `choice` gave for it."""
        found = self._products.get(name_key(text))
        if found is None and text.startswith(_ID):
            found = next((p for p in self._products.values() if len(p.name) * 2 > MAX_CHOICE and _id(p) == text), None)
        return found

    def search(self, query: str, limit: int, cursor: str | None = None) -> Page:
        """Products with `query` in their name, letter case and accents apart: those that begin with it first, then by key.

        Args:
            query: empty finds all.
            limit: how many a page has, 1 to `MAX_PAGE`.
            cursor: from the page before. What is added or removed between pages moves nothing else from one to another.

        Raises `InvalidInput` for a query that is too long, or a cursor that no page gave.
        """
        if len(query) > MAX_QUERY:
            raise InvalidInput(f"What is searched for has at most {MAX_QUERY} characters; no product's name has more.")
        after = _read(cursor) if cursor is not None else (-1, "")
        ranked = list(self._ranked(fold(query)))
        page = list(islice((place for place in ranked if place > after), min(max(limit, 1), MAX_PAGE) + 1))
        more = len(page) > limit
        page = page[:limit]
        return Page(tuple(self._products[key] for _, key in page), len(ranked), _write(page[-1]) if more else None)

    def _ranked(self, wanted: str) -> Iterator[tuple[int, str]]:
        """(0 begins with it, 1 contains it; key), in order."""
        begin = [(0, key) for key in self._keys if self._folded[key].startswith(wanted)]
        yield from begin
        if wanted:
            first = {key for _, key in begin}
            yield from ((1, key) for key in self._keys if key not in first and wanted in self._folded[key])


def fold(text: str) -> str:
    """For searching: without letter case, accents, and runs of blanks."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).split())


def choice(product: Product) -> str:
    """What stands for it where 100 characters are all there is: its name, or an id made from its key."""
    return product.name if len(product.name.encode("utf-16-le")) // 2 <= MAX_CHOICE else _id(product)


def _id(product: Product) -> str:
    return _ID + hashlib.blake2b(product.key.encode(), digest_size=16).hexdigest()


def _write(place: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False, separators=(",", ":")).encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[int, str]:
    try:
        rank, key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        rank, key = None, None
    if not isinstance(rank, int) or not isinstance(key, str):
        raise InvalidInput("The cursor is none that a page of products gave. Begin without one.")
    return rank, key
