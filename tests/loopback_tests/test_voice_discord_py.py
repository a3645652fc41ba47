"""Stock discord.py connects to the loopback voice server with `channel.connect()`, nothing of it replaced, and hears the humans."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import discord
import pytest

from tests.loopback.discord import LoopbackDiscord
from tests.loopback.state import Channel, Member
from tests.loopback.voice import Committer, VoiceServer
from tests.loopback_tests.reference import SILENCE, Receiver
from tests.loopback_tests.running import StockBot, running

pytestmark = pytest.mark.integration
VOICES = Path(__file__).parents[1] / "speech" / "voices"


class Listener(Receiver):
    """Receives on a stock voice client's socket; takes its keys live, as they change."""

    def __init__(self, client: discord.VoiceClient, server: VoiceServer) -> None:
        super().__init__()
        self._client = client
        self._server = server
        self._loop = asyncio.get_running_loop()
        client._connection.add_socket_listener(lambda data: self._loop.call_soon_threadsafe(self._heard, data))

    def _heard(self, data: bytes) -> None:
        if len(data) == 74 and data[1] == 2:
            return
        state = self._client._connection
        self.mode, self.key, self.session = str(state.mode), bytes(state.secret_key), state.dave_session
        self.datagram(data)


class Scene:
    """A guild with two voice channels, three people, and a stock bot."""

    def __init__(self, world: LoopbackDiscord, server: VoiceServer, bot: StockBot) -> None:
        self.world = world
        self.server = server
        self.bot = bot
        self.guild = world.add_guild("Earshot")
        self.lobby = world.add_voice_channel(self.guild, "General")
        self.games = world.add_voice_channel(self.guild, "Games")
        self.people = [world.add_member(self.guild, name) for name in ("ada", "ben", "cleo")]

    async def connect(self, channel: Channel) -> tuple[discord.VoiceClient, Listener]:
        """Stock `channel.connect()`, and somebody who listens."""
        found = self.bot.get_channel(channel.id)
        assert isinstance(found, discord.VoiceChannel)
        client: discord.VoiceClient = await found.connect(timeout=30, reconnect=False)
        await self.server.settled(channel.id, clients=1)
        return client, Listener(client, self.server)

    async def hears(self, listener: Listener, member: Member, sample: int) -> None:
        """The member speaks and every frame is heard."""
        human = self.server.human(member.id)
        listener.users[human.ssrc] = member.id
        before = len(listener.heard[member.id])
        said = await human.say(VOICES / f"sample_{sample:02}.wav", speed=30)
        await self.world.wait_for(lambda: len(listener.heard[member.id]) >= before + len(said.packets), what="the speech")
        assert listener.heard[member.id][before:] == list(said.packets)


@asynccontextmanager
async def scene(server: VoiceServer) -> AsyncIterator[Scene]:
    async with LoopbackDiscord(server) as world:
        bot = StockBot(world)
        setting = Scene(world, server, bot)
        async with running(world, bot):
            yield setting
            for client in tuple(bot.voice_clients):
                await client.disconnect(force=True)


@pytest.mark.parametrize("committer", list(Committer))
async def test_stock_client_hears_everybody(committer: Committer) -> None:
    async with scene(VoiceServer(seed=1, committer=committer)) as s:
        ada, ben, cleo = s.people
        await s.world.voice_join(ada, s.lobby)
        client, listener = await s.connect(s.lobby)
        await s.hears(listener, ada, 1)
        for newcomer in (ben, cleo):
            await s.world.voice_join(newcomer, s.lobby)
            await s.server.settled(s.lobby.id, clients=1)
            await s.hears(listener, newcomer, 2)
        await s.world.voice_leave(ada)
        await s.server.settled(s.lobby.id, clients=1)
        await s.hears(listener, ben, 3)
        assert listener.counts["undecryptable"] == listener.counts["transport"] == listener.counts["plain"] == 0
        assert client.is_connected()
        if committer is Committer.BOTS:
            assert s.server.call(s.lobby.id).dave.commits_by[s.world.world.bot.id] >= 3


async def test_stock_client_follows_downgrade_and_upgrade() -> None:
    async with scene(VoiceServer()) as s:
        ada = s.people[0]
        await s.world.voice_join(ada, s.lobby)
        _, listener = await s.connect(s.lobby)
        await s.hears(listener, ada, 1)
        await s.server.downgrade(s.lobby.id)
        await s.hears(listener, ada, 2)
        await s.server.upgrade(s.lobby.id)
        await s.server.settled(s.lobby.id, clients=1)
        encrypted = listener.counts["decrypted"]
        await s.hears(listener, ada, 3)
        assert listener.counts["decrypted"] > encrypted


async def test_stock_client_recovers_from_an_unreadable_commit() -> None:
    async with scene(VoiceServer()) as s:
        ada, ben, _ = s.people
        await s.world.voice_join(ada, s.lobby)
        _, listener = await s.connect(s.lobby)
        s.server.spoil_next_commit(s.world.world.bot.id)
        await s.world.voice_join(ben, s.lobby)
        await s.server.settled(s.lobby.id, clients=1)
        await s.hears(listener, ben, 1)
        assert s.server.call(s.lobby.id).dave.counts["invalid"] == 1


async def test_what_the_stock_client_sends_is_counted() -> None:
    async with scene(VoiceServer()) as s:
        await s.world.voice_join(s.people[0], s.lobby)
        client, _ = await s.connect(s.lobby)
        for _ in range(5):
            client.send_audio_packet(SILENCE, encode=False)
        stats = s.server.stats.clients[s.world.world.bot.id]
        await s.world.wait_for(lambda: stats.silence == 5, what="the silence frames")
        assert (stats.packets, stats.refused, stats.discoveries) == (5, 0, 1)
        assert stats.opcodes[5] == 1


async def test_change_of_voice_server_takes_the_stock_client_along() -> None:
    async with scene(VoiceServer()) as s:
        ada, bot = s.people[0], s.world.bot_in(s.guild.id)
        await s.world.voice_join(ada, s.lobby)
        _, listener = await s.connect(s.lobby)
        await s.hears(listener, ada, 1)
        await s.server.move_media()
        s.world.voice_states.endpoint = "loopback-2.discord.media:443"
        await s.world.voice_states.serve(bot, s.guild.voice_states[bot.id])
        await s.world.wait_for(lambda: s.server.stats.clients[bot.id].connections == 2, what="the second connection")
        await s.server.settled(s.lobby.id, clients=1)
        await s.hears(listener, ada, 2)


async def test_kick_disconnects_the_stock_client() -> None:
    async with scene(VoiceServer()) as s:
        await s.world.voice_join(s.people[0], s.lobby)
        client, _ = await s.connect(s.lobby)
        await s.world.voice_leave(s.world.bot_in(s.guild.id))
        await s.world.wait_for(lambda: not client.is_connected(), what="the disconnect")
        assert s.server.stats.clients[s.world.world.bot.id].close_codes == [4014]
        assert not s.server.call(s.lobby.id).clients


async def test_clips_play_in_real_time_by_default() -> None:
    async with scene(VoiceServer()) as s:
        ada = s.people[0]
        await s.world.voice_join(ada, s.lobby)
        _, listener = await s.connect(s.lobby)
        listener.users[s.server.human(ada.id).ssrc] = ada.id
        task = asyncio.create_task(s.server.human(ada.id).say(VOICES / "sample_01.wav"))
        await s.world.wait_for(lambda: len(listener.heard[ada.id]) > 3, what="the first frames")
        assert not task.done()
        await s.world.voice_leave(ada)
        said = await task
        assert len(listener.heard[ada.id]) < len(said.packets)
        assert math.isclose(said.seconds, len(said.packets) * 0.02)
