"""The catalogue in the bot's own database, on SQLite and on PostgreSQL."""

from decimal import Decimal

import pytest
from sqlalchemy import insert, text

from bot.storage.database import Database
from bot.storage.migrate import upgrade
from bot.storage.products import SqlProductStore
from bot.storage.tables import products
from moderation.errors import CatalogueUnavailable, OutcomeUnknown
from moderation.ports import ProductStore
from moderation.products import MAX_PRODUCTS
from tests.product_store_contract import NOON, ProductStoreContract, product


@pytest.fixture
def store(database: Database) -> ProductStore:
    return SqlProductStore(database)


class TestSqlProductStore(ProductStoreContract):
    """On both databases."""


async def test_what_the_database_does_not_do_is_told_without_the_product(database: Database, store: ProductStore) -> None:
    await store.add(product("Secret widget"))
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE products"))
    for ask in (store.all(), store.get("secret widget"), store.remove("secret widget"), store.set_price("x", Decimal(1))):
        with pytest.raises(CatalogueUnavailable, match="has other tables") as refused:
            await ask
        assert "secret" not in str(refused.value).lower()


async def test_no_more_is_read_than_is_held_in_memory(database: Database, store: ProductStore) -> None:
    rows = [{"key": f"p{n:05}", "name": f"p{n:05}", "price_cents": n, "updated_at": NOON} for n in range(MAX_PRODUCTS + 5)]
    async with database.write() as connection:
        await connection.execute(insert(products), rows)
    found = await store.all()
    assert len(found) == MAX_PRODUCTS
    assert found[-1].name == f"p{MAX_PRODUCTS - 1:05}"


@pytest.mark.external
async def test_a_server_that_goes_while_it_commits_leaves_the_outcome_open(postgres_url: str) -> None:
    database = await Database.open(postgres_url)
    await upgrade(database)
    async with database.write() as connection:
        body = "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END"
        await connection.execute(text(f"CREATE FUNCTION go() RETURNS trigger AS '{body}' LANGUAGE plpgsql"))
        when = "AFTER INSERT ON products DEFERRABLE INITIALLY DEFERRED"
        await connection.execute(text(f"CREATE CONSTRAINT TRIGGER late {when} FOR EACH ROW EXECUTE FUNCTION go()"))
    store = SqlProductStore(database)
    with pytest.raises(OutcomeUnknown, match="look again"):
        await store.add(product("Widget"))
    assert list(await store.all()) == []
    await database.aclose()
