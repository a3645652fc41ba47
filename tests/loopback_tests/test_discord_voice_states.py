"""Voice as the main gateway sees it: op 4, voice states, moves, mutes, and what the voice backend is told."""

import aiohttp
import discord
import pytest
from aiohttp import web

from tests.loopback.discord import LoopbackDiscord
from tests.loopback.permissions import Permission
from tests.loopback.resolver import connector_to
from tests.loopback.state import Json
from tests.loopback_tests.conftest import Town
from tests.loopback_tests.running import StockBot, running

pytestmark = pytest.mark.integration


class FakeVoice:
    """A voice backend that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def expect(self, *, guild_id: int, channel_id: int, user_id: int, session_id: str, stage: bool = False) -> str:
        self.told.append(("expect", channel_id, stage))
        return f"token for {session_id}"

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"voice at {request.host}")

    async def close_client(self, *, guild_id: int, user_id: int, code: int) -> None:
        self.told.append(("close", code))

    async def human_joined(self, *, guild_id: int, channel_id: int, user_id: int) -> None:
        self.told.append(("joined", channel_id))

    async def human_left(self, *, guild_id: int, channel_id: int, user_id: int) -> None:
        self.told.append(("left", channel_id))

    async def start(self) -> None:
        self.told.append(("start",))

    async def aclose(self) -> None:
        self.told.append(("aclose",))


class Listener(discord.VoiceProtocol):
    """Keeps the two events of a voice handshake, in order."""

    def __init__(self, client: discord.Client, channel: discord.abc.Connectable) -> None:
        super().__init__(client, channel)
        self.events: list[Json] = []

    async def on_voice_state_update(self, data: Json) -> None:  # type: ignore[override]
        self.events.append(data)

    async def on_voice_server_update(self, data: Json) -> None:  # type: ignore[override]
        self.events.append(data)

    async def connect(self, *, timeout: float, reconnect: bool, self_deaf: bool = False, self_mute: bool = False) -> None:
        assert isinstance(self.channel, discord.VoiceChannel | discord.StageChannel)
        await self.channel.guild.change_voice_state(channel=self.channel, self_deaf=self_deaf, self_mute=self_mute)

    async def disconnect(self, *, force: bool) -> None:
        self.cleanup()


async def connect(bot: StockBot, channel_id: int) -> Listener:
    channel = bot.get_channel(channel_id)
    assert isinstance(channel, discord.VoiceChannel | discord.StageChannel)
    return await channel.connect(cls=Listener)


async def test_op_4_is_answered_by_the_two_events_in_order(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        listener = await connect(bot, town.voice.id)
        await world.wait_for(lambda: len(listener.events) == 2, what="both voice events")
        state, server = listener.events
        assert (state["channel_id"], state["user_id"]) == (str(town.voice.id), str(world.world.bot.id))
        assert state["session_id"]
        assert server["endpoint"] == "loopback-1.discord.media:443"
        assert server["token"]
        guild = bot.get_guild(town.guild.id)
        assert guild is not None
        assert guild.me.voice is not None
        assert guild.me.voice.channel is not None


async def test_a_full_or_closed_channel_has_no_answer_at_all(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await world.voice_join(town.ada, town.other)
        listener = await connect(bot, town.other.id)
        world.overwrite(town.voice, town.guild, deny=Permission.CONNECT)
        world.overwrite(town.voice, world.bot_role(town.guild), deny=Permission.CONNECT)
        guild = bot.get_guild(town.guild.id)
        assert guild is not None
        await guild.change_voice_state(channel=guild.get_channel(town.voice.id))
        # The member list is asked after both, on the same connection: when it is answered, nothing else came.
        await guild.query_members("ada", limit=1)
        assert listener.events == []
        assert world.bot_in(town.guild.id).id not in town.guild.voice_states
        role = world.bot_role(town.guild)
        world.set_permissions(town.guild, role, role.permissions | Permission.MOVE_MEMBERS)
        await guild.change_voice_state(channel=guild.get_channel(town.other.id))
        await world.wait_for(lambda: len(listener.events) == 2, what="MOVE_MEMBERS to ignore the limit")


async def test_people_come_move_mute_and_go(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        voice = bot.get_channel(town.voice.id)
        games = bot.get_channel(town.other.id)
        assert isinstance(voice, discord.VoiceChannel)
        assert isinstance(games, discord.VoiceChannel)
        await world.voice_join(town.ada, town.voice)
        await world.voice_join(town.mod, town.voice)
        await world.wait_for(lambda: {m.name for m in voice.members} == {"ada", "mo"})
        world.server_mute(town.ada, mute=True)
        world.self_mute(town.mod, deaf=True)
        await world.wait_for(lambda: all(m.voice and (m.voice.mute or m.voice.self_deaf) for m in voice.members))
        await world.voice_move(town.ada, town.other)
        await world.wait_for(lambda: [m.name for m in games.members] == ["ada"])
        await world.voice_leave(town.ada)
        await world.wait_for(lambda: games.members == [])


async def test_the_bot_mutes_and_disconnects_with_its_permissions(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        guild = bot.get_guild(town.guild.id)
        assert guild is not None
        ada = guild.get_member(town.ada.id)
        assert ada is not None
        with pytest.raises(discord.HTTPException) as absent:
            await ada.edit(mute=True)
        assert absent.value.code == 40032
        await world.voice_join(town.ada, town.voice)
        await ada.edit(mute=True, reason="case 1")
        assert town.ada.mute
        assert world.requests[-1].reason == "case 1"
        with pytest.raises(discord.Forbidden):
            await ada.edit(voice_channel=None)
        role = world.bot_role(town.guild)
        world.set_permissions(town.guild, role, role.permissions | Permission.MOVE_MEMBERS)
        await ada.edit(voice_channel=None)
        await world.wait_for(lambda: ada.voice is None)


async def test_the_backend_is_told_of_joins_moves_and_kicks() -> None:
    voice = FakeVoice()
    async with LoopbackDiscord(voice) as world:
        town = Town(world)
        stage = world.add_stage_channel(town.guild, "Stage")
        bot = StockBot(world)
        async with running(world, bot):
            await world.voice_join(town.ada, town.voice)
            listener = await connect(bot, town.voice.id)
            await world.wait_for(lambda: len(listener.events) == 2)
            assert listener.events[1]["token"] == f"token for {listener.events[0]['session_id']}"
            await world.voice_move(world.bot_in(town.guild.id), stage)
            await world.voice_leave(world.bot_in(town.guild.id))
            await world.wait_for(lambda: len(listener.events) == 5)
            assert [e.get("channel_id", "server") for e in listener.events[2:]] == [str(stage.id), "server", None]
            assert listener.events[2]["suppress"]
            await world.voice_move(town.ada, town.other)
            await world.voice_leave(town.ada)
            async with (
                aiohttp.ClientSession(connector=connector_to(world.port, world.authority_pem)) as session,
                session.get("https://loopback-1.discord.media/?v=8") as response,
            ):
                assert await response.text() == "voice at loopback-1.discord.media"
    in_voice = [("joined", town.voice.id), ("expect", town.voice.id, False), ("close", 4014), ("expect", stage.id, True), ("close", 4014)]
    people = [("left", town.voice.id), ("joined", town.other.id), ("left", town.other.id)]
    assert voice.told == [("start",), *in_voice, *people, ("aclose",)]


async def test_becoming_a_speaker_on_a_stage(world: LoopbackDiscord, town: Town) -> None:
    stage = world.add_stage_channel(town.guild, "Stage")
    bot = StockBot(world)
    async with running(world, bot):
        listener = await connect(bot, stage.id)
        await world.wait_for(lambda: len(listener.events) == 2)
        guild = bot.get_guild(town.guild.id)
        assert guild is not None
        await guild.me.edit(suppress=False)
        await world.wait_for(lambda: len(listener.events) == 3)
        assert listener.events[2]["suppress"] is False


async def test_the_end_of_a_session_ends_the_bots_calls(world: LoopbackDiscord, town: Town) -> None:
    world.gateway.resume_window = 0.05
    bot = StockBot(world)
    async with running(world, bot):
        await connect(bot, town.voice.id)
        await world.wait_for(lambda: world.world.bot.id in town.guild.voice_states)
    await world.wait_for(lambda: world.world.bot.id not in town.guild.voice_states, what="the call to end with the client")
