"""Products in the bot's own database. Implements `moderation.ports.ProductStore`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.database import Database
from bot.storage.tables import products
from moderation.errors import CatalogueUnavailable, OutcomeUnknown, StorageError
from moderation.products import CENT, MAX_PRODUCTS, Product


class SqlProductStore:
    """One catalogue for the whole bot: HTTP, which serves it too, knows no guild. Prices are whole cents, exact on SQLite as well.

    Every method raises `CatalogueUnavailable` when the database does not do it, `OutcomeUnknown` when it went away while it committed.
    """

    def __init__(self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`database`: open and migrated, and somebody else's to close; `now`: wall time, aware."""
        self._database = database
        self._now = now

    @property
    def name(self) -> str:
        """What it is called before people."""
        return "PostgreSQL" if self._database.is_postgres else "SQLite"

    async def prepare(self) -> None:
        """Nothing is missing: migrations made the table."""

    async def all(self) -> Sequence[Product]:
        """Every product, ordered by key; `MAX_PRODUCTS` at most."""
        async with self._reading() as connection:
            found = await connection.stream(select(products).order_by(products.c.key).limit(MAX_PRODUCTS))
            rows = [row async for some in found.partitions(500) for row in some]
        return await asyncio.to_thread(_ordered, rows)

    async def get(self, key: str) -> Product | None:
        """The product of that key."""
        async with self._reading() as connection:
            row = (await connection.execute(select(products).where(products.c.key == key))).one_or_none()
        return _product(row) if row is not None else None

    async def add(self, product: Product) -> bool:
        """Insert it; False where its key is taken."""
        values = {"key": product.key, "name": product.name, "price_cents": _cents(product.price), "updated_at": product.updated_at}
        async with self._writing() as connection:
            found = await connection.execute(
                self._database.insert(products).values(values).on_conflict_do_nothing().returning(products.c.key)
            )
            return found.one_or_none() is not None

    async def set_price(self, key: str, price: Decimal) -> Product | None:
        """The product as it is then; None where there is none of that key."""
        changed = update(products).where(products.c.key == key).values(price_cents=_cents(price), updated_at=self._now())
        async with self._writing() as connection:
            row = (await connection.execute(changed.returning(*products.c))).one_or_none()
        return _product(row) if row is not None else None

    async def remove(self, key: str) -> bool:
        """Whether it was there."""
        async with self._writing() as connection:
            gone = delete(products).where(products.c.key == key).returning(products.c.key)
            return (await connection.execute(gone)).one_or_none() is not None

    async def aclose(self) -> None:
        """Nothing: the database is closed by who opened it."""

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._database.read() as connection:
                yield connection
        except StorageError as error:
            raise CatalogueUnavailable(str(error)) from error

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        sent = False
        try:
            async with self._database.write() as connection:
                yield connection
                sent = True  # what is left is the commit
        except StorageError as error:
            if sent and error.retryable and self._database.is_postgres:  # SQLite's file tells: what failed to commit is not there
                raise OutcomeUnknown(f"{error} Whether the change was saved cannot be told; look again.") from error
            raise CatalogueUnavailable(str(error)) from error


def _ordered(rows: Sequence[Row[Any]]) -> list[Product]:
    """By key: PostgreSQL may order letters as a language does. In a thread: ten thousand would hold up who speaks."""
    return sorted(map(_product, rows), key=lambda product: product.key)


def _cents(price: Decimal) -> int:
    return int(price / CENT)


def _product(row: Row[Any]) -> Product:
    return Product(row.name, Decimal(row.price_cents) * CENT, row.updated_at)
