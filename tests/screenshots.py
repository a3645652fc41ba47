"""The README's pictures of the pages, made anew: `python -m tests.screenshots`. The bot, the call and the browser are real ones."""

import asyncio
import re
import tempfile
import wave
from pathlib import Path

from playwright.async_api import FloatRect, Page, ViewportSize, expect

from tests.browser import chromium
from tests.scenario import SPEECH, Stage, conversation, open_stage

PICTURES = Path(__file__).parent / "pictures"
WINDOW = ViewportSize(width=1120, height=900)
ROOM = 12
"""Pixels."""
SPOKEN = ("ben_02", "ada_04")
"""Sentences that the microphone plays."""
UNTIL = "i want to order"
"""What is being said in the call when the picture is taken."""


def recording(path: Path) -> Path:
    """The sentences as one file."""
    with wave.open(str(path), "wb") as joined:
        for name in SPOKEN:
            with wave.open(str(SPEECH / "conversation" / f"{name}.wav")) as one:
                if not joined.getnframes():
                    joined.setparams(one.getparams())
                joined.writeframes(one.readframes(one.getnframes()) + bytes(2 * one.getframerate()))
    return path


async def picture(page: Page, selector: str, name: str) -> None:
    """A part of the page with some room around it."""
    box = await page.locator(selector).bounding_box()
    assert box is not None
    room = FloatRect(x=box["x"] - ROOM, y=box["y"] - ROOM, width=box["width"] + 2 * ROOM, height=box["height"] + 2 * ROOM)
    await page.screenshot(path=PICTURES / name, full_page=True, clip=room)


async def microphone(page: Page) -> None:
    """One sentence marked, the next one growing; dark."""
    await page.emulate_media(color_scheme="dark")
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("#log mark")).to_have_count(2, timeout=20_000)
    await expect(page.locator("#partial")).to_have_text(re.compile(r"\w+ \w+ \w+"), timeout=20_000)
    await picture(page, "#microphone", "microphone.png")
    await page.get_by_role("button", name="Stop").click()
    await page.emulate_media(color_scheme="light")


async def call(page: Page, stage: Stage) -> None:
    """A call with alerts, while somebody talks; light."""
    await stage.begin()
    talking = asyncio.create_task(stage.play(conversation()))
    await expect(page.locator("#sessions .partial")).to_contain_text(UNTIL, timeout=60_000)
    await picture(page, "#calls", "calls.png")
    talking.cancel()


async def main() -> None:
    """Both."""
    with tempfile.TemporaryDirectory(prefix="earshot-pictures-") as folder:
        async with open_stage(Path(folder)) as stage, chromium(recording(Path(folder) / "spoken.wav")) as browser:
            page = await browser.new_page(viewport=WINDOW)
            await page.goto(f"http://127.0.0.1:{stage.app.api_port}/voicechat/")
            await microphone(page)
            await call(page, stage)


if __name__ == "__main__":
    asyncio.run(main())
