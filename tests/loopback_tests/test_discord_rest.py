"""Messages, files, members, limits and faults of REST, through stock discord.py."""

import io

import aiohttp
import discord
import pytest

from tests.loopback.discord import LoopbackDiscord
from tests.loopback.faults import Fault
from tests.loopback.permissions import Permission
from tests.loopback.resolver import connector_to
from tests.loopback_tests.conftest import Town
from tests.loopback_tests.running import StockBot, running

pytestmark = pytest.mark.integration


def text_channel(bot: StockBot, town: Town) -> discord.TextChannel:
    channel = bot.get_channel(town.text.id)
    assert isinstance(channel, discord.TextChannel)
    return channel


def file(name: str, data: bytes) -> discord.File:
    return discord.File(io.BytesIO(data), name, description="evidence")


async def test_a_message_with_embed_and_file_arrives_and_its_file_can_be_fetched(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        embed = discord.Embed(title="Alert", description="words").add_field(name="Speaker", value=f"<@{town.ada.id}>")
        embed.set_image(url="attachment://pic.png")
        mentions = discord.AllowedMentions.none()
        files = [file("clip one.ogg", b"OggS" * 100), file("pic.png", b"\x89PNG")]
        sent = await text_channel(bot, town).send(f"<@{town.ada.id}>", embed=embed, files=files, allowed_mentions=mentions)
        (stored,) = world.sent_in(town.text)
        assert stored.embeds[0]["fields"][0]["value"] == f"<@{town.ada.id}>"
        assert stored.allowed_mentions == {"parse": []}
        assert sent.mentions == []
        assert [a.filename for a in sent.attachments] == ["clip_one.ogg", "pic.png"]
        assert sent.attachments[0].description == "evidence"
        assert await sent.attachments[0].read() == b"OggS" * 100
        assert await sent.attachments[1].read(use_cached=True) == b"\x89PNG"
        assert sent.embeds[0].image.url == sent.attachments[1].url
        await world.wait_for(lambda: sent.id in [m.id for m in bot.cached_messages], what="MESSAGE_CREATE")
        again = await text_channel(bot, town).fetch_message(sent.id)
        assert again.embeds[0].title == "Alert"
    assert next(r.files for r in world.requests if r.files) == ("clip one.ogg", "pic.png")


async def test_a_second_send_with_the_same_nonce_makes_no_second_message(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        channel = text_channel(bot, town)
        first = await channel.send("alert", nonce="case-1")
        second = await channel.send("alert", nonce="case-1")
        third = await channel.send("alert", nonce="case-2")
        assert first.id == second.id != third.id
        assert [m.id for m in world.sent_in(town.text)] == [first.id, third.id]


async def test_an_answer_lost_on_the_way_and_a_nonce_give_one_message(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        world.faults.append(Fault("POST", r"/messages$", drop=True, when="after"))
        channel = text_channel(bot, town)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await channel.send("alert", nonce="case-1")
        await channel.send("alert", nonce="case-1")
        assert len(world.sent_in(town.text)) == 1
        assert [r.status for r in world.requests if r.path.endswith("/messages")] == [0, 200]


async def test_an_edit_replaces_keeps_and_adds_attachments(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        message = await text_channel(bot, town).send("one", files=[file("a.ogg", b"a"), file("b.ogg", b"b")])
        edited = await message.edit(content="two", attachments=[message.attachments[1], file("c.ogg", b"c")])
        assert [a.filename for a in edited.attachments] == ["b.ogg", "c.ogg"]
        assert [await a.read() for a in edited.attachments] == [b"b", b"c"]
        assert edited.content == "two"
        assert edited.edited_at is not None
        edited = await edited.edit(embed=discord.Embed(title="only this"))
        assert (edited.content, len(edited.attachments)) == ("two", 2)
        await edited.delete()
        assert world.sent_in(town.text) == []
        with pytest.raises(discord.NotFound) as missing:
            await edited.edit(content="late")
        assert missing.value.code == 10008


@pytest.mark.parametrize(
    ("embed", "where"),
    [
        (discord.Embed(description="x" * 4097), "description"),
        (discord.Embed(title="x" * 257), "title"),
        (discord.Embed().add_field(name="n", value="x" * 1025), "fields"),
        (discord.Embed(description="x" * 4000).set_footer(text="y" * 2001), "Embed size exceeds maximum size of 6000"),
    ],
)
async def test_embeds_over_the_limits_are_refused(world: LoopbackDiscord, town: Town, embed: discord.Embed, where: str) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        with pytest.raises(discord.HTTPException, match=where) as refused:
            await text_channel(bot, town).send(embed=embed)
        assert (refused.value.status, refused.value.code) == (400, 50035)
        with pytest.raises(discord.HTTPException, match="2000 or fewer"):
            await text_channel(bot, town).send("x" * 2001)
        assert world.sent_in(town.text) == []


async def test_missing_permissions_and_unknown_things(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        channel = text_channel(bot, town)
        world.overwrite(town.text, town.guild, deny=Permission.EMBED_LINKS)
        with pytest.raises(discord.Forbidden) as refused:
            await channel.send(embed=discord.Embed(title="no"))
        assert refused.value.code == 50013
        await channel.send("plain text is fine")
        world.overwrite(town.text, world.bot_role(town.guild), deny=Permission.VIEW_CHANNEL)
        with pytest.raises(discord.Forbidden) as hidden:
            await channel.send("no")
        assert hidden.value.code == 50001
        with pytest.raises(discord.NotFound) as missing:
            await bot.fetch_channel(1)
        assert missing.value.code == 10003
        with pytest.raises(discord.NotFound) as no_route:
            await bot.http.request(discord.http.Route("GET", "/nothing/here"))
        assert no_route.value.code == 0


async def test_server_errors_and_rate_limits_are_retried_by_the_client(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        world.faults += [Fault("POST", r"/messages$", status=500), Fault("POST", r"/messages$", status=429, times=2, retry_after=0.05)]
        await text_channel(bot, town).send("in the end")
        assert [r.status for r in world.requests if r.path.endswith("/messages")] == [500, 429, 429, 200]
        assert len(world.sent_in(town.text)) == 1


async def test_the_client_obeys_a_rate_limit_before_it_is_refused(world: LoopbackDiscord, town: Town) -> None:
    world.rate_limits.limits["POST", "/channels/{channel_id}/messages"] = (2, 0.3)
    bot = StockBot(world)
    async with running(world, bot):
        for number in range(5):
            await text_channel(bot, town).send(str(number))
        assert [r.status for r in world.requests if r.path.endswith("/messages")] == [200] * 5
        assert [m.content for m in world.sent_in(town.text)] == list("01234")


async def test_the_voice_status_needs_its_permission(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        channel = bot.get_channel(town.voice.id)
        assert isinstance(channel, discord.VoiceChannel)
        with pytest.raises(discord.Forbidden):  # from outside the channel MANAGE_CHANNELS is needed too
            await channel.edit(status="listening")
        await world.voice_join(world.bot_in(town.guild.id), town.voice)
        await channel.edit(status="listening")
        assert town.voice.status == "listening"
        world.set_permissions(town.guild, world.bot_role(town.guild), Permission.VIEW_CHANNEL)
        with pytest.raises(discord.Forbidden) as refused:
            await channel.edit(status="again")
        assert refused.value.code == 50013


async def test_direct_messages(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        user = bot.get_user(town.ada.id)
        assert user is not None
        await user.send("hello")
        assert [m.content for m in world.sent_in(world.world.dm_with(town.ada.user))] == ["hello"]
        town.ada.user.dms_open = False
        with pytest.raises(discord.Forbidden) as refused:
            await user.send("hello?")
        assert refused.value.code == 50007


async def test_what_people_write_is_blank_without_the_message_content_intent(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        world.say(town.ada, town.text, "hidden")
        world.say(town.ada, town.text, f"<@{world.world.bot.id}> shown")
        await world.wait_for(lambda: len(bot.cached_messages) == 2)
        assert [m.content for m in bot.cached_messages] == ["", f"<@{world.world.bot.id}> shown"]
        history = [m.content async for m in text_channel(bot, town).history(limit=1)]
        assert history == [f"<@{world.world.bot.id}> shown"]


async def test_components_are_checked(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        channel = text_channel(bot, town)
        route = discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=channel.id)
        twice = [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "same"}] * 2}]
        with pytest.raises(discord.HTTPException, match="cannot be duplicated"):
            await bot.http.request(route, json={"components": twice})
        view = discord.ui.LayoutView()
        view.add_item(discord.ui.Container(discord.ui.TextDisplay("alert")))
        sent = await channel.send(view=view)
        assert sent.flags.components_v2
        view = discord.ui.LayoutView()
        view.add_item(discord.ui.TextDisplay("x" * 4001))
        with pytest.raises(discord.HTTPException, match="4000 or fewer"):
            await channel.send(view=view)


async def test_an_oversized_file_and_broken_json_are_refused(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        with pytest.raises(discord.HTTPException) as refused:
            await text_channel(bot, town).send(file=file("big.ogg", bytes(10 * 1024 * 1024 + 1)))
        assert (refused.value.status, refused.value.code) == (413, 40005)
    url = f"https://discord.com/api/v10/channels/{town.text.id}/messages"
    headers = {"Authorization": f"Bot {world.token}"}
    async with aiohttp.ClientSession(connector=connector_to(world.port, world.authority_pem), headers=headers) as session:
        for body in (b"{", b"\xff\xfe", b"[]", b"7"):
            async with session.post(url, data=body) as response:
                assert response.status == 400
                assert response.headers["Content-Type"] == "application/json"
                assert (await response.json())["code"] == 50109
