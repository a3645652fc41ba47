"""A real discord.py client in a loopback Discord, with a voice server and people in a channel."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import discord

from bot.voice.client import EarshotVoiceClient
from tests.loopback.discord import LoopbackDiscord
from tests.loopback.resolver import connector
from tests.loopback.state import Channel, Guild, Member
from tests.loopback.voice import VoiceServer


@dataclass
class RecordingListener:
    """A `CallListener` that writes down what it is told."""

    told: list[tuple[object, ...]] = field(default_factory=list)
    packets: int = 0

    def datagram(self, data: bytes) -> None:
        self.packets += len(data) not in (8, 74)

    def transport_reset(self) -> None:
        self.told.append(("transport_reset",))

    def transport_ready(self, mode: str, secret_key: bytes, dave_version: int) -> None:
        self.told.append(("transport_ready", mode, len(secret_key), dave_version))

    def speaking(self, ssrc: int, user_id: int) -> None:
        self.told.append(("speaking", ssrc, user_id))

    def spoke(self, user_id: int, *, speaking: bool) -> None:
        self.told.append(("spoke", user_id, speaking))

    def user_left(self, user_id: int) -> None:
        self.told.append(("user_left", user_id))

    def transition_prepared(self, transition_id: int, version: int) -> None:
        self.told.append(("transition_prepared", transition_id, version))

    def transition_executed(self, transition_id: int) -> None:
        self.told.append(("transition_executed", transition_id))

    def epoch_prepared(self, epoch: int, version: int) -> None:
        self.told.append(("epoch_prepared", epoch, version))

    def epoch_changed(self, transition_id: int) -> None:
        self.told.append(("epoch_changed", transition_id))

    def channel_changed(self, channel_id: int) -> None:
        self.told.append(("channel_changed", channel_id))

    def count(self, name: str) -> int:
        return sum(1 for each in self.told if each[0] == name)


@dataclass
class World:
    """What a test has at hand."""

    loopback: LoopbackDiscord
    voice: VoiceServer
    client: discord.Client
    guild: Guild
    lobby: Channel
    garden: Channel
    people: list[Member]

    @property
    def bot_id(self) -> int:
        return self.loopback.world.bot.id

    def channel(self, channel: Channel) -> discord.VoiceChannel:
        """The client's view of a channel."""
        found = self.client.get_channel(channel.id)
        assert isinstance(found, discord.VoiceChannel)
        return found

    async def connect(
        self, listener: RecordingListener, cls: type[EarshotVoiceClient] = EarshotVoiceClient, timeout: float = 30.0
    ) -> EarshotVoiceClient:
        """Join the lobby with a given voice client class. To see it give up, shorten its `timeout` afterwards (`gives_up_after`)."""
        made = functools.partial(cls, listener=listener)
        client = await self.channel(self.lobby).connect(cls=made, timeout=timeout)
        assert isinstance(client, EarshotVoiceClient)
        return client

    async def settled(self, channel: Channel | None = None) -> None:
        """Everybody shares the call's keys."""
        await self.voice.settled((channel or self.lobby).id, clients=1)


@asynccontextmanager
async def world(*names: str, voice: VoiceServer | None = None, limit: int = 0) -> AsyncIterator[World]:
    """A guild with the voice channels Lobby and Garden, and the named people in the Lobby."""
    voice = voice or VoiceServer()
    async with LoopbackDiscord(voice) as loopback:
        guild = loopback.add_guild("Guild")
        lobby = loopback.add_voice_channel(guild, "Lobby", user_limit=limit)
        garden = loopback.add_voice_channel(guild, "Garden")
        people = [loopback.add_member(guild, name) for name in names]
        for person in people:
            await loopback.voice_join(person, lobby)
        client = discord.Client(intents=discord.Intents.all(), connector=connector(loopback))
        client._connection.guild_ready_timeout = 0.05
        async with client:
            running = asyncio.create_task(client.start(loopback.token))
            await asyncio.wait_for(client.wait_until_ready(), 60)
            try:
                yield World(loopback, voice, client, guild, lobby, garden, people)
            finally:
                for connection in list(client.voice_clients):
                    await connection.disconnect(force=True)
                await client.close()
                await asyncio.wait([running])


def gives_up_after(client: discord.VoiceClient, seconds: float) -> None:
    """From now on the client waits no longer for an answer; connecting had all the time that a busy machine may need."""
    client._connection.timeout = seconds


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until the condition holds; `TimeoutError` when it does not."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)
