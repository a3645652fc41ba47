"""The whole bot in the loopback world: what moderators are told of the bot gets through, and nothing in its way ends the bot."""

import asyncio
import functools
import operator
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from moderation.errors import DeliveryFailed
from moderation.notices import Grade, Notice
from tests.bot.storage.conftest import SERVER, postgres_url, postgres_user
from tests.loopback.faults import Fault
from tests.loopback.permissions import Permission
from tests.scenario import Stage, open_stage

__all__ = ["postgres_url", "postgres_user"]

ENOUGH = (
    *(Permission.VIEW_CHANNEL, Permission.CONNECT, Permission.SET_VOICE_CHANNEL_STATUS, Permission.READ_MESSAGE_HISTORY),
    *(Permission.SEND_MESSAGES, Permission.EMBED_LINKS, Permission.ATTACH_FILES),
)
"""What the bot asks for: a full channel stays closed to it."""


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
        await stage.app.services.supervisor.messages._board.show(Notice("k", stage.guild.id, "title", "text", Grade.TROUBLE), None)
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
    board = stage.app.services.supervisor.messages._board
    stage.discord.messages.delete(card)
    assert await board.show(Notice("k", stage.guild.id, "title", "text", Grade.MENDED), card.id) == card.id
    assert not stage.cards()


@pytest.mark.integration
async def test_a_watched_channel_that_is_full_costs_no_other_call(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        discord, sessions = stage.discord, stage.app.services.sessions
        await discord.wait_for(lambda: stage.app.services.watch.ready, 20.0)
        await discord.slash(stage.moderator, stage.alerts, "alerts channel", channel=stage.alerts, timeout=30.0)
        vip = discord.add_voice_channel(stage.guild, "VIP", user_limit=1)
        locked = discord.add_voice_channel(stage.guild, "Locked")
        role = discord.bot_role(stage.guild)
        discord.set_permissions(stage.guild, role, functools.reduce(operator.or_, ENOUGH))
        discord.overwrite(locked, role, deny=Permission.CONNECT)
        guild = stage.app.client.get_guild(stage.guild.id)
        assert guild is not None
        await discord.wait_for(lambda: (it := guild.get_channel(locked.id)) and not it.permissions_for(guild.me).connect, 20.0)
        refused = await discord.slash(stage.moderator, stage.alerts, "voice watch", channel=locked, timeout=30.0)
        assert "give its role the permission Connect" in refused.embeds[0]["description"]
        for channel in (vip, stage.lobby):
            reply = await discord.slash(stage.moderator, stage.alerts, "voice watch", channel=channel, timeout=30.0)
            assert "I join these by myself" in reply.content
        ada, ben, *_ = stage.members.values()
        await discord.voice_join(ada, stage.lobby)
        running = await discord.wait_for(lambda: sessions.running(stage.guild.id), 20.0, what="the lobby to be covered")
        await discord.voice_join(ben, vip)
        await discord.wait_for(lambda: titles(stage), 30.0, what="the notice")
        assert titles(stage) == ["I cannot enter a watched channel"]
        assert sessions.running(stage.guild.id) is running
        status = await discord.slash(stage.moderator, stage.alerts, "voice status", timeout=30.0)
        (watched,) = [each["value"] for each in status.embeds[0]["fields"] if each["name"] == "Watched"]
        assert f"<#{vip.id}> is full" in watched


@pytest.mark.integration
async def test_leave_stops_a_join_under_way(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        stage.discord.voice_states.servers_down = True
        join = asyncio.create_task(stage.discord.slash(stage.moderator, stage.alerts, "voice join", channel=stage.lobby, timeout=60.0))
        await stage.discord.wait_for(lambda: stage.app.services.sessions.joining(stage.guild.id), 30.0, what="the join")
        left = await stage.discord.slash(stage.moderator, stage.alerts, "voice leave", timeout=60.0)
        assert "I stopped that" in left.content
        assert "sent away while I joined" in (await join).embeds[0]["description"]
        stage.discord.voice_states.servers_down = False
        assert not len(stage.app.services.sessions)
        assert not stage.guild.voice_states.get(stage.discord.world.bot.id)
        reply = await stage.discord.slash(stage.moderator, stage.alerts, "voice join", channel=stage.lobby, timeout=60.0)
        assert "I listen in" in reply.content


@pytest.mark.integration
async def test_a_watched_channel_that_is_deleted_is_watched_no_more(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        watch, gone = stage.app.services.watch, stage.discord.add_voice_channel(stage.guild, "Gone soon")
        guild = stage.app.client.get_guild(stage.guild.id)
        assert guild is not None
        await stage.discord.wait_for(lambda: watch.ready and guild.get_channel(gone.id), 30.0)
        for channel in (gone, stage.lobby):
            await stage.discord.slash(stage.moderator, stage.alerts, "voice watch", channel=channel, timeout=30.0)
        stage.discord.remove_channel(gone)
        await stage.discord.wait_for(lambda: [w.channel_id for w in watch.report(stage.guild.id)] == [stage.lobby.id], 30.0)
