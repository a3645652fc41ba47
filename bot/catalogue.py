"""The product catalogue put together: which store, by settings; the copy that is read; how it fares."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

import aiohttp

from bot.api.health import Probe, ProbeResult, Status
from bot.databricks.opening import open_products
from bot.storage.database import Database
from bot.storage.products import SqlProductStore
from config.settings import Settings
from moderation.catalogue import Catalogue
from moderation.ports import ProductStore
from moderation.product_copy import IDLE_SECONDS, ProductCopy


async def open_catalogue(stack: AsyncExitStack, settings: Settings, database: Database) -> Catalogue:
    """Empty until somebody runs its copy; the stack closes its store."""
    store: ProductStore = SqlProductStore(database)
    idle_seconds = None
    if settings.databricks_http_path is not None:
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        if (products := open_products(settings, session)) is not None:
            store, idle_seconds = products, IDLE_SECONDS  # whoever asks a warehouse keeps it awake, and paid for
    stack.push_async_callback(store.aclose)
    copy = ProductCopy(store, refresh_seconds=settings.earshot_catalogue_refresh_seconds, idle_seconds=idle_seconds)
    return Catalogue(store, copy)


def warehouse_probes(catalogue: Catalogue, database: Database) -> Mapping[str, Probe]:
    """`databricks_sql`, where products are kept there; otherwise the database's own probe says it all."""
    if catalogue.store_name == SqlProductStore(database).name:
        return {}

    async def databricks_sql() -> ProbeResult:
        return state(catalogue)

    return {"databricks_sql": databricks_sql}


def state(catalogue: Catalogue) -> ProbeResult:
    """As the latest load found it: nobody who asks for `/ready` wakes a warehouse."""
    copy = catalogue.copy
    if copy.failure is None:
        known = f"{len(copy):,} products, loaded {copy.age:.0f} s ago" if copy.index is not None else "products are being loaded"
        return ProbeResult(Status.OK if copy.index is not None else Status.DEGRADED, known)
    if copy.index is None:
        return ProbeResult(Status.DOWN, f"{copy.failure} There is no copy of the products yet; it is tried again by itself.")
    return ProbeResult(Status.DEGRADED, f"{copy.failure} A copy of {len(copy):,} products, {copy.age:.0f} s old, is shown meanwhile.")
