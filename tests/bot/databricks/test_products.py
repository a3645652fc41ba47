"""The catalogue in a Databricks SQL table, by the real connector, in a loopback warehouse."""

import asyncio
import logging
from datetime import UTC
from decimal import Decimal
from typing import Literal

import pytest

from bot.databricks.product_table import UNKNOWN_TIME
from bot.databricks.products import DatabricksProductStore
from bot.databricks.warehouse import Warehouse
from moderation.errors import CatalogueUnavailable, InvalidProduct, OutcomeUnknown
from moderation.ports import ProductStore
from moderation.products import MAX_PRODUCTS
from tests.bot.databricks.support import Stage
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.refusals import Refused
from tests.product_store_contract import NOON, ProductStoreContract, product

pytestmark = pytest.mark.integration

THE_TABLE = "workspace.default.products"
OLD_TABLE = "CREATE TABLE products (product_name STRING, price {price})"


@pytest.fixture
async def store(warehouse: Warehouse) -> ProductStore:
    store = DatabricksProductStore(warehouse, THE_TABLE)
    await store.prepare()
    return store


@pytest.fixture
async def old_store(stage: Stage, warehouse: Warehouse) -> DatabricksProductStore:
    """On a table of names and prices alone."""
    stage.engine.run(OLD_TABLE.format(price="DECIMAL(10,2)"), [])
    store = DatabricksProductStore(warehouse, "products")
    await store.prepare()
    return store


class TestDatabricksProductStore(ProductStoreContract):
    """On a table of Earshot's own."""


class TestOnAnOldTable:
    """What was there before Earshot: names as people wrote them, and prices."""

    async def test_products_are_found_by_what_counts_as_the_same_name(self, stage: Stage, old_store: DatabricksProductStore) -> None:
        stage.engine.run("INSERT INTO products VALUES ('  Wid  GET ', 1.5), ('Other', 2)", [])
        found = await old_store.get("wid get")
        assert found is not None
        assert (found.name, str(found.price), found.updated_at) == ("Wid  GET", "1.50", UNKNOWN_TIME)
        assert await old_store.add(product("WID GET")) is False
        changed = await old_store.set_price("wid get", Decimal("2.50"))
        assert changed is not None
        assert str(changed.price) == "2.50"
        assert await old_store.remove("wid get") is True
        assert await old_store.remove("wid get") is False
        assert await old_store.set_price("wid get", Decimal(1)) is None
        assert stage.engine.query("SELECT * FROM products") == [("Other", Decimal("2.00"))]

    async def test_of_two_spellings_added_at_once_one_comes_in(self, stage: Stage, old_store: DatabricksProductStore) -> None:
        added = await asyncio.gather(old_store.add(product("Straße")), old_store.add(product("STRASSE")))
        assert sorted(added) == [False, True]
        assert len(stage.engine.query("SELECT * FROM products")) == 1

    async def test_rows_that_cannot_be_products_are_left_out_and_counted(
        self, stage: Stage, old_store: DatabricksProductStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage.engine.run("INSERT INTO products VALUES ('Good', 1), (NULL, 2), ('Secret', -3), ('Free', NULL)", [])
        with caplog.at_level(logging.WARNING, "bot"):
            assert [p.name for p in await old_store.all()] == ["Good"]
            await old_store.all()
        assert old_store.unreadable == 3
        assert [record.message for record in caplog.records if record.name.startswith("bot")] == [
            "some rows of the catalogue's table are no products"
        ]
        assert "Secret" not in caplog.text

    async def test_a_lost_answer_is_looked_up_there_too(self, stage: Stage, old_store: DatabricksProductStore) -> None:
        stage.faults.append(Fault(body=b"MERGE INTO", when="after", drop=True))
        assert await old_store.add(product("Widget", "1")) is True
        assert stage.engine.query("SELECT * FROM products") == [("Widget", Decimal("1.00"))]

    @pytest.mark.parametrize(
        ("price_type", "fits", "does_not"),
        [
            ("DECIMAL(5,2)", "999.99", "1000.00"),
            ("DECIMAL(10,1)", "9.90", "9.99"),
            ("INT", "2147483647", "9.99"),
            ("BIGINT", "5000000000", "0.01"),
            ("DOUBLE", "9.99", "1234567890123456.78"),
        ],
    )
    async def test_a_price_is_kept_exactly_or_refused(
        self, stage: Stage, warehouse: Warehouse, price_type: str, fits: str, does_not: str
    ) -> None:
        stage.engine.run(OLD_TABLE.format(price=price_type), [])
        store = DatabricksProductStore(warehouse, "products")
        assert await store.add(product("Widget", fits)) is True
        found = await store.get("widget")
        assert found is not None
        assert found.price == Decimal(fits)
        with pytest.raises(InvalidProduct, match="cannot hold"):
            await store.set_price("widget", Decimal(does_not))
        with pytest.raises(InvalidProduct, match="cannot hold"):
            await store.add(product("Other", does_not))
        assert list(await store.all()) == [found]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("id INT, title STRING", "no column price and no column product_name"),
        ("product_name STRING", "no column price"),
        ("product_name STRING, price STRING", "price is STRING"),
        ("product_name INT, price INT", "product_name is INT"),
    ],
)
async def test_a_table_of_something_else_is_refused_and_left_alone(stage: Stage, warehouse: Warehouse, columns: str, told: str) -> None:
    stage.engine.run(f"CREATE TABLE products ({columns})", [])
    with pytest.raises(CatalogueUnavailable, match=told):
        await DatabricksProductStore(warehouse, THE_TABLE).prepare()
    assert not any("CREATE" in each.statement for each in stage.service.executed)


async def test_a_schema_that_is_not_there_is_told_with_the_setting(warehouse: Warehouse) -> None:
    with pytest.raises(CatalogueUnavailable, match="DATABRICKS_PRODUCTS_TABLE"):
        await DatabricksProductStore(warehouse, "workspace.nowhere.products").prepare()


async def test_a_table_may_be_named_with_a_hyphen(stage: Stage, warehouse: Warehouse) -> None:
    store = DatabricksProductStore(warehouse, "workspace.default.our-products")
    assert await store.add(product("Widget")) is True
    assert stage.engine.query("SELECT product_key FROM `our-products`") == [("widget",)]


async def test_no_more_is_read_than_is_held_in_memory(stage: Stage, warehouse: Warehouse, store: ProductStore) -> None:
    name = "lpad(CAST(n AS STRING), 5, '0')"
    rows = f"SELECT {name}, {name}, 1, TIMESTAMP '2026-01-01' FROM range({MAX_PRODUCTS + 5}) AS t(n)"  # noqa: S608
    stage.engine.run(f"INSERT INTO products (product_key, product_name, price, updated_at) {rows}", [])
    found = await store.all()
    assert len(found) == MAX_PRODUCTS
    assert found[-1].name == f"{MAX_PRODUCTS - 1:05}"


class TestOnATableWithAnotherKey:
    """`product_key` was somebody's stock number before."""

    async def test_it_is_left_alone_and_products_are_found_by_name(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.engine.run("CREATE TABLE products (product_key STRING, product_name STRING, price DECIMAL(10,2))", [])
        stage.engine.run("INSERT INTO products VALUES ('SKU-1', 'Widget', 5), ('SKU-2', 'Gadget', 6), ('SKU-3', NULL, 7)", [])
        store = DatabricksProductStore(warehouse, "products")
        changed = await store.set_price("widget", Decimal(7))
        assert changed is not None
        assert str(changed.price) == "7.00"
        assert await store.add(product("WIDGET", "8")) is False
        assert await store.add(product("New", "9")) is True
        assert await store.remove("gadget") is True
        assert stage.engine.query("SELECT * FROM products WHERE product_name IS NOT NULL ORDER BY product_name") == [
            (None, "New", Decimal("9.00")),
            ("SKU-1", "Widget", Decimal("7.00")),
        ]

    async def test_among_our_own_a_row_that_somebody_wrote_is_found_and_new_ones_get_keys(self, stage: Stage, warehouse: Warehouse) -> None:
        for name in ("Widget", "Gadget"):
            await DatabricksProductStore(warehouse, THE_TABLE).add(product(name))
        stage.engine.run("INSERT INTO products VALUES ('4711', 'Other', 1, TIMESTAMP '2026-01-01')", [])
        store = DatabricksProductStore(warehouse, THE_TABLE)
        assert await store.add(product("OTHER")) is False
        assert await store.add(product("New")) is True
        assert await store.remove("other") is True
        assert stage.engine.query("SELECT product_key FROM products ORDER BY 1") == [("gadget",), ("new",), ("widget",)]


async def test_where_no_table_may_be_made_the_right_to_is_named(stage: Stage, warehouse: Warehouse) -> None:
    stage.service.refusals += [
        Refused("TABLE_OR_VIEW_NOT_FOUND", "42P01", "It cannot be found."),
        Refused("INSUFFICIENT_PERMISSIONS", "42501", "No."),
    ]
    with pytest.raises(CatalogueUnavailable, match="CREATE TABLE on the schema"):
        await DatabricksProductStore(warehouse, THE_TABLE).prepare()


class TestLostAnswers:
    """Changes whose answer never came: the table knows."""

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_an_addition(self, stage: Stage, store: ProductStore, when: Literal["before", "after"]) -> None:
        stage.faults.append(Fault(body=b"MERGE INTO", when=when, drop=True))
        assert await store.add(product("Widget")) is True
        assert [p.name for p in await store.all()] == ["Widget"]

    async def test_an_addition_that_somebody_else_had_made(self, stage: Stage, store: ProductStore) -> None:
        await store.add(product("Widget", "1"))
        stage.faults.append(Fault(body=b"MERGE INTO", when="after", drop=True))
        assert await store.add(product("WIDGET", "2")) is False
        assert [str(p.price) for p in await store.all()] == ["1.00"]

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_price(self, stage: Stage, store: ProductStore, when: Literal["before", "after"]) -> None:
        await store.add(product("Widget", "1"))
        stage.faults.append(Fault(body=b"UPDATE", when=when, drop=True))
        changed = await store.set_price("widget", Decimal(2))
        assert changed is not None
        assert str(changed.price) == "2.00"
        assert await store.get("widget") == changed

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_removal(self, stage: Stage, store: ProductStore, when: Literal["before", "after"]) -> None:
        await store.add(product("Widget"))
        stage.faults.append(Fault(body=b"DELETE", when=when, drop=True))
        assert await store.remove("widget") is True
        assert list(await store.all()) == []

    async def test_an_answer_that_means_nothing(self, stage: Stage, store: ProductStore) -> None:
        stage.faults.append(Fault(body=b"MERGE INTO", when="after", malformed="garbage"))
        assert await store.add(product("Widget")) is True
        assert len(await store.all()) == 1

    async def test_lost_twice_and_not_to_be_seen(self, stage: Stage, store: ProductStore) -> None:
        stage.faults.append(Fault(body=b"MERGE INTO", drop=True, times=2))
        with pytest.raises(OutcomeUnknown, match="look again"):
            await store.add(product("Secret"))
        assert list(await store.all()) == []

    async def test_with_nobody_there_to_look_it_stays_unknown(self, stage: Stage, store: ProductStore) -> None:
        stage.faults += [Fault(body=b"MERGE INTO", when="after", drop=True), Fault(body=b"ExecuteStatement", status=500, times=99)]
        with pytest.raises(OutcomeUnknown, match="look again") as unknown:
            await store.add(product("Secret"))
        assert "Secret" not in str(unknown.value)
        stage.faults.clear()
        assert [p.name for p in await store.all()] == ["Secret"]

    async def test_a_price_that_is_set_and_cannot_be_read_again(self, stage: Stage, store: ProductStore) -> None:
        await store.add(product("Widget", "1"))
        stage.faults.append(Fault(body=b"SELECT", status=500, times=99))
        with pytest.raises(OutcomeUnknown):
            await store.set_price("widget", Decimal(2))
        stage.faults.clear()
        assert [str(p.price) for p in await store.all()] == ["2.00"]

    async def test_a_server_that_does_not_say_how_many_rows(self, stage: Stage, store: ProductStore) -> None:
        stage.service.reports_rows = False
        assert await store.add(product("Widget")) is True
        assert await store.add(product("Widget")) is False
        assert await store.remove("widget") is True
        assert await store.remove("widget") is False


async def test_a_table_that_is_replaced_is_looked_at_again(stage: Stage, warehouse: Warehouse, store: ProductStore) -> None:
    stage.engine.run("DROP TABLE products", [])
    with pytest.raises(CatalogueUnavailable, match="not there"):
        await store.all()
    stage.engine.run(OLD_TABLE.format(price="INT"), [])
    assert await store.add(product("Widget", "1")) is True


async def test_the_table_keeps_utc(stage: Stage, store: ProductStore) -> None:
    await store.add(product("Widget"))
    [(at,)] = stage.engine.query("SELECT updated_at FROM products")
    assert at.astimezone(UTC) == NOON
