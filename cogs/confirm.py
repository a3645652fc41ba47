"""Two buttons: do it, or do not."""

from collections.abc import Awaitable, Callable

import discord

SECONDS = 120.0
"""How long the buttons work."""


class Confirm(discord.ui.View):
    """Asks before something that cannot be undone. Shown ephemerally, so only the person asked can press."""

    def __init__(self, act: Callable[[], Awaitable[str]], label: str) -> None:
        """`act`: does it, and returns the sentence that says so."""
        super().__init__(timeout=SECONDS)
        self._act = act
        self.confirm.label = label

    @discord.ui.button(style=discord.ButtonStyle.danger)
    async def confirm(self, interaction: discord.Interaction, button: discord.ui.Button["Confirm"]) -> None:
        """Do it."""
        self.stop()
        await interaction.response.edit_message(content="One moment …", view=None)
        await interaction.edit_original_response(content=await self._act())

    @discord.ui.button(label="Keep everything", style=discord.ButtonStyle.secondary)
    async def keep(self, interaction: discord.Interaction, button: discord.ui.Button["Confirm"]) -> None:
        """Do nothing."""
        self.stop()
        await interaction.response.edit_message(content="Nothing was deleted.", view=None)
