"""The SQL warehouse and the catalogue in it, as the settings say it."""

import aiohttp

from bot.databricks.access import credentials, warehouse_of
from bot.databricks.connection import Address
from bot.databricks.products import DatabricksProductStore
from bot.databricks.warehouse import Warehouse
from config.settings import Settings


def open_warehouse(settings: Settings, session: aiohttp.ClientSession) -> Warehouse | None:
    """None where no warehouse, or nobody who may ask it, is set. Nothing is connected or imported yet.

    `session`: for signing in; stays open as long as the warehouse.
    """
    who, url = credentials(settings, session), warehouse_of(settings)
    if settings.databricks_http_path is None or who is None or url is None:
        return None
    return Warehouse(Address(url, settings.databricks_http_path), who)


def open_products(settings: Settings, session: aiohttp.ClientSession) -> DatabricksProductStore | None:
    """As `open_warehouse`."""
    warehouse = open_warehouse(settings, session)
    return DatabricksProductStore(warehouse, settings.databricks_products_table) if warehouse is not None else None
