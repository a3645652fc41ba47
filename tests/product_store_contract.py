"""What every `ProductStore` does, whatever keeps the products. A test module subclasses it and gives the fixture `store`."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from moderation.ports import ProductStore
from moderation.products import MAX_PRICE, Product, name_key

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)

AWKWARD = (
    "Robert'); DROP TABLE products;--",
    'say "hi" \\ `now`',
    ":name %(name)s {name} ?",
    "a/b%2Fc",
    "🧑‍🚀 Ünïcödé 日本語",
    "x" * 255,
    "💥" * 255,
    "_%",
)


def product(name: str, price: str = "9.99") -> Product:
    return Product(name, Decimal(price), NOON)


class ProductStoreContract:
    """Subclasses give a fixture `store`: an empty, prepared store."""

    async def test_there_is_nothing_at_first(self, store: ProductStore) -> None:
        assert list(await store.all()) == []
        assert await store.get("widget") is None
        assert await store.set_price("widget", Decimal(1)) is None
        assert await store.remove("widget") is False

    async def test_it_has_a_name_for_people(self, store: ProductStore) -> None:
        assert store.name.strip()

    async def test_what_is_added_is_found_as_it_was_given(self, store: ProductStore) -> None:
        assert await store.add(product("Wid  Get", "0.10")) is True
        found = await store.get(name_key("wid get"))
        assert found is not None
        assert (found.name, str(found.price), found.updated_at) == ("Wid  Get", "0.10", NOON)
        assert list(await store.all()) == [found]

    async def test_preparing_again_keeps_everything(self, store: ProductStore) -> None:
        await store.add(product("Widget"))
        await store.prepare()
        assert [p.name for p in await store.all()] == ["Widget"]

    async def test_a_name_that_counts_as_the_same_is_refused_and_nothing_changes(self, store: ProductStore) -> None:
        await store.add(product("Straße", "1"))
        assert await store.add(product("STRASSE", "2")) is False
        assert [(p.name, str(p.price)) for p in await store.all()] == [("Straße", "1.00")]

    async def test_of_many_that_add_the_same_at_once_one_does(self, store: ProductStore) -> None:
        added = await asyncio.gather(*(store.add(product("Widget", str(n))) for n in range(1, 9)))
        assert sorted(added) == [False] * 7 + [True]
        assert [p.price for p in await store.all()] == [Decimal(added.index(True) + 1)]

    async def test_prices_are_exact_and_sort_as_numbers_do(self, store: ProductStore) -> None:
        prices = ["0.00", "0.01", "0.10", "0.29", "9.99", "10.00", "1234567890123456.78", str(MAX_PRICE)]
        for n, price in enumerate(prices):
            await store.add(product(f"p{n}", price))
        assert [str(p.price) for p in await store.all()] == prices

    async def test_a_price_is_set_and_the_rest_stays(self, store: ProductStore) -> None:
        await store.add(product("Wid Get", "1"))
        await store.add(product("Other", "1"))
        changed = await store.set_price("wid get", Decimal("2.50"))
        assert changed is not None
        assert (changed.name, str(changed.price)) == ("Wid Get", "2.50")
        assert changed.updated_at > NOON
        assert await store.get("wid get") == changed
        assert [(p.name, str(p.price)) for p in await store.all()] == [("Other", "1.00"), ("Wid Get", "2.50")]

    async def test_setting_the_price_that_it_has_is_no_miss(self, store: ProductStore) -> None:
        await store.add(product("Widget", "1"))
        again = await store.set_price("widget", Decimal(1))
        assert again is not None
        assert str(again.price) == "1.00"

    async def test_what_is_removed_is_gone_and_may_come_again(self, store: ProductStore) -> None:
        await store.add(product("Widget"))
        await store.add(product("Other"))
        assert await store.remove("widget") is True
        assert await store.remove("widget") is False
        assert await store.set_price("widget", Decimal(1)) is None
        assert [p.name for p in await store.all()] == ["Other"]
        assert await store.add(product("WIDGET")) is True
        assert [p.name for p in await store.all()] == ["Other", "WIDGET"]

    async def test_names_are_data_and_nothing_else(self, store: ProductStore) -> None:
        await store.add(product("Other"))
        for name in AWKWARD:
            assert await store.add(product(name)) is True
            assert await store.add(product(name)) is False
            key = name_key(name)
            found = await store.set_price(key, Decimal(3))
            assert found is not None
            assert found.name == name
            assert await store.get(key) == found
            assert await store.remove(key) is True
        assert [p.name for p in await store.all()] == ["Other"]

    async def test_all_come_ordered_by_key(self, store: ProductStore) -> None:
        names = ["zebra", "Äpfel", "apple", "Apple pie", "_x", "10", "9", "é"]
        for name in names:
            await store.add(product(name))
        assert [p.key for p in await store.all()] == sorted(map(name_key, names))

    async def test_closing_twice_does_no_harm(self, store: ProductStore) -> None:
        await store.aclose()
        await store.aclose()
