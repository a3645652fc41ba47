"""`/voice`: join a channel and listen, leave, say how it goes."""

import discord
from discord import app_commands
from discord.ext import commands

from cogs.embeds import plain, status_panel
from cogs.panel import LivePanels, Look, live_panel
from moderation.errors import NotFound
from moderation.services import Services

VoiceChannel = discord.VoiceChannel | discord.StageChannel


@app_commands.guild_only()
@app_commands.default_permissions(moderate_members=True)
class Voice(commands.GroupCog, group_name="voice", group_description="Listen to a voice channel"):
    """Slash commands about the session of a server."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._panels = LivePanels()

    async def cog_unload(self) -> None:
        """Panels are edited no more."""
        self._panels.close()

    @app_commands.command(description="Join a voice channel, tell its members, and listen")
    @app_commands.describe(channel="Which one; yours when you leave it out")
    async def join(self, interaction: discord.Interaction, channel: VoiceChannel | None = None) -> None:
        """Join `channel`, or the one the caller is in."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        target = channel or _own_channel(interaction)
        session = await self._services.sessions.start(target.guild.id, target.id, target.name)
        settings = await self._services.guilds.settings(target.guild.id)
        where = f"<#{settings.alert_channel_id}>" if settings.alert_channel_id else "nowhere yet: choose a channel with `/alerts channel`"
        await interaction.followup.send(f"I listen in <#{session.channel_id}>; its members were told. Alerts go {where}.", ephemeral=True)

    @app_commands.command(description="Stop listening and leave the voice channel")
    async def leave(self, interaction: discord.Interaction) -> None:
        """End the server's session."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        guild_id = interaction.guild_id or 0
        if (lost := await self._services.supervisor.stop(guild_id)) is not None:
            await interaction.followup.send(f"I no longer try to return to <#{lost.channel_id}>.", ephemeral=True)
            return
        running = self._services.sessions.running(guild_id)
        coverage = await self._services.sessions.stop(guild_id)
        if running is None or coverage is None:
            raise NotFound("I am not in a voice channel of this server. `/voice join` brings me into one.")
        embed = status_panel(running.session, coverage)
        embed.title = "Left"
        await interaction.followup.send(embed=embed, ephemeral=True)

    @app_commands.command(description="Whether I listen, to whom, and how much of it I hear")
    async def status(self, interaction: discord.Interaction) -> None:
        """Show the server's session."""
        running = self._services.sessions.running(interaction.guild_id or 0)
        lost = self._services.supervisor.returning(interaction.guild_id or 0)
        if running is None and lost is not None:
            since = discord.utils.format_dt(lost.since, "R")
            text = f"I lost the call in <#{lost.session.channel_id}> {since} and keep trying to return. `/voice leave` stops that."
            await interaction.response.send_message(text, ephemeral=True)
            return
        if running is None:
            text = "I am not listening in this server. `/voice join` brings me into a voice channel."
            await interaction.response.send_message(text, ephemeral=True)
            return

        def look() -> Look | None:
            now = self._services.sessions.running(running.session.guild_id)
            return Look(now.session, now.coverage(), now.source.health()) if now is running else None

        seen = Look(running.session, running.coverage(), running.source.health())
        await interaction.response.send_message(embed=live_panel(seen), ephemeral=True)
        self._panels.keep(interaction, look)


def _own_channel(interaction: discord.Interaction) -> VoiceChannel:
    member = interaction.user
    if isinstance(member, discord.Member) and member.voice and member.voice.channel:
        return member.voice.channel
    raise NotFound(f"Name a channel, or join a voice channel first, {plain(member.display_name)}.")
