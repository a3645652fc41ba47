"""Which store is chosen, and what `/ready` says of it."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.api.health import ProbeResult, Status
from bot.catalogue import open_catalogue, state, warehouse_probes
from bot.storage.database import Database
from bot.storage.migrate import upgrade
from config.settings import Settings
from moderation.catalogue import Catalogue
from moderation.errors import CatalogueUnavailable
from moderation.product_copy import IDLE_SECONDS, REFRESH_SECONDS, ProductCopy
from tests.bot.databricks.support import Stage as DatabricksStage
from tests.fakes import FakeProductStore
from tests.loopback.databricks.tokens import PERSONAL
from tests.product_store_contract import product


@pytest.mark.integration
async def test_without_a_warehouse_products_are_kept_in_the_bots_own_database(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/earshot.db")
    await upgrade(database)
    async with AsyncExitStack() as stack:
        catalogue = await open_catalogue(stack, Settings(), database)
        await catalogue.copy.refresh()
        await catalogue.add("Widget", "9.99")
        assert warehouse_probes(catalogue, database) == {}, "it is off: the database's own probe says it all"
        assert catalogue.copy._idle_seconds == REFRESH_SECONDS, "a database of one's own may be asked as often as one likes"
    again = await open_catalogue(AsyncExitStack(), Settings(), database)
    await again.copy.refresh()
    assert [str(p.price) for p in again.search().products] == ["9.99"]
    await database.aclose()


@pytest.mark.integration
async def test_with_a_warehouse_products_are_kept_there(tmp_path: Path) -> None:
    warehouse = DatabricksStage()
    async with warehouse.workspace, AsyncExitStack() as stack:
        settings = Settings(
            databricks_host=warehouse.workspace.url, databricks_token=SecretStr(PERSONAL), databricks_http_path=warehouse.part.path
        )
        database = await Database.open("sqlite:///:memory:")
        stack.push_async_callback(database.aclose)
        catalogue = await open_catalogue(stack, settings, database)
        await catalogue.copy.refresh()
        assert catalogue.copy._idle_seconds == IDLE_SECONDS, "a warehouse costs money while it is asked"
        await catalogue.add("Widget", "9.99")
        found = await warehouse_probes(catalogue, database)["databricks_sql"]()
        assert (found.status, catalogue.store_name) == (Status.OK, "Databricks SQL")
        assert warehouse.engine.query("SELECT product_key FROM workspace.default.products") == [("widget",)]


@pytest.mark.integration
async def test_ready_says_how_a_warehouse_was_found_last(tmp_path: Path) -> None:
    database = await Database.open("sqlite:///:memory:")
    store, now = FakeProductStore(product("Widget")), [0.0]
    copy = ProductCopy(store, clock=lambda: now[0])
    catalogue = Catalogue(store, copy)
    probe = warehouse_probes(catalogue, database)["databricks_sql"]
    assert await probe() == ProbeResult(Status.DEGRADED, "products are being loaded")
    store.away = CatalogueUnavailable("The warehouse is stopped.")
    with pytest.raises(CatalogueUnavailable):
        await copy.refresh()
    assert (await probe()).status is Status.DOWN
    store.away = None
    await copy.refresh()
    now[0] = 12.0
    assert await probe() == ProbeResult(Status.OK, "1 products, loaded 12 s ago")
    asked = len(store.calls)
    store.away = CatalogueUnavailable("The warehouse is stopped.")
    with pytest.raises(CatalogueUnavailable):
        await copy.refresh()
    assert state(catalogue) == ProbeResult(Status.DEGRADED, "The warehouse is stopped. A copy of 1 products, 12 s old, is shown meanwhile.")
    assert len(store.calls) == asked + 1, "asking for the state asks no warehouse"
    await database.aclose()
