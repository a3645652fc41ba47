"""Buttons and menus beneath an answer. Only the asker may use them, for five minutes; then they go away."""

from contextlib import suppress

import discord

from cogs.errors import answer

SECONDS = 300.0
"""How long buttons work; Discord takes edits of an answer for 15 minutes."""


class AskersView(discord.ui.View):
    """Components under an answer that is filled in with `show`."""

    def __init__(self, asked: discord.Interaction) -> None:
        super().__init__(timeout=SECONDS)
        self._asked = asked
        self._guild_id = asked.guild_id or 0

    async def interaction_check(self, interaction: discord.Interaction) -> bool:
        """Whether the one who presses is the one who asked; others are told."""
        if interaction.user.id == self._asked.user.id:
            return True
        await interaction.response.send_message("Only who used the command may press these. Use the command yourself.", ephemeral=True)
        return False

    async def on_error(self, interaction: discord.Interaction, error: Exception, item: discord.ui.Item[discord.ui.View]) -> None:
        """Answer like a command that failed."""
        await answer(interaction, error)

    async def on_timeout(self) -> None:
        """Nothing can be pressed any more: take the components away, unless the answer is gone."""
        with suppress(discord.HTTPException):
            await self._asked.edit_original_response(view=None)
