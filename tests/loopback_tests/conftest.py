"""One loopback Discord per test, with a small world in it."""

from collections.abc import AsyncIterator

import pytest

from tests.loopback.discord import LoopbackDiscord
from tests.loopback.permissions import Permission
from tests.loopback.state import Channel, Guild, Member


class Town:
    """A guild with a text channel, two voice channels, an ordinary member and a moderator."""

    def __init__(self, discord: LoopbackDiscord) -> None:
        self.guild: Guild = discord.add_guild("Earshot")
        self.text: Channel = discord.add_text_channel(self.guild, "mod-alerts")
        self.voice: Channel = discord.add_voice_channel(self.guild, "General")
        self.other: Channel = discord.add_voice_channel(self.guild, "Games", user_limit=1)
        self.ada: Member = discord.add_member(self.guild, "ada")
        self.mod: Member = discord.add_member(self.guild, "mo", permissions=Permission.MODERATE_MEMBERS | Permission.MANAGE_GUILD)


@pytest.fixture
async def world() -> AsyncIterator[LoopbackDiscord]:
    async with LoopbackDiscord() as discord:
        yield discord
        assert discord.rest.misunderstood == 0


@pytest.fixture
def town(world: LoopbackDiscord) -> Town:
    return Town(world)
