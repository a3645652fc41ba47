"""The one mapping from errors to what a person in Discord reads."""

import logging

import discord
from discord import app_commands

from cogs.embeds import problem
from moderation.errors import ModerationError, OutcomeUnknown

log = logging.getLogger(__name__)


async def on_app_command_error(interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
    """Answer the person; log what is not their doing."""
    await answer(interaction, error.original if isinstance(error, app_commands.CommandInvokeError) else error)


async def answer(interaction: discord.Interaction, error: Exception) -> None:
    """The same for buttons and menus."""
    title = "That may not have worked" if isinstance(error, OutcomeUnknown) else "That did not work"
    embed = problem(_sentence(error), title)
    if interaction.response.is_done():
        await interaction.followup.send(embed=embed, ephemeral=True)
    else:
        await interaction.response.send_message(embed=embed, ephemeral=True)


def _sentence(error: Exception) -> str:
    if isinstance(error, ModerationError):
        return str(error)
    if isinstance(error, app_commands.MissingPermissions):
        return f"You need the permission {', '.join(error.missing_permissions)} for that."
    if isinstance(error, app_commands.BotMissingPermissions):
        return f"I need the permission {', '.join(error.missing_permissions)} for that: ask a server admin to grant it."
    if isinstance(error, app_commands.NoPrivateMessage):
        return "That works in a server only."
    log.error("a command failed", extra={"error": type(error).__name__}, exc_info=error)
    return "Something went wrong on my side. It is in the operator's log."
