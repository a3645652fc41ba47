"""Databricks by settings alone: what `python -m bot run` makes of them."""

from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from bot.commands.check import warehouse
from bot.databricks.access import warehouse_of, workspace_of
from bot.databricks.opening import open_products
from config.settings import Settings
from moderation.errors import CatalogueUnavailable
from tests.bot.databricks.support import Stage
from tests.loopback.certs import Certificates
from tests.loopback.databricks.oauth import OAuthPart
from tests.loopback.databricks.workspace import LoopbackWorkspace
from tests.product_store_contract import product

pytestmark = pytest.mark.integration


async def test_a_catalogue_by_personal_token(stage: Stage) -> None:
    settings = Settings(
        databricks_host=stage.workspace.url, databricks_token=SecretStr("dapi-loopback"), databricks_http_path=stage.part.path
    )
    async with aiohttp.ClientSession() as session:
        store = open_products(settings, session)
        assert store is not None
        assert await store.add(product("Widget")) is True
        await store.aclose()
    assert stage.engine.query("SELECT product_key FROM workspace.default.products") == [("widget",)]


async def test_a_catalogue_by_service_principal_in_a_table_of_ones_own() -> None:
    stage = Stage()
    oauth = OAuthPart(stage.tokens)
    async with LoopbackWorkspace(oauth, stage.part) as workspace, aiohttp.ClientSession() as session:
        settings = Settings(
            databricks_host=workspace.url,
            databricks_client_id="loopback-client",
            databricks_client_secret=SecretStr("loopback-secret"),
            databricks_http_path=stage.part.path,
            databricks_products_table="workspace.default.our-products",
        )
        store = open_products(settings, session)
        assert store is not None
        assert await store.add(product("Widget")) is True
        await store.aclose()
        assert stage.engine.query("SELECT product_key FROM `our-products`") == [("widget",)]
    assert len(oauth.given) == 1


async def test_over_tls_on_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificates = Certificates()
    (tmp_path / "authority.pem").write_bytes(certificates.authority_pem)
    stage = Stage()
    async with LoopbackWorkspace(stage.part, tls=certificates.server_context()) as workspace, aiohttp.ClientSession() as session:
        settings = Settings(
            databricks_host=workspace.url, databricks_token=SecretStr("dapi-loopback"), databricks_http_path=stage.part.path
        )
        assert workspace.url.startswith("https://127.0.0.1:")
        store = open_products(settings, session)
        assert store is not None
        with pytest.raises(CatalogueUnavailable, match="SSLError"):
            await store.prepare()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert await store.add(product("Widget")) is True
        await store.aclose()


async def test_without_a_warehouse_there_is_none() -> None:
    settings = Settings(databricks_host="dbc-1.cloud.databricks.com", databricks_token=SecretStr("dapi-1"))
    async with aiohttp.ClientSession() as session:
        assert open_products(settings, session) is None


@pytest.mark.parametrize(
    ("host", "server", "expected"),
    [
        ("https://dbc-1.cloud.databricks.com", None, "https://dbc-1.cloud.databricks.com"),
        ("http://127.0.0.1:8443", None, "http://127.0.0.1:8443"),
        ("https://dbc-1.cloud.databricks.com", "sql.example.com", "https://sql.example.com"),
        (None, "sql.example.com", "https://sql.example.com"),
    ],
)
def test_where_the_warehouse_is(host: str | None, server: str | None, expected: str) -> None:
    given = {"databricks_host": host, "databricks_server_hostname": server}
    settings = Settings.model_validate({name: value for name, value in given.items() if value is not None})
    assert warehouse_of(settings) == expected
    assert workspace_of(settings) == (host or expected)


async def test_the_doctor_asks_the_warehouse_and_makes_nothing(stage: Stage) -> None:
    settings = Settings(
        databricks_host=stage.workspace.url, databricks_token=SecretStr("dapi-loopback"), databricks_http_path=stage.part.path
    )
    found = await warehouse(settings)
    assert (found.ok, found.needed) == (True, False)
    assert not stage.engine.query("SELECT table_name FROM information_schema.tables WHERE table_name = 'products'")
    refused = await warehouse(settings.model_copy(update={"databricks_token": SecretStr("dapi-wrong")}))
    assert not refused.ok
    assert "DATABRICKS_TOKEN" in refused.detail
    assert "dapi-wrong" not in refused.detail
    assert "products are kept in the bot's database" in (await warehouse(Settings())).detail
