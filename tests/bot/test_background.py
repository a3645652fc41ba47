"""What runs beside everything else: one part that fails is begun anew and ends none of the others."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from bot import background
from bot.background import Background
from bot.commands.serving import EX_SOFTWARE, until_stopped
from moderation.errors import StorageError

pytestmark = pytest.mark.unit


async def test_what_fails_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "LONGEST_PAUSE", 0.001)
    tries, again = list[int](), asyncio.Event()

    async def broken() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StorageError("away")
        again.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(30), AsyncExitStack() as stack:
        work = await Background.open(stack)
        work.start("broken", broken)
        await again.wait()
        assert work.failures == 2


async def test_it_does_not_say_that_it_cannot_start_once_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    async def serve(stopping: asyncio.Event, started: asyncio.Event) -> int:
        started.set()
        raise StorageError("away")

    assert await until_stopped(serve) == EX_SOFTWARE
    assert "cannot start" not in capsys.readouterr().err


async def test_before_that_what_is_wrong_is_for_whoever_starts_it() -> None:
    async def serve(stopping: asyncio.Event, started: asyncio.Event) -> int:
        raise StorageError("away")

    with pytest.raises(StorageError):
        await until_stopped(serve)
