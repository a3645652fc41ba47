"""The notice in a channel's status: the members' own comes back whatever happens, and nobody replaces it unnoticed."""

from pathlib import Path

import pytest

from bot.sources.notice import NOTICE
from bot.storage.database import Database
from bot.storage.migrate import upgrade
from bot.storage.statuses import SqlStatuses
from moderation.errors import ConsentRequired
from tests.bot.sources.support import Listening, hearing, session_in
from tests.bot.voice.support import World, until, world
from tests.loopback.faults import Fault
from tests.loopback.sessions import Intent
from tests.loopback.state import Channel

pytestmark = pytest.mark.integration

STATUS, MESSAGES = r"/voice-status$", r"/messages$"
OWN = "raid night"


def write(at: World, channel: Channel, status: str | None) -> None:
    """A member sets the channel's status."""
    channel.status = status
    body = {"id": str(channel.id), "guild_id": str(at.guild.id), "status": status}
    at.loopback.gateway.emit("VOICE_CHANNEL_STATUS_UPDATE", body, guild_id=at.guild.id, intent=Intent.GUILDS)


async def kicked(at: World, listening: Listening) -> None:
    """Join, and be thrown out: only who is inside may put a status back without Manage Channels."""
    source = await listening.gateway.join(session_in(at))
    await at.loopback.voice_leave(at.loopback.bot_in(at.guild.id))
    await until(lambda: source.ended and not at.client.voice_clients)
    await source.aclose()
    assert [r.status for r in at.loopback.requests if r.path.endswith("/voice-status")][-1] == 403
    assert at.lobby.status == NOTICE


async def left(at: World, listening: Listening) -> None:
    """Join, and leave."""
    source = await listening.gateway.join(session_in(at))
    assert at.lobby.status == NOTICE
    await source.aclose()


async def test_after_a_kick_the_next_call_still_knows_the_members_own() -> None:
    async with world("ada") as at:
        at.lobby.status = OWN
        listening = Listening(at)
        await kicked(at, listening)
        await left(at, listening)
        assert at.lobby.status == OWN


async def test_a_restart_in_between_does_not_lose_the_members_own(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/earshot.db")
    try:
        await upgrade(database)
        async with world("ada") as at:
            at.lobby.status = OWN
            await kicked(at, Listening(at, keeper=SqlStatuses(database)))
            assert await SqlStatuses(database).kept(at.lobby.id) == OWN
            await left(at, Listening(at, keeper=SqlStatuses(database)))
            assert at.lobby.status == OWN
            assert await SqlStatuses(database).kept(at.lobby.id) is None
    finally:
        await database.aclose()


async def test_what_discord_cleared_meanwhile_stays_cleared() -> None:
    async with world("ada") as at:
        at.lobby.status = OWN
        listening = Listening(at)
        await kicked(at, listening)
        at.lobby.status = None  # everybody left
        await left(at, listening)
        assert at.lobby.status is None


async def test_a_notice_that_is_replaced_is_set_again_and_then_written_into_the_chat() -> None:
    async with world("ada") as at:
        async with hearing(at) as heard:
            write(at, at.lobby, "movie night")
            await until(lambda: at.lobby.status == NOTICE)
            assert at.loopback.sent_in(at.lobby) == []
            write(at, at.lobby, "film night")
            await until(lambda: at.loopback.sent_in(at.lobby))
            write(at, at.lobby, "game night")
            assert heard.source.listening
        assert at.lobby.status == "game night"
        assert len(at.loopback.sent_in(at.lobby)) == 1


async def test_the_status_that_replaced_the_notice_is_what_comes_back() -> None:
    async with world("ada") as at:
        at.lobby.status = OWN
        async with hearing(at):
            write(at, at.lobby, "movie night")
            await until(lambda: at.lobby.status == NOTICE)
        assert at.lobby.status == "movie night"


async def test_who_cannot_tell_again_leaves() -> None:
    async with world("ada") as at, hearing(at) as heard:
        at.loopback.faults += [Fault("PUT", STATUS, status=403, times=9), Fault("POST", MESSAGES, status=403, times=9)]
        write(at, at.lobby, "movie night")
        await until(lambda: heard.over)
        assert isinstance(heard.error, ConsentRequired)
        await until(lambda: not at.client.voice_clients)
