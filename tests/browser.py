"""A real Chromium with a microphone that plays a file, for tests of the pages and for their pictures."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
"""Debian's package."""


def missing() -> str:
    """Why there is no browser; empty when there is one."""
    return "" if os.access(CHROMIUM, os.X_OK) else f"there is no {CHROMIUM} (Debian and Ubuntu: apt install chromium)"


@asynccontextmanager
async def chromium(microphone: Path) -> AsyncIterator[Browser]:
    """`microphone`: absolute path of a WAV file that every opened microphone plays once, from its beginning, and then is silent."""
    options = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        "--host-resolver-rules=MAP earshot.test 127.0.0.1",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        try:
            yield browser
        finally:
            await browser.close()


def watch(page: Page) -> list[str]:
    """Collects what the page complains of: errors in scripts, refused policies, requests that failed."""
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return problems


async def keep(page: Page, *selectors: str) -> None:
    """From the next page on, what elements say is kept for `has_said`: a busy machine looks too late for what is soon gone."""
    await page.add_init_script(
        f"const kept = {list(selectors)};"
        + """
        window.said = Object.fromEntries(kept.map(each => [each, []]));
        new MutationObserver(() => {
            for (const each of kept) {
                for (const found of document.querySelectorAll(each)) {
                    const now = String(found.value ?? found.textContent);
                    if (now !== window.said[each].at(-1)) window.said[each].push(now);
                }
            }
        }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });"""
    )


async def has_said(page: Page, selector: str, text: str) -> None:
    """Wait until an element says this, or has said it since the page was opened. Raises `AssertionError` with what it said instead."""
    said: list[str] = []
    for _ in range(1200):
        said = await page.evaluate("selector => window.said[selector]", selector)
        if any(text in each for each in said):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{selector} never said {text!r}, but {said[-20:]}")


async def nameless(page: Page) -> list[str]:
    """Controls and regions that a screen reader could not name, as HTML."""
    found: list[str] = await page.evaluate("""
        () => [...document.querySelectorAll('button, a, input, meter, section, article, table, [role=region], [role=log]')]
            .filter(e => !(e.ariaLabel || e.labels?.length || document.getElementById(e.getAttribute('aria-labelledby'))
                || (e.matches('button, a, table') && e.textContent.trim())))
            .map(e => e.outerHTML)""")
    return found


async def headings(page: Page) -> list[int]:
    """The levels of the page's headings, in order."""
    found: list[int] = await page.evaluate("() => [...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    return found


async def faint(page: Page) -> list[tuple[str, float]]:
    """Texts whose contrast is less than 4.5, by the formula of WCAG 2.2 (success criterion 1.4.3)."""
    found: list[tuple[str, float]] = await page.evaluate(r"""() => {
        const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
        const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const light = (colour) => parts(colour).slice(0, 3).map((v) => linear(v / 255))
            .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
        const under = (e) => {
            while (e && parts(getComputedStyle(e).backgroundColor)[3] === 0) e = e.parentElement;
            return getComputedStyle(e ?? document.body).backgroundColor;
        };
        const contrast = (e) => {
            const [less, more] = [light(getComputedStyle(e).color), light(under(e))].sort((a, b) => a - b);
            return (more + 0.05) / (less + 0.05);
        };
        const texts = [...document.querySelectorAll('body *')]
            .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()));
        return texts.filter((e) => contrast(e) < 4.5).map((e) => [e.textContent.trim(), contrast(e)]);
    }""")
    return found
