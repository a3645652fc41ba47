"""Slash commands, autocomplete, buttons, modals and menus: what a person does, and what the stock client makes of it."""

import aiohttp
import discord
import pytest
from discord import app_commands

from tests.loopback.discord import LoopbackDiscord
from tests.loopback.interaction_data import CannotInvoke, InvalidOption, NotPermitted, UnknownCommand
from tests.loopback.interactions import NoAnswer
from tests.loopback.permissions import Permission
from tests.loopback.resolver import connector_to
from tests.loopback.routing import Upload
from tests.loopback_tests.conftest import Town
from tests.loopback_tests.running import StockBot, running

pytestmark = pytest.mark.integration


async def test_a_command_is_answered_and_its_button_edits_the_message(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await bot.tree.sync()
        reply = await world.slash(town.ada, town.text, "ping")
        assert (reply.content, reply.ephemeral, reply.deferred) == ("pong", False, False)
        assert [m.content for m in world.sent_in(town.text)] == ["pong"]
        clicked = await world.click(town.mod, reply, "panel:dismiss")
        assert clicked.message is reply.message
        assert reply.content == "dismissed by mo"
        assert reply.components == []
        with pytest.raises(InvalidOption):
            await world.click(town.mod, reply, "panel:dismiss")


async def test_a_button_opens_a_modal_and_the_modal_is_answered(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await bot.tree.sync()
        reply = await world.slash(town.ada, town.text, "ping")
        opened = await world.click(town.mod, reply, "panel:note")
        assert opened.modal is not None
        assert opened.modal["title"] == "Note"
        answer = await world.submit(town.mod, opened, {"text": "seen"})
        assert (answer.content, answer.ephemeral) == ("noted: seen", True)
        with pytest.raises(InvalidOption):
            await world.submit(town.mod, opened, {"nothing": "seen"})


async def test_a_deferred_command_with_file_and_channel_is_edited_and_followed_up(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await bot.tree.sync()
        upload = Upload("terms.json", b"[]")
        reply = await world.slash(town.mod, town.text, "product import", file=upload, where=town.voice)
        assert reply.deferred
        assert reply.ephemeral
        assert reply.content == "2 bytes of application/json for General"
        assert [edit["content"] for edit in reply.edits] == [reply.content]
        await world.wait_for(lambda: reply.followups, what="the follow-up")
        assert [(m.content, m.ephemeral) for m in reply.followups] == [("done", True)]
        assert world.sent_in(town.text) == []  # ephemeral answers are in no channel


async def test_the_first_follow_up_fills_a_deferred_answer(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)

    @bot.tree.command(description="Defer, then only follow up")
    async def late(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await interaction.followup.send("first")
        await interaction.followup.send("second")

    async with running(world, bot):
        await bot.tree.sync(guild=None)
        reply = await world.slash(town.ada, town.text, "late")
        assert reply.content == "first"
        await world.wait_for(lambda: reply.followups)
        assert [m.content for m in world.sent_in(town.text)] == ["first", "second"]


async def test_autocomplete_suggests_and_values_are_checked_like_a_client_does(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await bot.tree.sync()
        choices = await world.autocomplete(town.ada, town.text, "product price", "name", "w")
        assert [choice["value"] for choice in choices] == ["widget", "wheel"]
        reply = await world.slash(town.ada, town.text, "product price", name="widget", price=2.5)
        assert reply.content == "widget costs 2.5"
        with pytest.raises(InvalidOption, match="bounds"):
            await world.slash(town.ada, town.text, "product price", name="widget", price=101.0)
        with pytest.raises(InvalidOption, match="required"):
            await world.slash(town.ada, town.text, "product price", name="widget")
        with pytest.raises(InvalidOption, match="does not take"):
            await world.slash(town.ada, town.text, "product import", file=Upload("a", b""), where=town.text)
        with pytest.raises(UnknownCommand):
            await world.slash(town.ada, town.text, "product buy")


async def test_default_permissions_hide_a_command(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await bot.tree.sync()
        with pytest.raises(NotPermitted):
            await world.slash(town.ada, town.text, "case")
        reply = await world.slash(town.mod, town.text, "case")
        assert reply.content == "(True, True)"
        world.overwrite(town.text, town.guild, deny=Permission.USE_APPLICATION_COMMANDS)
        with pytest.raises(NotPermitted):
            await world.slash(town.mod, town.text, "case")


async def test_a_user_context_menu(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await bot.tree.sync()
        reply = await world.context_menu(town.mod, "Voice history", town.ada)
        assert (reply.content, reply.ephemeral) == ("history of ada", True)
        with pytest.raises(UnknownCommand):
            await world.context_menu(town.mod, "Voice history", world.say(town.ada, town.text, "hi"))


async def test_a_bot_that_does_not_answer_is_noticed_and_comes_too_late(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    asked: list[discord.Interaction] = []

    @bot.event
    async def on_interaction(interaction: discord.Interaction) -> None:
        asked.append(interaction)

    async with running(world, bot):
        await bot.tree.sync()
        world.interactions.deadline = 0.2
        with pytest.raises(NoAnswer, match="did not respond"):
            await world.slash(town.ada, town.text, "mute")
        with pytest.raises(discord.NotFound) as late:
            await asked[0].response.send_message("late")
        assert late.value.code == 10062


async def test_a_second_answer_is_refused(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    async with running(world, bot):
        await bot.tree.sync()
        await world.slash(town.ada, town.text, "ping")
        callback = next(r for r in world.requests if r.path.endswith("/callback"))
        async with (
            aiohttp.ClientSession(connector=connector_to(world.port, world.authority_pem)) as session,
            session.post(f"https://discord.com/api/v10{callback.path}", json={"type": 5}) as response,
        ):
            assert response.status == 400
            assert (await response.json())["code"] == 40060


async def test_guild_commands_replace_and_keep_their_ids(world: LoopbackDiscord, town: Town) -> None:
    bot = StockBot(world)
    guild = discord.Object(town.guild.id)
    async with running(world, bot):
        bot.tree.copy_global_to(guild=guild)
        first = {command.name: command.id for command in await bot.tree.sync(guild=guild)}
        bot.tree.remove_command("mute", guild=guild)
        second = {command.name: command.id for command in await bot.tree.sync(guild=guild)}
        assert second == {name: number for name, number in first.items() if name != "mute"}
        assert {c.name for c in await bot.tree.fetch_commands(guild=guild)} == set(second)
        assert (await world.slash(town.ada, town.text, "ping")).content == "pong"
        with pytest.raises(CannotInvoke):
            await world.slash(town.ada, town.text, "mute")
        ping = bot.tree.get_command("ping", guild=guild)
        assert isinstance(ping, app_commands.Command)
        ping.description = "x" * 101
        with pytest.raises(app_commands.CommandSyncFailure):
            await bot.tree.sync(guild=guild)
