"""A move that meets a fault nobody foresaw: the call ends, so that it is joined anew, and does not go on deaf."""

import pytest

from moderation.errors import VoiceDisconnected
from tests.bot.sources.support import Listening, session_in
from tests.bot.voice.support import until, world

pytestmark = pytest.mark.integration


async def broken(guild_id: int, channel_id: int, name: str) -> None:
    raise RuntimeError("nobody foresaw it")


async def test_a_move_that_fails_ends_the_call() -> None:
    async with world("ada") as at:
        gateway = Listening(at).gateway
        source = await gateway.join(session_in(at, at.lobby))
        gateway.on_moved = broken
        await at.loopback.voice_move(at.loopback.bot_in(at.guild.id), at.garden)
        await until(lambda: source.ended)
        with pytest.raises(VoiceDisconnected):
            [item async for item in source.frames()]
        await until(lambda: not at.client.voice_clients)
