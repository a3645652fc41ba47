"""`/alerts`: where alert cards go, and what one looks like."""

from dataclasses import replace

import discord
from discord import app_commands
from discord.ext import commands

from moderation.errors import NotAllowed, NotFound
from moderation.models import Alert, AlertState, Level, Session, Speaker, TranscriptSegment, Verdict
from moderation.services import Services

NEEDED = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}
"""Permissions that a card with an evidence clip needs; the last one keeps alerts from being posted twice after a restart."""


@app_commands.guild_only()
@app_commands.default_permissions(manage_guild=True)
class Alerts(commands.GroupCog, group_name="alerts", group_description="Where alerts go"):
    """Slash commands about alert delivery."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @app_commands.command(description="Choose the channel that alert cards are posted to")
    @app_commands.describe(channel="A channel that only moderators can read")
    async def channel(self, interaction: discord.Interaction, channel: discord.TextChannel) -> None:
        """Set the alert channel, after checking that cards can be posted there."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        granted = channel.permissions_for(channel.guild.me)
        missing = [label for name, label in NEEDED.items() if not getattr(granted, name)]
        if missing:
            raise NotAllowed(f"In {channel.mention} I lack the permission {', '.join(missing)}. Grant it to my role, then try again.")
        settings = await self._services.guilds.settings(channel.guild.id)
        await self._services.guilds.save_settings(replace(settings, alert_channel_id=channel.id))
        everyone = channel.permissions_for(channel.guild.default_role).view_channel
        warning = "\nEverybody can read that channel: alerts quote members. A channel for moderators only is better." if everyone else ""
        await interaction.followup.send(f"Alerts go to {channel.mention}. Try it with `/alerts test`.{warning}", ephemeral=True)

    @app_commands.command(description="Post a sample alert card to the alert channel")
    async def test(self, interaction: discord.Interaction) -> None:
        """Post a card that says it is a test."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        guild_id = interaction.guild_id or 0
        settings = await self._services.guilds.settings(guild_id)
        if settings.alert_channel_id is None:
            raise NotFound("No alert channel is set. Choose one with `/alerts channel` first.")
        await self._services.delivery.post(_sample(interaction, guild_id), settings, None)
        await interaction.followup.send(f"A sample card is in <#{settings.alert_channel_id}>.", ephemeral=True)


def _sample(interaction: discord.Interaction, guild_id: int) -> Alert:
    """Nobody said this: the asker stands in as the speaker."""
    session = Session(f"test-{interaction.id}", guild_id, interaction.channel_id or 0, interaction.created_at)
    segment = TranscriptSegment(session.id, interaction.user.id, 0, 0.0, 2.0, "this is a test card, nobody said anything", final=True)
    verdict = Verdict(level=Level.ALERT, severity=1, categories=("test",))
    return Alert(segment.id, session, Speaker(interaction.user.id), segment, verdict, AlertState.CONFIRMED)
