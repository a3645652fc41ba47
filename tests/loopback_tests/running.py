"""A stock discord.py bot connected to a loopback Discord, for the tests of the loopback itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
from discord import app_commands
from discord.ext import commands

from tests.loopback.discord import LoopbackDiscord
from tests.loopback.resolver import connector


class Panel(discord.ui.View):
    """Two buttons, one of which opens a modal."""

    def __init__(self) -> None:
        super().__init__(timeout=None)

    @discord.ui.button(label="Dismiss", custom_id="panel:dismiss")
    async def dismiss(self, interaction: discord.Interaction, _button: "discord.ui.Button[Panel]") -> None:
        await interaction.response.edit_message(content=f"dismissed by {interaction.user.name}", view=None)

    @discord.ui.button(label="Note", custom_id="panel:note")
    async def note(self, interaction: discord.Interaction, _button: "discord.ui.Button[Panel]") -> None:
        await interaction.response.send_modal(Note())


class Note(discord.ui.Modal, title="Note"):
    """One line of text."""

    text: "discord.ui.TextInput[Note]" = discord.ui.TextInput(label="Text", custom_id="text")

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"noted: {self.text.value}", ephemeral=True)


class Product(app_commands.Group):
    """Sub-commands with autocomplete and an attachment."""

    @app_commands.command(description="Set a price")
    async def price(self, interaction: discord.Interaction, name: str, price: app_commands.Range[float, 0, 100]) -> None:
        await interaction.response.send_message(f"{name} costs {price}", ephemeral=True)

    @price.autocomplete("name")
    async def names(self, _interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=n.title(), value=n) for n in ("widget", "wheel", "gear") if n.startswith(typed)]

    @app_commands.command(name="import", description="Import a file")
    async def load(self, interaction: discord.Interaction, file: discord.Attachment, where: discord.VoiceChannel) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        data = await file.read()
        await interaction.edit_original_response(content=f"{len(data)} bytes of {file.content_type} for {where.name}")
        await interaction.followup.send("done", ephemeral=True)


class StockBot(commands.Bot):
    """Nothing of ours in it: discord.py with a command tree."""

    def __init__(self, world: LoopbackDiscord, *, heartbeat_timeout: float = 60.0) -> None:
        intents = discord.Intents.default() | discord.Intents(members=True)
        super().__init__("!", intents=intents, connector=connector(world), heartbeat_timeout=heartbeat_timeout)
        self.resumed = 0
        self.connected = 0
        self.add_commands()

    def add_commands(self) -> None:
        @self.tree.command(description="Answer at once")
        async def ping(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("pong", view=Panel())

        @self.tree.command(description="Do not answer")
        async def mute(_interaction: discord.Interaction) -> None: ...

        @self.tree.command(description="For moderators")
        @app_commands.default_permissions(moderate_members=True)
        async def case(interaction: discord.Interaction) -> None:
            rights = interaction.permissions.moderate_members, interaction.app_permissions.connect
            await interaction.response.send_message(str(rights), ephemeral=True)

        @self.tree.context_menu(name="Voice history")
        async def history(interaction: discord.Interaction, member: discord.Member) -> None:
            await interaction.response.send_message(f"history of {member.name}", ephemeral=True)

        self.tree.add_command(Product(name="product", description="Products"))

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the five seconds discord.py waits before it identifies again."""

    async def on_resumed(self) -> None:
        self.resumed += 1

    async def on_connect(self) -> None:
        self.connected += 1


@asynccontextmanager
async def running(world: LoopbackDiscord, client: discord.Client) -> AsyncIterator[None]:
    """Log in, wait until ready, and close at the end."""
    client._connection.guild_ready_timeout = 0.05  # how long discord.py waits for further guilds; 2 s by default
    task = asyncio.create_task(client.start(world.token), name="stock client")
    try:
        await world.wait_for(lambda: client.is_ready() or task.done(), what="the client to be ready")
        if task.done():
            task.result()
        yield
    finally:
        await client.close()
        await task
