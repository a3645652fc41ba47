"""The pages where something is not as usual: quick clicks, a page opened in mid-call, silence, no bot, few rights, a narrow screen."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, FloatRect, Page, expect

from bot.api import live_pages
from bot.api.app import create_app, serve
from bot.api.products import routes as product_routes
from bot.speech.vosk import VoskTranscriber
from moderation.catalogue import Catalogue
from moderation.events import AlertRaised
from moderation.models import Alert, AlertState
from moderation.product_copy import ProductCopy
from tests.bot.api.test_live_page import BEN, PATIENCE, Site, at, browser, page, part, said, site, transcriber, works
from tests.fakes import FakeProductStore

__all__ = ["at", "browser", "page", "transcriber"]
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

MAY_CHANGE, MAY_LOOK = "may-change", "may-look"
LISTENING = "Listening. Speak!"


@asynccontextmanager
async def shop() -> AsyncIterator[str]:
    """The products, and the first page, of a server without a bot that knows both tokens; its address."""
    store = FakeProductStore()
    catalogue = Catalogue(store, ProductCopy(store))
    await catalogue.copy.refresh()
    await catalogue.add("Widget", "12.50")
    routes = [*product_routes(catalogue), *live_pages.routes(None)]
    app = create_app({"discord": works, "webhooks": works}, max_body=100_000, routes=routes, token=MAY_CHANGE, read_token=MAY_LOOK)
    async with serve(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(browser: Browser) -> AsyncIterator[Page]:
    """Somebody new, who is asked for the token: browsers complain of that answer's status."""
    async with await browser.new_context() as context:
        yield await context.new_page()


async def box(page: Page, selector: str) -> FloatRect:
    found = await page.locator(selector).bounding_box()
    assert found is not None
    return found


async def sign_in(page: Page, address: str, token: str) -> None:
    await page.goto(address)
    await page.get_by_label("Token").fill(token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Token")).to_have_count(0)


async def added(page: Page, selector: str) -> Sequence[str]:
    """What a screen reader was given to speak since this was last asked: texts that were put into the region."""
    found: list[str] = await page.evaluate(
        """selector => {
            const heard = window.heard ??= {};
            const before = heard[selector] ?? [];
            if (!(selector in heard)) new MutationObserver(changes => heard[selector].push(
                ...changes.flatMap(change => [...change.addedNodes]).map(node => node.textContent).filter(Boolean)
            )).observe(document.querySelector(selector), { subtree: true, childList: true, characterData: true });
            heard[selector] = [];
            return before;
        }""",
        selector,
    )
    return found


async def test_stop_and_start_in_one_moment_leave_nothing_behind_that_cuts_the_next_one_off(page: Page, at: Site) -> None:
    await page.clock.install()
    await page.goto(f"{at.url}/voicechat/")
    await part(page, "talk").click()
    await expect(part(page, "state")).to_have_text(LISTENING)
    await part(page, "talk").evaluate("button => { button.click(); button.click(); }")
    await expect(part(page, "state")).to_have_text("Not listening.")
    await part(page, "talk").click()
    await expect(part(page, "state")).to_have_text(LISTENING)
    await page.clock.fast_forward(25_000)
    await expect(part(page, "sent")).to_have_text(re.compile(r"^\d+ s sent$"))
    sent = int((await part(page, "sent").inner_text()).split()[0])
    await expect(part(page, "sent")).not_to_have_text(re.compile(rf"^({sent}|{sent + 1}) s"))
    await expect(part(page, "sent")).not_to_contain_text("left out")
    await expect(part(page, "talk")).to_have_text("Stop")


async def test_a_page_that_is_opened_in_mid_call_shows_what_was_said_and_the_alerts(page: Page, at: Site) -> None:
    session = await at.sessions.start(7, 8, "General")
    spoken = said(session, "go and kill yourself", spans=[(7, 20)])
    for event in (spoken, AlertRaised(Alert("a1", session, BEN, spoken.segment, spoken.verdict, AlertState.CONFIRMED))):
        await at.feed.emit(event)
    call = page.get_by_role("article", name="General")
    for _ in range(2):  # the second time it is loaded anew
        await page.goto(f"{at.url}/voicechat/")
        await expect(call.locator(".log mark")).to_have_text("kill yourself")
        await expect(call.get_by_role("listitem")).to_contain_text("Confirmed · 1:01")
    at.feed.forget(BEN.id)
    await page.reload()
    await expect(call).to_be_visible()
    await expect(call.locator(".log")).to_be_empty()
    await expect(call.get_by_role("listitem")).to_have_count(0)


async def test_alerts_that_are_not_shown_are_not_denied(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/voicechat/")
    told = await page.evaluate("""async () => {
        const { AlertList } = await import("/static/alerts.js");
        const list = new AlertList();
        return [0, 1, 2].map(all => (list.earlier(all), [...list.view.children].filter(e => !e.hidden).map(e => e.textContent).join("")));
    }""")
    assert told == ["None.", "1 earlier alert is not shown here.", "2 earlier alerts are not shown here."]


async def test_silence_is_told_and_forgotten_again(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/voicechat/")
    await part(page, "talk").click()
    await expect(part(page, "state")).to_have_text(LISTENING)
    await expect(part(page, "state")).to_contain_text("nothing is heard. Is the microphone muted", timeout=3 * PATIENCE)
    await part(page, "talk").click()
    await expect(part(page, "state")).to_have_text("Not listening.")
    await part(page, "talk").click()
    await expect(part(page, "state")).to_have_text(LISTENING)


async def test_a_server_that_stops_leaves_no_sentence_unfinished(visitor: Page, transcriber: VoskTranscriber) -> None:
    async with site(transcriber) as own:
        await visitor.goto(f"{own.url}/voicechat/")
        await part(visitor, "talk").click()
        await expect(visitor.locator("#partial")).to_contain_text("you are")
    lost = "/lost|does not answer/.test(document.querySelector('[data-part=state]').textContent)"
    unfinished = await visitor.wait_for_function(f"{lost} && {{ text: document.querySelector('#partial').textContent }}")
    assert await unfinished.json_value() == {"text": ""}
    await expect(part(visitor, "state")).to_contain_text("The server does not answer. Trying again in")
    await expect(part(visitor, "sent")).to_contain_text("left out while the line was not ready")
    await part(visitor, "talk").click()
    await expect(part(visitor, "state")).to_have_text("Not listening.")


async def test_a_screen_reader_hears_sentences_once_and_no_words_that_may_change(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/voicechat/")
    await expect(page.locator("#feed-state")).to_contain_text("Connected")
    session = await at.sessions.start(7, 8, "General")
    spoken = said(session, "go and kill yourself")
    await at.feed.emit(said(session, "go and", final=False))
    await expect(page.locator("#sessions .growing")).to_contain_text("go and")
    assert await page.evaluate("document.querySelector('#sessions .growing').closest('[aria-live], [role=log], [role=status]')") is None
    await added(page, "#sessions .log")
    await at.feed.emit(spoken)
    await expect(page.locator("#sessions .log .said")).to_have_text("go and kill yourself")
    assert len(await added(page, "#sessions .log")) == 1
    await at.feed.emit(spoken)
    alert = Alert("a1", session, BEN, spoken.segment, spoken.verdict, AlertState.EARLY)
    await at.feed.emit(AlertRaised(alert))
    await expect(page.locator(".alerts li")).to_have_count(1)
    assert await added(page, "#sessions .log") == []
    await added(page, ".alerts-box")
    await at.feed.emit(AlertRaised(alert))
    at.feed.tell_status()
    await expect(page.locator("#sessions")).to_contain_text("1.0 % of packets lost")
    assert await added(page, ".alerts-box") == []
    live = await page.evaluate("[...document.querySelectorAll('#sessions [role=status]')].map(e => e.textContent).join()")
    assert "packets" not in live, "it changes every two seconds"


async def test_the_running_score_is_not_spoken_but_what_it_comes_to(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/demo/live-audio")
    assert await page.locator("nav [aria-current=page]").inner_text() == "Score"
    assert await page.locator("#verdict").get_attribute("aria-live") == "off"
    await part(page, "talk").click()
    await expect(page.locator("#log .said")).to_contain_text("stupid")
    await part(page, "talk").click()
    await expect(page.locator("#crossed")).to_have_text(re.compile(r"^The final score is 0[.]\d\d: (not )?flagged[.]$"))


async def test_without_a_bot_no_page_speaks_of_calls_that_could_come(visitor: Page) -> None:
    async with shop() as url:
        await sign_in(visitor, f"{url}/", MAY_LOOK)
        await expect(visitor.locator("#now")).to_contain_text("without the bot: there are no calls here")
        rows = await visitor.get_by_role("rowheader").all_inner_texts()
        assert [name for name in rows if name[0].islower() or "_" in name] == []
        await visitor.goto(f"{url}/voicechat/")
        await expect(visitor.locator("#calls")).to_contain_text("without the bot: there are no calls here")
        await expect(visitor.locator("main")).not_to_contain_text("/voice join")


async def test_who_may_only_look_is_shown_no_forms(visitor: Page, browser: Browser) -> None:
    async with shop() as url:
        await sign_in(visitor, f"{url}/databricks/products/", MAY_LOOK)
        await expect(visitor.get_by_role("row", name="Widget")).to_contain_text("12.50")
        await expect(visitor.locator("form[method=post]")).to_have_count(0)
        await expect(visitor.locator("main")).to_contain_text("may only look")
        async with await browser.new_context() as context:
            other = await context.new_page()
            await sign_in(other, f"{url}/databricks/products/", MAY_CHANGE)
            await expect(other.get_by_role("button", name="Add")).to_be_visible()
            await expect(other.locator("summary")).to_have_text("Change")


async def test_on_a_narrow_screen_labels_stay_beside_their_fields_and_buttons_clear_of_them(visitor: Page) -> None:
    async with shop() as url:
        await visitor.set_viewport_size({"width": 360, "height": 740})
        await visitor.goto(f"{url}/")
        field, button = await box(visitor, "#token"), await box(visitor, "main button")
        assert button["y"] - (field["y"] + field["height"]) >= 8, "the focus ring is 5 pixels wide"
        await sign_in(visitor, f"{url}/databricks/products/", MAY_CHANGE)
        for name in ("q", "name", "price"):
            label, field = await box(visitor, f"label[for={name}]"), await box(visitor, f"#{name}")
            assert field["x"] > label["x"] + label["width"] - 1
            assert abs(label["y"] + label["height"] / 2 - field["y"] - field["height"] / 2) < 8
        assert await visitor.evaluate("document.documentElement.scrollWidth") <= 360
