"""The one mapping from errors to what a person in Discord reads."""

import logging
from collections.abc import Iterable

import discord
from discord import app_commands

from cogs.embeds import problem
from moderation.errors import ModerationError, OutcomeUnknown, StorageError

log = logging.getLogger(__name__)

DATABASE_AWAY = "My database does not answer just now, so nothing was read or saved. Please try again in a minute."
DATABASE_FAILED = "My database cannot do that, so nothing was read or saved. Why is in the operator's log."
TITLES = {"manage_guild": "Manage Server"}
"""Where Discord shows people another name than the API's."""


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
    if isinstance(error, StorageError):  # its own words are for the operator: they name files
        log.warning("a command met a database that failed", extra={"code": error.code, "retryable": error.retryable}, exc_info=error)
        return DATABASE_AWAY if error.retryable else DATABASE_FAILED
    if isinstance(error, ModerationError):
        return str(error)
    if isinstance(error, app_commands.MissingPermissions):
        return f"You need the permission {_names(error.missing_permissions)} for that."
    if isinstance(error, app_commands.BotMissingPermissions):
        return f"I need the permission {_names(error.missing_permissions)} for that: ask a server admin to grant it."
    if isinstance(error, app_commands.NoPrivateMessage):
        return "That works in a server only."
    log.error("a command failed", extra={"error": type(error).__name__}, exc_info=error)
    return "Something went wrong on my side. It is in the operator's log."


def _names(permissions: Iterable[str]) -> str:
    """As Discord's own settings call them."""
    return ", ".join(TITLES.get(name, name.replace("_", " ").title()) for name in permissions)
