"""The whole bot in the loopback world: what moderators are told of the bot gets through, and nothing in its way ends the bot."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from moderation.errors import DeliveryFailed
from moderation.notices import Grade, Notice
from tests.bot.storage.conftest import SERVER, postgres_url, postgres_user
from tests.loopback.faults import Fault
from tests.scenario import Stage, open_stage

__all__ = ["postgres_url", "postgres_user"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        await opened.begin()
        yield opened


def titles(stage: Stage) -> list[str]:
    return [each["title"] for card in stage.cards() for each in card.embeds]


@pytest.mark.external
@pytest.mark.parametrize("what", ["kick", "deaf"])
async def test_a_notice_gets_through_while_the_database_is_away(tmp_path: Path, postgres_url: str, postgres_user: str, what: str) -> None:
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(f"{SERVER} user={postgres_user} dbname=postgres", autocommit=True) as admin:
        async with open_stage(tmp_path, database_url=postgres_url) as stage:
            await stage.begin()
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            bot = stage.discord.bot_in(stage.guild.id)
            if what == "kick":
                await stage.discord.voice_leave(bot)
            else:
                stage.discord.server_mute(bot, deaf=True)
            await stage.discord.wait_for(lambda: titles(stage), 60.0, what="the notice")
            assert titles(stage) == [{"kick": "I no longer listen", "deaf": "I am server-deafened"}[what]]
            assert len(stage.app.services.sessions) == (what == "deaf")
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


@pytest.mark.integration
async def test_a_rate_limit_on_a_notice_is_waited_for_and_ends_nothing(stage: Stage) -> None:
    """discord.py gives up at once when Discord asks for a longer pause than it is allowed to sleep out."""
    stage.app.client.http.max_ratelimit_timeout = 1.0
    limit = Fault("POST", rf"^/channels/{stage.alerts.id}/messages$", times=1, status=429, retry_after=2.0)
    stage.discord.faults.append(limit)
    with pytest.raises(DeliveryFailed) as refused:
        await stage.app.services.supervisor._board.show(Notice("k", stage.guild.id, "title", "text", Grade.TROUBLE), None)
    assert refused.value.retryable
    assert refused.value.retry_after == 2.0
    limit.used = 0
    await stage.discord.voice_leave(stage.discord.bot_in(stage.guild.id))
    await stage.discord.wait_for(lambda: titles(stage), 30.0, what="the notice")
    assert titles(stage) == ["I no longer listen"]
    await stage.discord.slash(stage.moderator, stage.alerts, "voice join", channel=stage.lobby, timeout=30.0)
    assert len(stage.app.services.sessions) == 1


@pytest.mark.integration
async def test_a_notice_that_somebody_deleted_stays_so(stage: Stage) -> None:
    bot = stage.discord.bot_in(stage.guild.id)
    stage.discord.server_mute(bot, deaf=True)
    (card,) = await stage.discord.wait_for(stage.cards, 20.0, what="the notice")
    board = stage.app.services.supervisor._board
    stage.discord.messages.delete(card)
    assert await board.show(Notice("k", stage.guild.id, "title", "text", Grade.MENDED), card.id) == card.id
    assert not stage.cards()
