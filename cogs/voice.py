"""`/voice`: join a channel and listen, leave, say how it goes."""

import discord
from discord import app_commands
from discord.ext import commands

from cogs.embeds import plain, status_panel
from cogs.panel import LivePanels, Look, idle_panel, live_panel, watched_lines
from moderation.errors import NotFound
from moderation.services import Services
from moderation.sessions import Running

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
            await self._services.sessions.stop(guild_id)
            await interaction.followup.send(f"I no longer try to return to <#{lost.channel_id}>.", ephemeral=True)
            return
        running, joining = self._services.sessions.running(guild_id), self._services.sessions.joining(guild_id)
        coverage = await self._services.sessions.stop(guild_id)
        if running is None and joining:
            await interaction.followup.send("I was joining a channel; I stopped that.", ephemeral=True)
            return
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
            embed = idle_panel(tuple(self._services.troubles()), self._watched(interaction))
            await interaction.response.send_message(embed=embed, ephemeral=True)
            return

        def show(now: Running) -> Look:
            watched, unheard = tuple(self._watched(interaction)), self._unheard(interaction, now.session.channel_id)
            troubles = tuple(self._services.troubles())
            return Look(now.session, now.coverage(), now.source.health(), now.shed, watched, unheard, troubles)

        def look() -> Look | None:
            now = self._services.sessions.running(running.session.guild_id)
            return show(now) if now is not None and now is running else None

        await interaction.response.send_message(embed=live_panel(show(running)), ephemeral=True)
        self._panels.keep(interaction, look)

    @app_commands.command(description="Join a channel by myself whenever people are in it")
    @app_commands.describe(channel="Which one", priority="1 goes first: I can be in one channel at a time. Last when you leave it out")
    async def watch(
        self, interaction: discord.Interaction, channel: VoiceChannel, priority: app_commands.Range[int, 1, 25] | None = None
    ) -> None:
        """Add `channel` to the watched ones, or move it in their order."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        order = await self._services.watch.watch(channel.guild.id, channel.id, priority)
        listed = "\n".join(f"{place}. <#{each}>" for place, each in enumerate(order, 1))
        text = "I join these by myself while people are in them; the first that has people gets me, unless you called me elsewhere:"
        await interaction.followup.send(f"{text}\n{listed}", ephemeral=True)

    @app_commands.command(description="No longer join a channel by myself")
    @app_commands.describe(channel="Which one")
    async def unwatch(self, interaction: discord.Interaction, channel: VoiceChannel) -> None:
        """Take `channel` off the watched ones."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._services.watch.unwatch(channel.guild.id, channel.id)
        await interaction.followup.send(f"I no longer join <#{channel.id}> by myself. A session there goes on.", ephemeral=True)

    def _watched(self, interaction: discord.Interaction) -> list[str]:
        return watched_lines(self._services.watch.report(interaction.guild_id or 0))

    def _unheard(self, interaction: discord.Interaction, channel_id: int) -> tuple[int, ...]:
        """Ids of those in the channel who opted out, or did not opt in where that is asked."""
        return tuple(self._services.privacy.unheard(interaction.guild_id or 0, _present(interaction, channel_id)))


def _present(interaction: discord.Interaction, channel_id: int) -> list[int]:
    """Ids of the people in the channel: bots are not asked whether they want to be heard."""
    guild = interaction.guild
    channel = guild.get_channel(channel_id) if guild else None
    if guild is None or not isinstance(channel, VoiceChannel):
        return []
    members = {user_id: guild.get_member(user_id) for user_id in channel.voice_states}
    me = interaction.client.user
    return [i for i, member in members.items() if (me is None or i != me.id) and not (member and member.bot)]


def _own_channel(interaction: discord.Interaction) -> VoiceChannel:
    member = interaction.user
    if isinstance(member, discord.Member) and member.voice and member.voice.channel:
        return member.voice.channel
    raise NotFound(f"Name a channel, or join a voice channel first, {plain(member.display_name)}.")
