"""Looking for deletions that other processes were asked for."""

import asyncio

import pytest

from bot.erasing import Catcher
from moderation.forgetting import Erasure, Forgetting
from tests.moderation.test_forgetting import HERE, NOON, FakeErasures

pytestmark = pytest.mark.unit


async def test_looking_goes_on_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.erasing.LOOK_SECONDS", 0.001)
    erasures, gone = FakeErasures(alone=False), asyncio.Event()
    catcher = Catcher(Forgetting({"memory": lambda user_id: gone.set()}, {}, erasures, shards=HERE))
    await erasures.request(Erasure(7, NOON))
    erasures.away = True
    async with asyncio.TaskGroup() as group:
        group.create_task(catcher.run())
        async with asyncio.timeout(30):
            while catcher.failed < 2:  # noqa: ASYNC110 - nobody but this test waits for it
                await asyncio.sleep(0.001)
            assert not gone.is_set()
            erasures.away = False
            await gone.wait()
        catcher.close()
    assert erasures.left == []
