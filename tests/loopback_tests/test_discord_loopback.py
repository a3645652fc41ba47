"""Login, guilds, sharding, the gateway's faults: the stock discord.py client against the loopback Discord."""

from contextlib import AsyncExitStack

import aiohttp
import discord
import pytest

from tests.loopback.discord import LoopbackDiscord
from tests.loopback.permissions import Permission
from tests.loopback.resolver import connector, connector_to
from tests.loopback.snowflake import shard_of
from tests.loopback_tests.conftest import Town
from tests.loopback_tests.running import StockBot, running

pytestmark = pytest.mark.integration


class ShardedClient(discord.AutoShardedClient):
    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the five seconds discord.py keeps between shards."""


async def test_login_shows_the_guild_as_it_is(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        guild = bot.get_guild(town.guild.id)
        assert guild is not None
        assert bot.user is not None
        assert bot.user.id == world.world.bot.id
        assert guild.name == "Earshot"
        assert [c.name for c in guild.text_channels] == ["mod-alerts"]
        assert [(c.name, c.user_limit) for c in guild.voice_channels] == [("General", 0), ("Games", 1)]
        # Without the presence intent Discord lists only the bot, and discord.py asks for the rest.
        assert {m.name for m in guild.members} == {"ada", "mo", "owner", "Earshot"}
        assert guild.me.guild_permissions.set_voice_channel_status
        assert not guild.me.guild_permissions.move_members
        mo = guild.get_member(town.mod.id)
        assert mo is not None
        assert mo.guild_permissions.moderate_members
    assert set(world.resolver.asked) == {"discord.com", "gateway.discord.gg"}


async def test_a_wrong_token_is_refused_at_both_doors(world: LoopbackDiscord) -> None:
    async with discord.Client(intents=discord.Intents.none(), connector=connector(world)) as client:
        with pytest.raises(discord.LoginFailure):
            await client.login("wrong")
    async with (
        aiohttp.ClientSession(connector=connector_to(world.port, world.authority_pem)) as session,
        session.ws_connect("wss://gateway.discord.gg/?v=10&encoding=json") as ws,
    ):
        assert (await ws.receive_json())["op"] == 10
        await ws.send_json({"op": 2, "d": {"token": "wrong", "intents": 0, "properties": {}}})
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 4004


async def test_a_privileged_intent_that_is_not_enabled_ends_the_client(world: LoopbackDiscord, town: Town) -> None:
    world.gateway.allowed_intents = type(world.gateway.allowed_intents)(0)
    async with StockBot(world) as bot:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await bot.start(world.token)


async def test_what_is_added_later_reaches_the_client(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        second = world.add_guild("Second")
        lobby = world.add_voice_channel(second, "Lobby")
        zoe = world.add_member(second, "zoe", permissions=Permission.BAN_MEMBERS)
        await world.wait_for(lambda: (g := bot.get_guild(second.id)) and g.get_member(zoe.id), what="the new member")
        guild = bot.get_guild(second.id)
        assert guild is not None
        assert guild.get_channel(lobby.id) is not None
        role = world.bot_role(second)
        world.set_permissions(second, role, Permission.VIEW_CHANNEL | Permission.MOVE_MEMBERS)
        await world.wait_for(lambda: guild.me.guild_permissions.move_members)
        world.remove_channel(lobby)
        await world.wait_for(lambda: guild.get_channel(lobby.id) is None)
        world.remove_guild(second)
        await world.wait_for(lambda: bot.get_guild(second.id) is None)


async def test_a_large_guild_is_listed_in_chunks(world: LoopbackDiscord, town: Town) -> None:
    for number in range(1200):
        world.add_member(town.guild, f"member{number}")
    bot = StockBot(world)
    async with running(world, bot):
        guild = bot.get_guild(town.guild.id)
        assert guild is not None
        await world.wait_for(lambda: len(guild.members) == 1204, what="two chunks")
        assert [m.name for m in await guild.query_members("member119", limit=3)] == ["member119", "member1190", "member1191"]
        assert await guild.query_members(user_ids=[1, town.ada.id]) == [guild.get_member(town.ada.id)]


async def test_a_dropped_gateway_is_resumed_and_missed_events_are_replayed(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        world.gateway.drop()  # nothing sent from here on arrives on the old connection
        world.add_text_channel(town.guild, "missed")
        await world.wait_for(lambda: bot.resumed == 1, what="a resume")
        guild = bot.get_guild(town.guild.id)
        assert guild is not None
        assert "missed" in [c.name for c in guild.text_channels]
    assert (world.gateway.identifies, world.gateway.resumes) == (1, 1)
    assert "gateway-loopback.discord.gg" in world.resolver.asked


async def test_op_7_makes_the_client_resume(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        world.gateway.reconnect()
        await world.wait_for(lambda: bot.resumed == 1)
    assert world.gateway.identifies == 1


async def test_an_invalid_session_makes_the_client_identify_anew(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await world.gateway.invalidate()
        await world.wait_for(lambda: bot.connected == 2 and bot.is_ready())
        assert bot.get_guild(town.guild.id) is not None
    assert (world.gateway.identifies, world.gateway.resumes) == (2, 0)


async def test_a_refused_resume_ends_in_a_fresh_identify(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        world.gateway.refuse_resumes = True
        world.gateway.drop()
        await world.wait_for(lambda: bot.connected == 2)
    assert (world.gateway.identifies, world.gateway.resumes) == (2, 1)


@pytest.mark.parametrize("code", [4000, 4009])
async def test_close_codes_that_allow_it_are_resumed(world: LoopbackDiscord, town: Town, code: int) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await world.gateway.close(code)
        await world.wait_for(lambda: bot.resumed == 1)


async def test_a_zombie_connection_is_noticed_by_missing_acks(world: LoopbackDiscord, town: Town) -> None:
    world.gateway.heartbeat_interval = 50
    bot = StockBot(world, heartbeat_timeout=0.4)
    async with running(world, bot):
        await world.wait_for(lambda: world.gateway.heartbeats >= 4)
        world.gateway.acknowledge = False
        await world.wait_for(lambda: world.gateway.resumes, what="the client to give up on the zombie")
        world.gateway.acknowledge = True
        await world.wait_for(lambda: bot.resumed)
    assert world.gateway.identifies == 1


async def test_two_shards_share_the_guilds(world: LoopbackDiscord, town: Town) -> None:
    world.gateway.shards = 2
    guilds = [world.add_guild(f"g{n}") for n in range(6)]
    client = ShardedClient(intents=discord.Intents.default(), connector=connector(world))
    async with running(world, client):
        assert client.shard_count == 2
        assert {guild.id for guild in client.guilds} == {guild.id for guild in [*guilds, town.guild]}
        by_shard = {s.shard: s for s in world.gateway.sessions.values()}
        assert set(by_shard) == {(0, 2), (1, 2)}
        assert {shard_of(guild.id, 2) for guild in guilds} == {0, 1}
        for guild in guilds:
            world.add_text_channel(guild, f"on-{shard_of(guild.id, 2)}")
        await world.wait_for(lambda: all(len(g.text_channels) for g in client.guilds))
        for shared in client.guilds:
            assert [c.name for c in shared.text_channels] in ([f"on-{shared.shard_id}"], ["mod-alerts"])
    assert any(r.path == "/gateway/bot" for r in world.requests)


async def test_two_worlds_live_side_by_side() -> None:
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(LoopbackDiscord(bot_name=name)) for name in ("One", "Two")]
        bots = [StockBot(each) for each in worlds]
        for each, bot in zip(worlds, bots, strict=True):
            each.add_guild(f"of {each.world.bot.username}")
            await stack.enter_async_context(running(each, bot))
        assert [[guild.name for guild in bot.guilds] for bot in bots] == [["of One"], ["of Two"]]


@pytest.mark.parametrize(("code", "left"), [(4000, 1), (1000, 0)])
async def test_a_client_that_says_goodbye_leaves_no_session(world: LoopbackDiscord, code: int, left: int) -> None:
    async with aiohttp.ClientSession(connector=connector_to(world.port, world.authority_pem)) as session:
        ws = await session.ws_connect("wss://gateway.discord.gg/?v=10&encoding=json")
        await ws.receive_json()
        await ws.send_json({"op": 2, "d": {"token": world.token, "intents": 0, "properties": {}}})
        ready = await ws.receive_json()
        assert ready["t"] == "READY"
        await ws.close(code=code)
        await world.wait_for(lambda: not world.gateway.connected() and len(world.gateway.sessions) == left)


async def test_rude_gateway_clients_get_the_documented_close_codes(world: LoopbackDiscord) -> None:
    async with aiohttp.ClientSession(connector=connector_to(world.port, world.authority_pem)) as session:
        for first, code in (("{", 4002), ('{"op":4,"d":{}}', 4003), ("[]", 4002)):
            async with session.ws_connect("wss://gateway.discord.gg/?v=10&encoding=json") as ws:
                await ws.receive_json()
                await ws.send_str(first)
                await ws.receive()
                assert ws.close_code == code
        async with session.ws_connect("wss://gateway.discord.gg/?v=9&encoding=json") as ws:
            await ws.receive()
            assert ws.close_code == 4012
