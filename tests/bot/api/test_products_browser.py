"""The page of products in a real browser that runs no scripts, from the sign-in page on."""

import shutil

import pytest
from playwright.async_api import async_playwright

from bot.api.app import create_app, serve
from bot.api.products import routes
from moderation.catalogue import Catalogue
from moderation.product_copy import ProductCopy
from tests.fakes import FakeProductStore

pytestmark = pytest.mark.integration

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAME = "Suit <b>🧑‍🚀</b> & \"co\" 'ltd'"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
async def test_somebody_signs_in_adds_a_product_corrects_it_and_removes_it() -> None:
    store = FakeProductStore()
    catalogue = Catalogue(store, ProductCopy(store))
    await catalogue.copy.refresh()
    app = create_app({}, token="a-token", max_body=100_000, routes=routes(catalogue))
    async with serve(app, "127.0.0.1", 0) as port, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = await (await browser.new_context(java_script_enabled=False)).new_page()
        page.set_default_timeout(60_000)
        address = f"http://127.0.0.1:{port}/databricks/products/"
        await page.goto(address)
        await page.fill("#token", "a-token")
        await page.click("button")
        await page.goto(address)
        await page.fill("#name", NAME)
        await page.fill("#price", "12,5")
        await page.click("button[value=add]")
        assert "a point" in await page.inner_text("[role=alert]")
        assert await page.input_value("#name") == NAME
        await page.fill("#price", "12.5")
        await page.click("button[value=add]")
        assert await page.inner_text("[role=status]") == "The product is added."
        assert await page.inner_text("tbody th") == NAME
        await page.click("summary")
        await page.fill("details input[name=price]", "7")
        await page.click("button[value=price]")
        assert await page.inner_text("tbody td.number") == "7.00"
        await page.click("summary")
        await page.click("button[value=remove]")
        assert "There are none yet." in await page.inner_text("main")
        await browser.close()
    assert catalogue.changes == {"saved": 3}
