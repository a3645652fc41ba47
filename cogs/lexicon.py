"""`/lexicon`: a server's own terms."""

from collections import Counter

import discord
from discord import app_commands
from discord.ext import commands

from cogs.embeds import masked, plain
from moderation.errors import NotFound
from moderation.models import Level, Session
from moderation.services import DryRun, LexiconService
from moderation.terms import Term, TermType

PAGE = 40
"""Terms a page of `/lexicon list` shows."""
MAX_CHOICES = 25
"""Choices an autocomplete may offer (Discord docs)."""


@app_commands.guild_only()
@app_commands.default_permissions(manage_guild=True)
class Lexicon(commands.GroupCog, group_name="lexicon", group_description="Words and phrases to flag in this server"):
    """Slash commands about a guild's terms."""

    def __init__(self, lexicon: LexiconService) -> None:
        self._lexicon = lexicon

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
        """Add a term; words with spaces are phrases unless said otherwise."""
        type_ = kind or (TermType.PHRASE if " " in term.strip() else TermType.WORD)
        await self._lexicon.add(interaction.guild_id or 0, Term(term.strip(), type_, "" if type_ is TermType.ALLOW else category, severity))
        what = "never flags" if type_ is TermType.ALLOW else f"flags as {plain(category)}, severity {severity}"
        await interaction.response.send_message(f"||{plain(term)}|| now {what}. Sessions that are going on use it at once.", ephemeral=True)

    @app_commands.command(description="Remove one of this server's own terms")
    async def remove(self, interaction: discord.Interaction, term: str) -> None:
        """Remove a term."""
        if not await self._lexicon.remove(interaction.guild_id or 0, term.strip()):
            raise NotFound("This server has no such term of its own. `/lexicon list` shows what it has; terms of the shared lexicon stay.")
        await interaction.response.send_message(f"||{plain(term)}|| is removed.", ephemeral=True)

    @remove.autocomplete("term")
    async def _own_terms(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        terms = await self._lexicon.terms(interaction.guild_id or 0)
        fitting = [t.term for t in terms if current.casefold() in t.term.casefold() and len(t.term) <= 100]
        return [app_commands.Choice(name=t, value=t) for t in fitting[:MAX_CHOICES]]

    @app_commands.command(name="list", description="Show this server's own terms")
    async def list_(self, interaction: discord.Interaction, page: app_commands.Range[int, 1, 1000] = 1) -> None:
        """One page of the terms."""
        terms = await self._lexicon.terms(interaction.guild_id or 0)
        if not terms:
            await interaction.response.send_message("This server has no terms of its own; the shared lexicon applies.", ephemeral=True)
            return
        shown = terms[(page - 1) * PAGE : page * PAGE]
        if not shown:
            raise NotFound(f"There are {-(-len(terms) // PAGE)} pages.")
        lines = [f"||{plain(t.term)[:60]}|| {t.type}" + (f", {plain(t.category)[:20]}, {t.severity}" if t.category else "") for t in shown]
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(str(t.type) for t in terms).items()))
        embed = discord.Embed(title=f"Terms of this server ({counts})", description="\n".join(lines)[:4096])
        embed.set_footer(text=f"Page {page} of {-(-len(terms) // PAGE)}")
        await interaction.response.send_message(embed=embed, ephemeral=True)

    @app_commands.command(description="Try a text: would it flag, and why")
    async def test(self, interaction: discord.Interaction, text: app_commands.Range[str, 1, 1000]) -> None:
        """Dry run; nobody is alerted."""
        guild_id = interaction.guild_id or 0
        session = Session("dry-run", guild_id, interaction.channel_id or 0, interaction.created_at)
        run = await self._lexicon.test(session, text)
        await interaction.response.send_message(embed=_dry_run(run), ephemeral=True)


def _dry_run(run: DryRun) -> discord.Embed:
    outcome = {Level.NONE: "would not flag", Level.REVIEW: "would be noted for review, no alert", Level.ALERT: "would alert"}[
        run.verdict.level
    ]
    embed = discord.Embed(title=f"This {outcome}", description=masked(run.segment, run.verdict.flags)[:4000])
    for flag in run.verdict.flags[:20]:
        words = plain(run.segment.text[flag.span.start_char : flag.span.end_char])[:60]
        embed.add_field(name=f"{plain(flag.category)[:50]}, severity {flag.severity}", value=f"||{words}|| by {flag.detector}")
    embed.set_footer(text=f"Score {run.verdict.score:.2f}")
    return embed
