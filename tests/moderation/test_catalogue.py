"""The catalogue in front of a store that is slow, away, or gives no answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from moderation import catalogue as module
from moderation.catalogue import Catalogue
from moderation.errors import AlreadyExists, CatalogueUnavailable, InvalidInput, InvalidProduct, NotFound, OutcomeUnknown
from moderation.product_copy import ACTIVE_SECONDS, ProductCopy
from moderation.products import Product
from tests.bot.voice.support import until
from tests.fakes import FakeProductStore

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AWAY = CatalogueUnavailable("The warehouse is stopped.")


def product(name: str, price: str = "1") -> Product:
    return Product(name, Decimal(price), NOON)


class Shop:
    """A catalogue of a store, and its clock."""

    def __init__(
        self, *products: Product, write_seconds: float = 10.0, load_seconds: float = 10.0, idle_seconds: float | None = None
    ) -> None:
        self.now = 0.0
        self.store = FakeProductStore(*products)
        self.copy = ProductCopy(
            self.store,
            refresh_seconds=0.01,
            idle_seconds=idle_seconds,
            load_seconds=load_seconds,
            first_pause=0.001,
            now=self.time,
            clock=lambda: self.now,
        )
        self.catalogue = Catalogue(self.store, self.copy, write_seconds=write_seconds, now=self.time)

    def time(self) -> datetime:
        return NOON + timedelta(seconds=self.now)

    def names(self) -> list[str]:
        return [p.name for p in self.catalogue.search().products]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.copy.run())
        try:
            yield
        finally:
            task.cancel()


async def test_before_the_first_load_it_says_so_and_suggests_nothing() -> None:
    shop = Shop(product("Widget"))
    with pytest.raises(CatalogueUnavailable, match="not loaded yet"):
        shop.catalogue.search()
    with pytest.raises(CatalogueUnavailable, match="not loaded yet"):
        shop.catalogue.find("widget")
    assert list(shop.catalogue.suggest("")) == []
    shop.store.away = AWAY
    with pytest.raises(CatalogueUnavailable):
        await shop.copy.refresh()
    with pytest.raises(CatalogueUnavailable, match="The warehouse is stopped"):
        shop.catalogue.search()
    assert shop.catalogue.stale_since is None


async def test_readers_do_not_wait_for_a_store_that_hangs() -> None:
    shop = Shop(product("Widget"))
    await shop.copy.refresh()
    shop.store.open.clear()
    loading = asyncio.create_task(shop.copy.refresh())
    await until(lambda: shop.store.calls.count("all") == 2)
    assert shop.names() == ["Widget"]
    assert [p.name for p in shop.catalogue.suggest("w")] == ["Widget"]
    assert not loading.done()
    shop.store.open.set()
    await loading


async def test_while_the_store_is_away_the_copy_is_read_and_says_since_when_it_may_be_wrong() -> None:
    shop = Shop(product("Widget"))
    await shop.copy.refresh()
    assert (shop.catalogue.stale_since, shop.copy.age) == (None, 0.0)
    shop.now, shop.store.away = 90.0, AWAY
    with pytest.raises(CatalogueUnavailable, match="stopped"):
        await shop.copy.refresh()
    assert (shop.names(), shop.catalogue.stale_since, shop.copy.age) == (["Widget"], NOON, 90.0)
    shop.store.away = None
    await shop.copy.refresh()
    assert (shop.catalogue.stale_since, shop.copy.age) == (None, 0.0)
    assert shop.copy.loads == {"ok": 2, "failed": 1}


async def test_a_store_that_does_not_answer_in_time_is_away() -> None:
    shop = Shop(load_seconds=0.01)
    shop.store.open.clear()
    with pytest.raises(CatalogueUnavailable, match=r"within 0\.01 seconds"):
        await shop.copy.refresh()


async def test_a_fault_in_a_store_ends_nothing() -> None:
    shop = Shop(product("Widget"))
    shop.store.away = RuntimeError("row of somebody")
    async with shop.running():
        await until(lambda: shop.copy.loads["failed"] >= 3)
        assert "somebody" not in str(shop.copy.failure)
        shop.store.away = None
        await until(lambda: shop.copy.loads["ok"] >= 2)
        assert shop.names() == ["Widget"]


async def test_the_table_is_made_once_and_looked_at_again_after_a_failure() -> None:
    shop = Shop()
    await shop.copy.refresh()
    await shop.copy.refresh()
    shop.store.away = AWAY
    with pytest.raises(CatalogueUnavailable):
        await shop.copy.refresh()
    shop.store.away = None
    await shop.copy.refresh()
    assert shop.store.calls == ["prepare", "all", "all", "all", "prepare", "all"]


async def test_a_crowd_that_asks_for_a_load_gets_one() -> None:
    shop = Shop(product("Widget"))
    shop.store.open.clear()
    crowd = asyncio.gather(*(shop.copy.refresh() for _ in range(20)))
    await until(lambda: shop.store.calls == ["prepare"])
    shop.store.open.set()
    await crowd
    assert shop.store.calls == ["prepare", "all"]


async def test_what_others_change_in_the_store_is_seen_with_time() -> None:
    shop = Shop()
    async with shop.running():
        await until(lambda: shop.copy.index is not None)
        shop.store.products["widget"] = product("Widget")
        await until(lambda: shop.names() == ["Widget"])


class TestAStoreThatCostsMoney:
    """It is left alone while nobody reads or changes products."""

    async def test_it_is_loaded_again_and_again_while_people_use_it_and_then_no_more(self) -> None:
        shop = Shop(product("Widget"), idle_seconds=3600.0)
        async with shop.running():
            shop.catalogue.suggest("w")
            shop.now = ACTIVE_SECONDS - 1
            await until(lambda: shop.copy.loads["ok"] >= 3)
            shop.now = ACTIVE_SECONDS
            await asyncio.sleep(0.1)  # one that had begun
            loads = shop.copy.loads["ok"]
            await asyncio.sleep(0.1)
            assert shop.copy.loads["ok"] == loads

    @pytest.mark.parametrize("use", ["find", "search", "suggest", "change"])
    async def test_whoever_comes_after_a_time_of_rest_begins_a_load(self, use: str) -> None:
        shop = Shop(product("Widget"), idle_seconds=3600.0)
        async with shop.running():
            await until(lambda: shop.copy.index is not None)
            await asyncio.sleep(0.1)
            assert shop.copy.loads["ok"] == 1
            match use:
                case "find":
                    shop.catalogue.find("widget")
                case "search":
                    shop.catalogue.search("w")
                case "suggest":
                    shop.catalogue.suggest("w")
                case _:
                    await shop.catalogue.set_price("widget", 2)
            await until(lambda: shop.copy.loads["ok"] >= 4)

    async def test_whoever_comes_while_it_is_away_has_it_tried_at_once(self) -> None:
        shop = Shop(idle_seconds=3600.0)
        shop.store.away, shop.copy._first_pause = AWAY, 3600.0
        async with shop.running():
            await until(lambda: shop.copy.loads["failed"] == 1)
            shop.store.away, shop.copy._first_pause = None, 0.001
            shop.catalogue.suggest("w")
            await until(lambda: shop.copy.loads["ok"] >= 1)


async def test_own_changes_are_seen_at_once_without_a_load() -> None:
    shop = Shop()
    await shop.copy.refresh()
    shop.now = 5.0
    added = await shop.catalogue.add(" Blue  Widget ", "9.5")
    assert (added.name, str(added.price), added.updated_at) == ("Blue  Widget", "9.50", NOON + timedelta(seconds=5))
    assert shop.names() == ["Blue  Widget"]
    assert str((await shop.catalogue.set_price("BLUE WIDGET", 3)).price) == "3.00"
    assert [str(p.price) for p in shop.catalogue.search().products] == ["3.00"]
    await shop.catalogue.remove("blue widget")
    assert shop.names() == []
    assert shop.store.calls.count("all") == 1
    assert shop.catalogue.changes == {"saved": 3}


async def test_a_change_that_is_saved_while_a_load_goes_on_is_not_lost() -> None:
    shop = Shop(product("Old"), product("Gone"))
    await shop.copy.refresh()
    shop.store.open.clear()
    loading = asyncio.create_task(shop.copy.refresh())
    await until(lambda: shop.store.calls.count("all") == 2)
    shop.copy.apply("new", product("New"))
    shop.copy.apply("gone", None)
    shop.store.open.set()
    await loading
    assert shop.names() == ["New", "Old"]


async def test_what_is_wrong_is_told_before_the_store_is_asked() -> None:
    shop = Shop(product("Widget"))
    with pytest.raises(InvalidProduct, match="name"):
        await shop.catalogue.add(" ", 1)
    with pytest.raises(InvalidProduct, match="number"):
        await shop.catalogue.add("x", "free")
    with pytest.raises(InvalidProduct, match="negative"):
        await shop.catalogue.set_price("Widget", -1)
    assert shop.store.calls == []


async def test_names_that_are_taken_and_products_that_are_not_there() -> None:
    shop = Shop(product("Widget"))
    await shop.copy.refresh()
    with pytest.raises(AlreadyExists):
        await shop.catalogue.add("WIDGET", 1)
    with pytest.raises(NotFound):
        await shop.catalogue.set_price("other", 1)
    for name in ("other", "x" * 300, "\x00"):
        with pytest.raises(NotFound):
            shop.catalogue.find(name)
    shop.store.products.clear()
    with pytest.raises(NotFound):
        await shop.catalogue.remove("widget")
    assert shop.names() == [], "the store knows better"
    assert shop.catalogue.changes == {"refused": 3}


async def test_what_somebody_else_added_is_loaded_soon_after_it_was_in_the_way() -> None:
    shop = Shop()
    shop.copy._refresh_seconds = 3600.0
    async with shop.running():
        await until(lambda: shop.copy.index is not None)
        shop.store.products["widget"] = product("Widget")
        with pytest.raises(AlreadyExists):
            await shop.catalogue.add("Widget", 2)
        await until(lambda: shop.names() == ["Widget"])


async def test_a_change_without_an_answer_is_told_as_that_and_the_next_load_tells() -> None:
    shop = Shop(write_seconds=0.01)
    shop.copy._refresh_seconds = 3600.0
    async with shop.running():
        await until(lambda: shop.copy.index is not None)
        shop.store.open.clear()
        with pytest.raises(OutcomeUnknown, match="cannot be told whether it was saved"):
            await shop.catalogue.add("Widget", 2)
        shop.store.products["widget"] = product("Widget", "2")  # it was
        shop.store.open.set()
        await until(lambda: shop.names() == ["Widget"])
    assert shop.catalogue.changes == {"unknown": 1}


async def test_a_store_that_is_away_or_does_not_know_is_passed_on_and_counted() -> None:
    shop = Shop(product("Widget"))
    for error in (AWAY, OutcomeUnknown("The connection broke; look again.")):
        shop.store.away = error
        for change in (shop.catalogue.add("x", 1), shop.catalogue.set_price("widget", 1), shop.catalogue.remove("widget")):
            with pytest.raises(type(error)):
                await change
    assert shop.catalogue.changes == {"unavailable": 3, "unknown": 3}


async def test_changes_wait_for_their_turn_and_what_never_began_was_not_done() -> None:
    shop = Shop(write_seconds=0.05)
    shop.store.open.clear()
    ended = await asyncio.gather(*(shop.catalogue.add(f"p{n}", 1) for n in range(3)), return_exceptions=True)
    assert [type(each) for each in ended] == [OutcomeUnknown, CatalogueUnavailable, CatalogueUnavailable]
    assert shop.store.calls == ["add"]


async def test_a_change_that_lands_late_undoes_none_that_was_said_to_be_saved() -> None:
    shop = Shop(product("Widget"), write_seconds=0.05)
    shop.copy._refresh_seconds = 3600.0
    async with shop.running():
        await until(lambda: shop.copy.index is not None)
        shop.store.open.clear()
        with pytest.raises(OutcomeUnknown):
            await shop.catalogue.set_price("Widget", 2)
        with pytest.raises(CatalogueUnavailable, match="has not answered an earlier change"):
            await shop.catalogue.set_price("Widget", 3)
        assert shop.store.calls.count("set_price") == 1
        shop.store.open.set()
        await until(lambda: str(shop.catalogue.find("Widget").price) == "2.00")  # it lands, and is loaded
        await shop.catalogue.set_price("Widget", 3)
        assert str(shop.store.products["widget"].price) == "3.00"
    assert shop.catalogue.changes == {"unknown": 1, "unavailable": 1, "saved": 1}


async def test_too_many_changes_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    shop = Shop()
    shop.store.open.clear()
    waiting = [asyncio.create_task(shop.catalogue.add(f"p{n}", 1)) for n in range(2)]
    await until(lambda: shop.store.calls == ["add"])
    with pytest.raises(CatalogueUnavailable, match="Too many"):
        await shop.catalogue.add("p3", 1)
    shop.store.open.set()
    await asyncio.gather(*waiting)
    await shop.catalogue.add("p3", 1)
    assert len(shop.store.products) == 3


async def test_who_goes_away_in_the_middle_of_a_change_leaves_it_open() -> None:
    shop = Shop()
    shop.store.open.clear()
    change = asyncio.create_task(shop.catalogue.add("Widget", 1))
    await until(lambda: shop.store.calls == ["add"])
    change.cancel()
    await asyncio.wait({change})
    assert shop.catalogue.changes == {"unknown": 1}


async def test_a_full_catalogue_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PRODUCTS", 1)
    shop = Shop(product("Widget"))
    await shop.copy.refresh()
    with pytest.raises(InvalidInput, match="full"):
        await shop.catalogue.add("x", 1)


async def test_suggestions_are_as_many_as_discord_takes() -> None:
    shop = Shop(*(product(f"p{n}") for n in range(40)))
    await shop.copy.refresh()
    assert len(shop.catalogue.suggest("p")) == 25
    assert list(shop.catalogue.suggest("x" * 6000)) == []
