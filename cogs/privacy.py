"""`/privacy`: members decide whether they are heard; moderators decide what holds for those who say nothing."""

import asyncio
import io
import json

import discord
from discord import app_commands
from discord.ext import commands

from cogs.confirm import Confirm
from moderation.consent import ConsentMode
from moderation.errors import ModerationError, StorageError
from moderation.forgetting import REQUESTS, Forgotten
from moderation.privacy import PrivacyService, Standing

DELETE_QUESTION = (
    "This deletes everything I keep about you, in all servers: transcripts, flags, alerts about you, your words around others' alerts, "
    "and the audio held in memory. Alert cards that quote you are edited. If you opted out, that one choice stays, because without it "
    "you would be heard again. It cannot be undone."
)
NOT_SAVED = (
    "You are no longer heard, but I could not save that: after a restart you would be heard again. "
    "Use `/privacy opt-out` once more in a minute."
)
MODES = {
    ConsentMode.OPT_OUT: "everybody is heard unless they opt out",
    ConsentMode.OPT_IN: "only members who opt in are heard",
}


@app_commands.guild_only()
class Privacy(commands.GroupCog, group_name="privacy", group_description="What Earshot hears and keeps of you"):
    """Slash commands for every member, about themselves."""

    def __init__(self, privacy: PrivacyService) -> None:
        self._privacy = privacy

    @app_commands.command(name="opt-out", description="Do not be heard by Earshot in this server, from now on")
    async def opt_out(self, interaction: discord.Interaction) -> None:
        """Hear the caller no more, also while Discord or the database keeps us waiting."""
        saved, _ = await asyncio.gather(
            self._privacy.opt_out(interaction.guild_id or 0, interaction.user.id),
            interaction.response.defer(ephemeral=True, thinking=True),
            return_exceptions=True,
        )
        if isinstance(saved, StorageError):
            raise ModerationError(NOT_SAVED) from saved
        if saved is not None:
            raise saved
        text = (
            "You are no longer heard in this server: what you say is dropped before it is decrypted. Moderators see that you opted out, "
            "nothing else. `/privacy opt-in` changes that."
        )
        await interaction.followup.send(text, ephemeral=True)

    @app_commands.command(name="opt-in", description="Be heard by Earshot in this server, from now on")
    async def opt_in(self, interaction: discord.Interaction) -> None:
        """Hear the caller again."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._privacy.opt_in(interaction.guild_id or 0, interaction.user.id)
        text = "From now on Earshot hears you in this server, and transcribes it for its moderators. `/privacy opt-out` ends that at once."
        await interaction.followup.send(text, ephemeral=True)

    @app_commands.command(description="Whether Earshot hears you in this server")
    async def status(self, interaction: discord.Interaction) -> None:
        """Say how the caller stands."""
        standing = self._privacy.standing(interaction.guild_id or 0, interaction.user.id)
        await interaction.response.send_message(_sentence(standing), ephemeral=True)

    @app_commands.command(description="Get everything Earshot keeps about you, as a file")
    @app_commands.describe(page="For more, when one file is not enough")
    async def export(self, interaction: discord.Interaction, page: app_commands.Range[int, 1, 10_000] = 1) -> None:
        """Send what is stored about the caller."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self._privacy.export(interaction.user.id, page)
        text = json.dumps(found.data, ensure_ascii=False, indent=1)
        more = f" There is more: `/privacy export page:{page + 1}`." if found.more else " That is all."
        file = discord.File(io.BytesIO(text.encode()), filename=f"earshot-{page}.json")
        await interaction.followup.send(f"What Earshot keeps about you, from all servers.{more}", file=file, ephemeral=True)

    @app_commands.command(name="delete-my-data", description="Delete everything Earshot keeps about you, in all servers")
    async def delete_my_data(self, interaction: discord.Interaction) -> None:
        """Ask, then delete."""

        async def act() -> str:
            return _deleted(await self._privacy.delete(interaction.user.id))

        await interaction.response.send_message(DELETE_QUESTION, view=Confirm(act, "Delete everything"), ephemeral=True)

    @app_commands.command(description="For moderators: who is heard of those who chose nothing")
    @app_commands.describe(mode="opt-out: all unless they opt out; opt-in: only those who opted in")
    @app_commands.checks.has_permissions(manage_guild=True)
    async def mode(self, interaction: discord.Interaction, mode: ConsentMode) -> None:
        """Set the server's mode and tell the channel."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._privacy.set_mode(interaction.guild_id or 0, mode)
        text = f"In this server {MODES[mode]}. Who chose for themselves keeps that choice; the voice channel's notice says it."
        await interaction.followup.send(text, ephemeral=True)

    @app_commands.command(description="For moderators: how long transcripts and alerts are kept")
    @app_commands.describe(transcripts="Days; 0 keeps nothing beyond the session", alerts="Days; 0 keeps nothing beyond the session")
    @app_commands.checks.has_permissions(manage_guild=True)
    async def retention(
        self,
        interaction: discord.Interaction,
        transcripts: app_commands.Range[int, 0, 3650],
        alerts: app_commands.Range[int, 0, 3650],
    ) -> None:
        """Set the server's days."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._privacy.keep(interaction.guild_id or 0, transcripts, alerts)
        text = f"Transcripts are kept {_days(transcripts)}, alerts {_days(alerts)}. What is older is deleted within the hour."
        await interaction.followup.send(text, ephemeral=True)


def _days(days: int) -> str:
    if not days:
        return "only while a session goes on"
    return "for one day" if days == 1 else f"for {days:,} days"


def _deleted(forgotten: Forgotten) -> str:
    if forgotten.failed:
        text = f"Not all of it is gone yet: {', '.join(forgotten.failed)} could not be reached. I try again every few minutes until it is."
        again = " If this bot is restarted meanwhile, please use `/privacy delete-my-data` again."
        return text + again if REQUESTS in forgotten.failed else text
    if forgotten.elsewhere:
        return (
            "Everything I kept about you in my database is deleted. Part of me runs elsewhere and has not confirmed yet that it deleted "
            "what it holds in memory: it does that as soon as it answers, and writes nothing about you down before. Alert cards that quote "
            "you are edited then. What you say from now on is heard again unless you opted out: `/privacy opt-out`."
        )
    return (
        "Everything I kept about you is deleted. Alert cards that quote you are being edited now; where Discord does not let me, I try "
        "again until it does. What you say from now on is heard again unless you opted out: `/privacy opt-out`."
    )


def _sentence(standing: Standing) -> str:
    rule = f"In this server {MODES[standing.mode]}"
    why = {None: f"{rule}, and you chose nothing", True: "You opted in", False: "You opted out"}[standing.chosen]
    if standing.heard:
        return f"{why}: Earshot hears you when it is in your voice channel. `/privacy opt-out` ends that at once."
    return f"{why}: Earshot does not hear you. `/privacy opt-in` changes that."
