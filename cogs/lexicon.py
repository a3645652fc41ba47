"""`/lexicon`: a server's own terms."""

import io
from collections import Counter
from typing import Literal

import discord
from discord import app_commands
from discord.ext import commands

from cogs.embeds import plain
from cogs.lexicon_embeds import audio_run, change_embed, dry_run, heard_embed
from cogs.lexicon_views import ConfirmView, CoverageView, OfferView
from moderation import audio_trial, term_exchange
from moderation.errors import InvalidInput, NotFound
from moderation.models import Session
from moderation.services import Services
from moderation.term_exchange import Reading
from moderation.terms import Term, TermType

PAGE = 40
"""Terms a page of `/lexicon list` shows."""
MAX_CHOICES = 25
"""Choices an autocomplete may offer (Discord docs)."""


@app_commands.guild_only()
@app_commands.default_permissions(manage_guild=True)
class Lexicon(commands.GroupCog, group_name="lexicon", group_description="Words and phrases to flag in this server"):
    """Slash commands about a guild's terms."""

    def __init__(self, services: Services) -> None:
        self._lexicon = services.lexicon
        self._exchange = services.exchange
        self._audio = services.audio

    @app_commands.command(description="Add a word or phrase, or change one")
    @app_commands.describe(
        term="The word or phrase", category="Such as insult or threat", severity="1 mild to 10 worst", kind="allow = never flag this"
    )
    async def add(
        self,
        interaction: discord.Interaction,
        term: app_commands.Range[str, 1, 200],
        category: app_commands.Range[str, 1, 50] = "custom",
        severity: app_commands.Range[int, 1, 10] = 5,
        kind: TermType | None = None,
    ) -> None:
        """Add a term; words with spaces are phrases unless said otherwise. Says so where the model cannot hear it."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        guild_id = interaction.guild_id or 0
        type_ = kind or (TermType.PHRASE if " " in term.strip() else TermType.WORD)
        new = Term(term.strip(), type_, "" if type_ is TermType.ALLOW else category, severity)
        await self._lexicon.add(guild_id, new)
        what = "never flags" if type_ is TermType.ALLOW else f"flags as {plain(category)}, severity {severity}"
        text = f"||{plain(new.term)}|| now {what}. Sessions that are going on use it at once."
        heard = await self._lexicon.heard(guild_id, new)
        if not heard.unheard:
            await interaction.followup.send(text, ephemeral=True)
            return
        embed = heard_embed(heard)
        if heard.offers:
            await OfferView(interaction, self._lexicon, heard.offers).show(text, embed)
        else:
            await interaction.followup.send(text, embed=embed, ephemeral=True)

    @app_commands.command(description="Remove one of this server's own terms")
    async def remove(self, interaction: discord.Interaction, term: str) -> None:
        """Remove a term."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        if not await self._lexicon.remove(interaction.guild_id or 0, term.strip()):
            raise NotFound("This server has no such term of its own. `/lexicon list` shows what it has; terms of the shared lexicon stay.")
        await interaction.followup.send(f"||{plain(term)}|| is removed.", ephemeral=True)

    @remove.autocomplete("term")
    async def _own_terms(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        terms = await self._lexicon.terms(interaction.guild_id or 0)
        fitting = [t.term for t in terms if current.casefold() in t.term.casefold() and len(t.term) <= 100]
        return [app_commands.Choice(name=t, value=t) for t in fitting[:MAX_CHOICES]]

    @app_commands.command(name="list", description="Show this server's own terms")
    async def list_(self, interaction: discord.Interaction, page: app_commands.Range[int, 1, 1000] = 1) -> None:
        """One page of the terms."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        terms = await self._lexicon.terms(interaction.guild_id or 0)
        if not terms:
            await interaction.followup.send("This server has no terms of its own; the shared lexicon applies.", ephemeral=True)
            return
        shown = terms[(page - 1) * PAGE : page * PAGE]
        if not shown:
            last = -(-len(terms) // PAGE)
            raise NotFound("There is one page." if last == 1 else f"There are {last:,} pages.")
        lines = [f"||{plain(t.term)[:60]}|| {t.type}" + (f", {plain(t.category)[:20]}, {t.severity}" if t.category else "") for t in shown]
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(str(t.type) for t in terms).items()))
        embed = discord.Embed(title=f"Terms of this server ({counts})", description="\n".join(lines)[:4096])
        embed.set_footer(text=f"Page {page} of {-(-len(terms) // PAGE)}")
        await interaction.followup.send(embed=embed, ephemeral=True)

    @app_commands.command(description="Try a text or a recording: would it flag, and why")
    @app_commands.describe(text="What somebody might say", audio="A recording of somebody saying it; its first minute is listened to")
    async def test(
        self,
        interaction: discord.Interaction,
        text: app_commands.Range[str, 1, 1000] | None = None,
        audio: discord.Attachment | None = None,
    ) -> None:
        """Dry run; nobody is alerted."""
        session = Session("dry-run", interaction.guild_id or 0, interaction.channel_id or 0, interaction.created_at)
        if (text is None) == (audio is None):
            raise InvalidInput("Give either a text or a recording to try.")
        if audio is not None and audio.size > audio_trial.MAX_BYTES:
            raise InvalidInput(f"The recording is larger than {audio_trial.MAX_BYTES:,} bytes, the most that can be tried. Cut it.")
        await interaction.response.defer(ephemeral=True, thinking=True)
        if text is not None:
            await interaction.followup.send(embed=dry_run(await self._lexicon.test(session, text)), ephemeral=True)
        elif audio is not None:
            run = await self._audio.run(session, await audio.read())
            await interaction.followup.send(embed=audio_run(run), ephemeral=True)

    @app_commands.command(description="Which terms can the speech model not hear?")
    async def coverage(self, interaction: discord.Interaction) -> None:
        """Counts and pages of the terms with words outside the model's vocabulary."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await CoverageView(interaction, await self._lexicon.coverage(interaction.guild_id or 0)).show()

    @app_commands.command(name="import", description="Add the terms of a file; shows first what would change")
    @app_commands.describe(file="A word list of at most 1 MB", format="What kind of list it is; by default the file's ending says it")
    async def import_(
        self,
        interaction: discord.Interaction,
        file: discord.Attachment,
        format: Literal["json", "csv", "text", "surge", "dsojevic"] | None = None,
    ) -> None:
        """Read a list and ask before anything changes."""
        if file.size > term_exchange.MAX_BYTES:
            raise InvalidInput(f"The file is larger than {term_exchange.MAX_BYTES:,} bytes, the most that can be imported. Split it.")
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._confirm(interaction, await self._exchange.read(await file.read(), file.filename, format), "The file")

    @app_commands.command(description="Add a ready-made set of terms; shows first what would change")
    async def preset(self, interaction: discord.Interaction, name: str) -> None:
        """The same with a list that comes along."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._confirm(interaction, await self._exchange.preset(name.strip()), "The preset")

    @preset.autocomplete("name")
    async def _presets(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        names = [name for name in await self._exchange.presets() if current.casefold() in name.casefold()]
        return [app_commands.Choice(name=name, value=name) for name in names[:MAX_CHOICES]]

    @app_commands.command(description="Get this server's own terms as a file that /lexicon import reads")
    async def export(self, interaction: discord.Interaction) -> None:
        """The guild's own terms as JSON."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        data = await self._exchange.export(interaction.guild_id or 0)
        file = discord.File(io.BytesIO(data), filename=f"lexicon-{interaction.guild_id}.json")
        count = len(await self._lexicon.terms(interaction.guild_id or 0))
        text = f"{count:,} terms of this server. The file names them openly: keep it among moderators."
        await interaction.followup.send(text, file=file, ephemeral=True)

    async def _confirm(self, interaction: discord.Interaction, reading: Reading, what: str) -> None:
        change = await self._exchange.plan(interaction.guild_id or 0, reading.terms)
        embed = change_embed(change, reading.left_out, what)
        if change.put:
            await ConfirmView(interaction, self._exchange, reading.terms).show(embed)
        else:
            await interaction.followup.send(embed=embed, ephemeral=True)
