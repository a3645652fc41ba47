"""Products in a Databricks SQL table. Implements `moderation.ports.ProductStore`.

Every change may be made twice without harm: `MERGE` on the key, an absolute price, a deletion. So when an answer is lost, the store
looks: either the table shows what became of the change, or the change is sent once more.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from bot.databricks.connection import Value
from bot.databricks.failures import StatementRefused
from bot.databricks.product_table import UNKNOWN_TIME, ProductTable, create, describe, recognise, understand
from bot.databricks.settling import settle
from bot.databricks.warehouse import Warehouse
from moderation.errors import CatalogueUnavailable, InvalidProduct, OutcomeUnknown
from moderation.products import Product, name_key

log = logging.getLogger(__name__)


class DatabricksProductStore:
    """One table. Rows that cannot be products (no name, a negative price …) are left out, and `unreadable` says how many."""

    name = "Databricks SQL"

    def __init__(self, warehouse: Warehouse, table: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`warehouse`: is closed with the store; `table`: one to three parts; `now`: wall time, aware."""
        self._warehouse = warehouse
        self._name = table
        self._now = now
        self._table: ProductTable | None = None
        self._comparing = asyncio.Lock()
        self.unreadable = 0
        """Rows that the latest `all` left out."""

    async def prepare(self) -> None:
        """Make the table where there is none. Raises `CatalogueUnavailable` when it is there and cannot hold products."""
        try:
            found = await self._warehouse.read(describe(self._name))
        except StatementRefused as refused:
            if not refused.error_class.startswith("TABLE_OR_VIEW_NOT_FOUND"):
                raise
            await self._warehouse.read(create(self._name))  # may be sent twice
            found = await self._warehouse.read(describe(self._name))
        table = understand(self._name, found)
        if table.keyed and not (table := recognise(table, await self._warehouse.read(table.keys()))).keyed:
            log.warning("product_key in the catalogue's table is not made from the names; products are found by their names")
        self._table = table

    async def all(self) -> Sequence[Product]:
        """Every product, ordered by key; `MAX_PRODUCTS` at most."""
        table = await self._known()
        rows = await self._read(table.select())
        found: list[Product] = []
        for row in rows:
            try:
                found.append(table.read(row))
            except InvalidProduct:
                continue
        if self.unreadable != (unreadable := len(rows) - len(found)):
            log.warning("some rows of the catalogue's table are no products", extra={"rows": unreadable})
        self.unreadable = unreadable
        return sorted(found, key=lambda product: product.key)

    async def get(self, key: str) -> Product | None:
        """The product of that key."""
        table = await self._known()
        if not table.keyed:
            return next((product for product in await self.all() if product.key == key), None)
        rows = await self._read(table.select("WHERE product_key = :key"), {"key": key})
        return table.read(rows[0]) if rows else None

    async def add(self, product: Product) -> bool:
        """Insert it; False where its key is taken. Raises `InvalidProduct` where the table cannot hold the price."""
        table = await self._known()
        table.check(product.price)
        values: dict[str, Value] = {"name": product.name, "price": product.price}
        values |= {"key": product.key} if table.fills_key else {}
        values |= {"at": product.updated_at} if table.dated else {}

        async def insert() -> bool:
            if not table.keyed and await self.get(product.key) is not None:
                return False
            changed = await self._change(table.insert(), values)
            if changed < 0:
                raise OutcomeUnknown("The SQL warehouse did not say whether the product was added; look again.")
            return changed > 0

        async def look() -> bool | None:
            found = await self.get(product.key)
            return None if found is None else _same(found, product)

        if table.keyed:
            return await settle(insert, look)
        async with self._comparing:  # the table knows no keys: nobody else of this bot may add in between
            return await settle(insert, look)

    async def set_price(self, key: str, price: Decimal) -> Product | None:
        """The product as it is then; None where there is none of that key. Raises `InvalidProduct` as `add` does."""
        table = await self._known()
        table.check(price)
        at = self._now()

        async def update() -> Product | None:
            where, values = await self._where(key)
            if where is None:
                return None
            values |= {"price": price}
            values |= {"at": at} if table.dated else {}
            if await self._change(table.update(where), values) == 0:
                return None
            try:
                return await self.get(key)
            except CatalogueUnavailable as away:
                raise OutcomeUnknown(f"{away} The price was set, but could not be read again.") from None

        async def look() -> Product | None:
            found = await self.get(key)
            return found if found is not None and found.price == price and found.updated_at in (at, UNKNOWN_TIME) else None

        return await settle(update, look)

    async def remove(self, key: str) -> bool:
        """Whether it was there. When an answer was lost and the product is gone, it counts as removed."""
        table = await self._known()

        async def delete() -> bool:
            where, values = await self._where(key)
            return where is not None and await self._change(table.delete(where), values) != 0

        async def look() -> bool | None:
            return True if await self.get(key) is None else None

        return await settle(delete, look)

    async def aclose(self) -> None:
        """End the sessions with the warehouse. Twice does no harm."""
        await self._warehouse.aclose()

    async def _where(self, key: str) -> tuple[str | None, dict[str, Value]]:
        """The rows of a key, for UPDATE and DELETE; None where it is known that there are none."""
        table = await self._known()
        if table.keyed:
            return "WHERE product_key = :key", {"key": key}
        names = sorted({str(row[0]) for row in await self._read(table.select()) if row[0] is not None and name_key(str(row[0])) == key})
        if not names:
            return None, {}
        values: dict[str, Value] = {f"name{n}": name for n, name in enumerate(names)}
        return f"WHERE product_name IN ({', '.join(f':{each}' for each in values)})", values

    async def _known(self) -> ProductTable:
        if self._table is None:
            await self.prepare()
        assert self._table is not None  # noqa: S101 (prepare raises otherwise)
        return self._table

    async def _read(self, statement: str, values: dict[str, Value] | None = None) -> list[tuple[Value, ...]]:
        try:
            return await self._warehouse.read(statement, values)
        except StatementRefused:
            self._table = None  # it may be another one meanwhile
            raise

    async def _change(self, statement: str, values: dict[str, Value]) -> int:
        try:
            return await self._warehouse.change(statement, values)
        except StatementRefused:
            self._table = None
            raise


def _same(found: Product, product: Product) -> bool:
    """Whether what is there is what was added; the time tells it from somebody else's, where the table keeps it."""
    times = (product.updated_at, UNKNOWN_TIME)
    return found.name == product.name and found.price == product.price and found.updated_at in times
