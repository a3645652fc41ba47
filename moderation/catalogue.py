"""The product catalogue: a copy in memory that is read, in front of a store that is written.

reads (autocomplete, lists, HTTP) ──▶ copy ◀── loaded again and again ── store
changes ──────────────── one after another ───────────────────────────▶ store, and then the copy

Who changes something waits for a deadline; the change itself goes on, and the next one begins when it has ended.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from moderation.errors import AlreadyExists, CatalogueUnavailable, InvalidInput, InvalidProduct, NotFound, OutcomeUnknown
from moderation.ports import ProductStore
from moderation.product_copy import ProductCopy
from moderation.product_index import MAX_QUERY, Page, ProductIndex
from moderation.products import MAX_PRODUCTS, Product, name_key, parse_name, parse_price

T = TypeVar("T")

WRITE_SECONDS = 10.0
"""How long whoever changes something waits."""
MAX_WAITING = 32
"""Changes under way and waiting for their turn; more are refused at once."""
MAX_CHOICES = 25
"""Suggestions (Discord docs: choices an autocomplete may offer)."""

_UNANSWERED = "The store has not answered an earlier change yet. Nothing was changed now; try again in a minute."
_BUSY = "Too many changes wait for the product catalogue. Nothing was changed; try again in a minute."
_NONE = "There is no product of that name."
_UNKNOWN = "No answer came in time, so it cannot be told whether it was saved. Look again in a minute."


class Catalogue:
    """What commands and HTTP use. Reads come from `copy`, which somebody must keep running; changes go to the store, one after another."""

    def __init__(
        self,
        store: ProductStore,
        copy: ProductCopy,
        *,
        write_seconds: float = WRITE_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`write_seconds`: how long a change may take, its turn included; `now`: wall time, aware."""
        self._store = store
        self.copy = copy
        self._write_seconds = write_seconds
        self._now = now
        self._writing = asyncio.Lock()
        self._waiting = 0
        self.changes: Counter[str] = Counter()
        """What became of changes since the start: `saved`, `refused` (there already, or not there), `unavailable`, `unknown`."""

    @property
    def store_name(self) -> str:
        """Where the products are kept, for people."""
        return self._store.name

    @property
    def stale_since(self) -> datetime | None:
        """When what is read was last known to be right, while the store is away; None while all is well."""
        return self.copy.stale_since

    def find(self, text: str) -> Product:
        """The product of that name, or of that suggestion. Raises `NotFound`, `CatalogueUnavailable` before the first load."""
        self.copy.use()
        found = self._readable().find(text)
        if found is None:
            raise NotFound(_NONE)
        return found

    def search(self, query: str = "", limit: int = 50, cursor: str | None = None) -> Page:
        """See `ProductIndex.search`. Raises `CatalogueUnavailable` before the first load, `InvalidInput`."""
        self.copy.use()
        return self._readable().search(query, limit, cursor)

    def suggest(self, typed: str) -> Sequence[Product]:
        """At most 25 that fit what was typed so far; none before the first load."""
        self.copy.use()
        index = self.copy.index
        return index.search(typed[:MAX_QUERY], MAX_CHOICES).products if index is not None else ()

    async def add(self, name: str, price: object) -> Product:
        """Raises `InvalidProduct`, `AlreadyExists`, `InvalidInput` where there is no room.

        Every change raises `CatalogueUnavailable` when nothing was done, `OutcomeUnknown` when that cannot be told.
        """
        product = Product(name, parse_price(price), self._now())
        if len(self.copy) >= MAX_PRODUCTS:
            raise InvalidInput(f"The catalogue is full: {MAX_PRODUCTS:,} products are the most. Remove one first.")
        if not await self._change(lambda: self._store.add(product)):
            self.changes["refused"] += 1
            if self.copy.index is None or self.copy.index.get(product.key) is None:  # somebody else added it
                self.copy.want()
            raise AlreadyExists("There is a product of that name. Set its price instead, or choose another name.")
        self._saved(product.key, product)
        return product

    async def set_price(self, text: str, price: object) -> Product:
        """`text`: the name, or a suggestion. Raises `InvalidProduct`, `NotFound`, and what every change may raise."""
        exact, key = parse_price(price), self._key(text)
        product = await self._change(lambda: self._store.set_price(key, exact))
        if product is None:
            self._missing(key)
        self._saved(key, product)
        return product

    async def remove(self, text: str) -> None:
        """`text`: the name, or a suggestion. Raises `NotFound`, and what every change may raise."""
        key = self._key(text)
        if not await self._change(lambda: self._store.remove(key)):
            self._missing(key)
        self._saved(key, None)

    async def _change(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """One at a time, and nothing after it before it has ended: a late one would undo what was said to be saved meanwhile."""
        self.copy.use()
        ends = asyncio.get_running_loop().time() + self._write_seconds
        await self._turn(ends)
        change = asyncio.create_task(work(), name="a change of the catalogue")
        change.add_done_callback(self._ended)
        try:
            await asyncio.wait({change}, timeout=max(ends - asyncio.get_running_loop().time(), 0.0))
        finally:
            if not change.done():  # who asked gave up; it goes on
                self._failed(unknown=True)
                change.add_done_callback(lambda _: self.copy.want())
        if not change.done():
            raise OutcomeUnknown(_UNKNOWN)
        try:
            return change.result()
        except TimeoutError:
            self._failed(unknown=True)
            raise OutcomeUnknown(_UNKNOWN) from None
        except (CatalogueUnavailable, OutcomeUnknown) as error:
            self._failed(unknown=isinstance(error, OutcomeUnknown))
            raise

    async def _turn(self, ends: float) -> None:
        """Wait until all changes before this one have ended. Raises `CatalogueUnavailable`."""
        begun = False
        try:
            if self._waiting >= MAX_WAITING - self._writing.locked():
                raise CatalogueUnavailable(_BUSY)
            self._waiting += 1
            try:
                async with asyncio.timeout_at(ends):
                    begun = await self._writing.acquire()
            except TimeoutError:
                raise CatalogueUnavailable(_UNANSWERED) from None
            finally:
                self._waiting -= 1
        finally:
            if not begun:
                self._failed(unknown=False)

    def _ended(self, change: asyncio.Task[Any]) -> None:
        self._writing.release()
        if not change.cancelled():
            change.exception()  # seen, even where nobody waits any more

    def _failed(self, *, unknown: bool) -> None:
        self.changes["unknown" if unknown else "unavailable"] += 1
        if unknown:
            self.copy.want()

    def _saved(self, key: str, product: Product | None) -> None:
        self.changes["saved"] += 1
        self.copy.apply(key, product)

    def _missing(self, key: str) -> NoReturn:
        self.changes["refused"] += 1
        self.copy.apply(key, None)
        raise NotFound(_NONE)

    def _key(self, text: str) -> str:
        index = self.copy.index
        known = index.find(text) if index is not None else None
        if known is not None:
            return known.key
        try:
            return name_key(parse_name(text))
        except InvalidProduct:
            raise NotFound(_NONE) from None

    def _readable(self) -> ProductIndex:
        if self.copy.index is None:
            why = f" {self.copy.failure}" if self.copy.failure is not None else ""
            raise CatalogueUnavailable(f"The product catalogue is not loaded yet; try again in a moment.{why}")
        return self.copy.index
