"""The pages in a real Chromium, whose microphone plays a recording, against the real recogniser."""

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Locator, Page, expect

from bot.api import feed as feeds
from bot.api import flag_audio, live_pages, live_socket
from bot.api.app import create_app, serve
from bot.api.feed import Feed
from bot.api.flag_audio import Rating
from bot.api.health import ProbeResult, Status
from bot.api.streams import Streams
from bot.api.websocket import close_all
from bot.speech.vosk import VoskTranscriber
from moderation.detectors.matching import Lexicon, score_of
from moderation.events import AlertRaised, AlertRevised, SegmentTranscribed
from moderation.models import Alert, AlertState, Flag, Level, Session, Span, Speaker, TranscriptSegment, Verdict
from moderation.pipeline import Pipeline
from moderation.scoring import TextScoring
from moderation.sessions import Running, SessionManager
from moderation.settings import GuildSettings
from moderation.terms import Term, TermType
from tests.bot.api.test_streams import free
from tests.browser import chromium, faint, has_said, headings, keep, missing, nameless, watch
from tests.fakes import FakeTranscriber
from tests.fakes_live import FakeGateway
from tests.scenario import MODEL, SPEECH

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

SAID = "you are a stupid idiot"
"""How the sentence begins that the microphone plays; a busy machine's microphone may have gaps in what follows."""
LEXICON = Lexicon([Term("stupid", TermType.WORD, "insult", 3), Term("idiot", TermType.WORD, "insult", 4)])
TOKEN = "a-token"
HOST = "earshot.test"
"""A name of this machine that is no loopback name, as browsers see it."""
PATIENCE = 60_000.0
"""Milliseconds that anything may take on a busy machine, the recording included."""
LEVEL, LEVEL_WORD, PARTIAL, NOW, FEED = "[data-part=level]", "[data-part=level-word]", "#partial", "td:nth-child(2)", "#feed-state"
"""What shows things for a moment only."""
BEN = Speaker(2, "<b>Ben</b>")


async def works() -> ProbeResult:
    return ProbeResult(Status.OK, "as it should")


async def fails() -> ProbeResult:
    return ProbeResult(Status.DOWN, "<nothing> there")


@dataclass(frozen=True, slots=True)
class Site:
    """A server with all that the pages talk to."""

    url: str
    app: web.Application
    streams: Streams
    sessions: SessionManager
    feed: Feed


@asynccontextmanager
async def site(transcriber: VoskTranscriber, token: str | None = None) -> AsyncIterator[Site]:
    async def rate(text: str) -> Rating:
        score = score_of(LEXICON.match(text)).score
        return Rating(score, flagged=score >= 0.5, response=None)

    async def pipeline(session: Session) -> Pipeline:
        return Pipeline(session, FakeTranscriber(), (), feed, lambda: settings)

    def running() -> Sequence[Running]:
        return sessions.all()

    settings, streams, feed = GuildSettings(7), Streams(transcriber, limit=1), Feed(running)
    async with SessionManager(FakeGateway(), pipeline, feed) as sessions:
        routes = [
            *live_pages.routes(running),
            *live_socket.routes(streams, TextScoring(lambda: LEXICON, None, 0.7)),
            *flag_audio.routes(streams, rate, 0.5, every=0.05),
            *feeds.routes(feed),
        ]
        app = create_app({"discord": works, "database": fails}, token=token, max_body=1000, routes=routes)
        async with serve(app, "127.0.0.1", 0) as port:
            yield Site(f"http://localhost:{port}", app, streams, sessions, feed)


@pytest.fixture(scope="module")
def transcriber() -> VoskTranscriber:
    return VoskTranscriber.load(MODEL, threads=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Without Chromium: skipped, except where CI promises one."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE)
    async with chromium(SPEECH / "conversation" / "ben_02.wav") as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def at(transcriber: VoskTranscriber) -> AsyncIterator[Site]:
    async with site(transcriber) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """Closed with no complaint: neither of a script nor of the content policy."""
    async with await browser.new_context() as context:
        opened = await context.new_page()
        await keep(opened, LEVEL, LEVEL_WORD, PARTIAL, NOW)
        problems = watch(opened)
        yield opened
        assert problems == []


def part(page: Page, name: str) -> Locator:
    return page.locator(f"[data-part={name}]")


async def press(page: Page, name: str) -> None:
    """As people do who have no mouse: forward with Tab to what has this name, then Enter."""
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.trim()") == name:
            await page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not lead to {name!r}")


def said(session: Session, text: str, *, final: bool = True, spans: Sequence[tuple[int, int]] = ()) -> SegmentTranscribed:
    flags = tuple(Flag("lexicon", "self_harm", 10, 1.0, 1.0, Span(start, end, 61.0, 61.5)) for start, end in spans)
    verdict = Verdict(Level.ALERT, 10, 1.0, 1.0, ("self_harm",), flags) if flags else Verdict()
    return SegmentTranscribed(session, BEN, TranscriptSegment(session.id, BEN.id, 0, 61.0, 63.0, text, final), verdict)


async def test_what_the_microphone_hears_is_shown_scored_and_marked(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/voicechat/")
    await expect(part(page, "level-word")).to_have_text("off")
    await press(page, "Start")
    await expect(part(page, "state")).to_have_text("Listening. Speak!")
    await has_said(page, LEVEL_WORD, "good")
    await has_said(page, PARTIAL, "you are")
    assert max(float(value) for value in await page.evaluate("selector => window.said[selector]", LEVEL)) > 0
    await expect(page.locator("#log .said")).to_contain_text(SAID)
    await expect(page.locator("#log mark")).to_have_text(["stupid", "idiot"])
    await expect(page.locator("#log .label")).to_have_text(["insult 4/10", re.compile("score 0[.]")])
    await expect(page.locator("#partial")).to_be_empty()
    assert await page.evaluate("document.activeElement.textContent") == "Stop", "the focus stays on the button"
    await page.keyboard.press("Enter")
    await expect(part(page, "state")).to_have_text("Not listening.")
    await expect(part(page, "level-word")).to_have_text("off")
    await expect(part(page, "sent")).to_have_text(re.compile(r"^\d+ s sent"))
    await free(at.streams)
    await press(page, "Clear")
    await expect(page.locator("#log")).to_be_empty()


async def test_the_end_brings_the_last_words_and_the_final_score(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/demo/live-audio")
    await part(page, "talk").click()
    await has_said(page, PARTIAL, "stupid")
    await part(page, "talk").click()
    await expect(page.locator("#log .said")).to_contain_text("you are a stupid")
    await expect(page.locator("#verdict")).to_have_text(re.compile(r"^0[.]\d\d, (not )?flagged [(]threshold 0[.]50[)], final$"))
    await expect(part(page, "state")).to_have_text("Not listening.")
    assert float(await page.locator("#score").evaluate("bar => bar.value")) in {0.3, 0.7}, (
        "of the one insult, or of both, where the second was still said"
    )


async def test_calls_are_shown_as_they_happen(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/voicechat/")
    await expect(page.locator("#feed-state")).to_contain_text("Connected")
    await expect(page.locator("#nothing")).to_be_visible()
    session = await at.sessions.start(7, 8, "General")
    call = page.get_by_role("article", name="General")
    await at.feed.emit(said(session, "go and \U0001f600 kill", final=False))
    await expect(call.get_by_role("row", name="<b>Ben</b>")).to_be_visible()
    await has_said(page, NOW, "talking")
    await expect(call.locator(".partial", has_text="Ben").locator(".said")).to_have_text("go and \U0001f600 kill …")
    spoken = said(session, "go and \U0001f600 kill yourself", spans=[(9, 22)])
    alert = Alert("a1", session, BEN, spoken.segment, spoken.verdict, AlertState.EARLY)
    for event in (AlertRaised(alert), spoken, spoken, AlertRevised(replace(alert, state=AlertState.CONFIRMED))):
        await at.feed.emit(event)
    await expect(call.locator(".log mark")).to_have_text("kill yourself")
    await expect(call.locator(".log .line")).to_have_text("1:01<b>Ben</b>go and \U0001f600 kill yourselfself harm 10/10")
    await expect(call.locator(".partial")).to_have_count(1)
    await expect(call.get_by_role("listitem")).to_have_count(1)
    await expect(call.get_by_role("listitem")).to_contain_text("self harm, severity 10/10")
    await expect(call.get_by_role("listitem")).to_contain_text(f"Confirmed · 1:01 · alert {alert.reference}")
    at.feed.tell_status()
    await expect(call.get_by_role("row", name="Somebody")).to_contain_text("100 %")
    await expect(call).to_contain_text("end-to-end encrypted; 1.0 % of packets lost")
    await page.get_by_label("Blur flagged words").check()
    await expect(call.locator(".log mark")).to_have_css("color", "rgba(0, 0, 0, 0)")
    await at.feed.emit(said(session, "and", final=False))
    await expect(call.locator(".partial")).to_have_count(2)
    await at.sessions.stop(7)
    await expect(call).to_contain_text("Ended: stopped.")
    await expect(call.locator(".partial")).to_have_count(0)


async def test_a_lost_connection_comes_back_and_a_full_server_is_waited_for(browser: Browser, at: Site) -> None:
    at.streams.take_place()
    async with await browser.new_context() as context:
        page = await context.new_page()
        await keep(page, FEED)
        await page.goto(f"{at.url}/voicechat/")
        await expect(page.locator(FEED)).to_contain_text("Connected")
        await close_all(at.app)
        await has_said(page, FEED, "The connection was lost. Trying again")
        await expect(page.locator("#feed-state")).to_contain_text("Connected")
        await part(page, "talk").click()
        await expect(part(page, "state")).to_contain_text("1 streams are open already; try again when one has ended. Trying again in")
        at.streams.give_back()
        await expect(part(page, "state")).to_have_text("Listening. Speak!")
        await expect(part(page, "sent")).to_contain_text("left out while the line was not ready")
        await part(page, "talk").click()
        await expect(part(page, "state")).to_have_text("Not listening.")


async def test_a_person_with_the_token_signs_in_and_is_told_where_microphones_work(browser: Browser, transcriber: VoskTranscriber) -> None:
    async with site(transcriber, TOKEN) as at, await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{at.url.replace('localhost', HOST)}/voicechat/")
        await page.get_by_label("Token").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        await page.get_by_label("Token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.locator("#feed-state")).to_contain_text("Connected")
        await part(page, "talk").click()
        await expect(part(page, "trouble")).to_contain_text(f"the same machine ({at.url}/voicechat/)")
        other = await context.new_page()
        await other.goto(at.url.replace("localhost", HOST))
        await other.get_by_role("button", name="Sign out").click()
        await expect(other.get_by_label("Token")).to_be_focused()
        await close_all(at.app)
        await expect(page.locator("#feed-state")).to_have_text("You are not signed in any more: open this page again and give the token.")


async def test_a_microphone_that_is_refused_is_told_in_words(browser: Browser, at: Site) -> None:
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.add_init_script(
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', location.search.slice(1)) }"
        )
        for error, told in (
            ("NotAllowedError", "does not let this page"),
            ("NotFoundError", "No microphone was found"),
            ("Other", "(Other)"),
        ):
            await page.goto(f"{at.url}/voicechat/?{error}")
            await part(page, "talk").click()
            await expect(part(page, "trouble")).to_contain_text(told)
            await expect(part(page, "talk")).to_have_text("Start")


async def test_the_status_page_says_how_the_bot_fares(page: Page, at: Site) -> None:
    await page.goto(f"{at.url}/")
    await expect(page.locator("#now")).to_contain_text("Not ready: Database does not work.")
    await expect(page.get_by_role("row", name="Database")).to_contain_text("<nothing> there")
    await expect(page.get_by_role("row", name="Discord")).to_contain_text("works")
    await expect(page.locator("#now")).to_contain_text("The bot is in no call.")
    await at.sessions.start(7, 8, "<i>General")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.get_by_role("listitem")).to_contain_text("<i>General, since")


@pytest.mark.parametrize("path", ["/", "/voicechat/", "/demo/live-audio", "/api/docs"])
async def test_every_page_is_for_everybody(page: Page, at: Site, path: str) -> None:
    session = await at.sessions.start(7, 8, "General " * 5)
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.goto(f"{at.url}{path}")
    if path == "/voicechat/":
        spoken = said(session, "kill yourself " * 20 + "w" * 200, spans=[(0, 13)])
        await expect(page.locator("#feed-state")).to_contain_text("Connected")
        await at.feed.emit(spoken)
        await at.feed.emit(AlertRaised(Alert("a1", session, BEN, spoken.segment, spoken.verdict, AlertState.EARLY)))
        await expect(page.locator(".alerts li")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    assert await page.evaluate("[...document.querySelectorAll('.log')].every(log => log.scrollWidth <= log.clientWidth)")
    assert await nameless(page) == []
    levels = await headings(page)
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    seen = set()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        seen.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert await faint(page) == []
    assert len(seen) == 2
