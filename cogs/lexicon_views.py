"""The buttons and menus beneath answers of `/lexicon`."""

from collections.abc import Sequence

import discord

from cogs.askers import AskersView
from cogs.embeds import plain
from cogs.lexicon_embeds import change_embed, coverage_embed
from moderation.hearing import HearingReport, Offer
from moderation.lexicon_service import LexiconService
from moderation.term_exchange import TermExchange
from moderation.terms import Term

PAGE = 10
"""Terms a page of the coverage shows."""


class OfferView(AskersView):
    """Variants of a term that the model cannot hear: choose some, or add all."""

    def __init__(self, asked: discord.Interaction, lexicon: LexiconService, offers: Sequence[Offer]) -> None:
        super().__init__(asked)
        self._lexicon = lexicon
        self._offers = {offer.term.term: offer.term for offer in offers}
        self.add_item(_OfferMenu(list(self._offers)))

    async def show(self, text: str, embed: discord.Embed) -> None:
        """Answer the command."""
        await self._asked.followup.send(text, embed=embed, view=self, ephemeral=True)

    async def choose(self, interaction: discord.Interaction, texts: Sequence[str]) -> None:
        """Add those variants."""
        await self._add(interaction, [self._offers[text] for text in texts])

    @discord.ui.button(label="Add all", custom_id="lexicon-offer-all")
    async def _all(self, interaction: discord.Interaction, _: discord.ui.Button["OfferView"]) -> None:
        await self._add(interaction, list(self._offers.values()))

    @discord.ui.button(label="Add none", custom_id="lexicon-offer-none")
    async def _none(self, interaction: discord.Interaction, _: discord.ui.Button["OfferView"]) -> None:
        self.stop()
        await interaction.response.edit_message(embed=None, view=None)

    async def _add(self, interaction: discord.Interaction, terms: Sequence[Term]) -> None:
        await self._lexicon.add(self._guild_id, *terms)
        self.stop()
        added = ", ".join(f"||{plain(term.term)}||" for term in terms)
        await interaction.response.edit_message(
            content=f"Added as variants: {added}. `/lexicon remove` takes one back.", embed=None, view=None
        )


class _OfferMenu(discord.ui.Select[OfferView]):
    """Choose some variants."""

    def __init__(self, texts: Sequence[str]) -> None:
        options = [discord.SelectOption(label=text, value=text) for text in texts]
        super().__init__(custom_id="lexicon-offer-menu", placeholder="Add some of them", max_values=len(texts), options=options)

    async def callback(self, interaction: discord.Interaction) -> None:
        """Add what was chosen."""
        if self.view is not None:
            await self.view.choose(interaction, self.values)


class CoverageView(AskersView):
    """Pages of the terms that cannot be heard."""

    def __init__(self, asked: discord.Interaction, report: HearingReport) -> None:
        super().__init__(asked)
        self._report = report
        self._page = 0
        self._pages = max(1, -(-len(report.unheard) // PAGE))

    async def show(self) -> None:
        """Answer the command; one page needs no buttons."""
        if self._pages == 1:
            await self._asked.followup.send(embed=self._embed(), ephemeral=True)
        else:
            await self._asked.followup.send(embed=self._embed(), view=self, ephemeral=True)

    @discord.ui.button(label="Back", custom_id="lexicon-coverage-back", disabled=True)
    async def _back(self, interaction: discord.Interaction, _: discord.ui.Button["CoverageView"]) -> None:
        await self._turn(interaction, -1)

    @discord.ui.button(label="Next", custom_id="lexicon-coverage-next")
    async def _next(self, interaction: discord.Interaction, _: discord.ui.Button["CoverageView"]) -> None:
        await self._turn(interaction, 1)

    async def _turn(self, interaction: discord.Interaction, by: int) -> None:
        self._page = min(max(self._page + by, 0), self._pages - 1)
        self._back.disabled = self._page == 0
        self._next.disabled = self._page == self._pages - 1
        await interaction.response.edit_message(embed=self._embed(), view=self)

    def _embed(self) -> discord.Embed:
        shown = self._report.unheard[self._page * PAGE : (self._page + 1) * PAGE]
        return coverage_embed(self._report, shown, f"Page {self._page + 1} of {self._pages}, the worst first")


class ConfirmView(AskersView):
    """Nothing changes before somebody says yes."""

    def __init__(self, asked: discord.Interaction, exchange: TermExchange, terms: Sequence[Term]) -> None:
        super().__init__(asked)
        self._exchange = exchange
        self._terms = terms

    async def show(self, embed: discord.Embed) -> None:
        """Answer the command."""
        await self._asked.followup.send(embed=embed, view=self, ephemeral=True)

    @discord.ui.button(label="Apply", style=discord.ButtonStyle.primary, custom_id="lexicon-import-apply")
    async def _apply(self, interaction: discord.Interaction, _: discord.ui.Button["ConfirmView"]) -> None:
        await interaction.response.defer()
        change = await self._exchange.apply(self._guild_id, self._terms)
        self.stop()
        embed = change_embed(change, 0, "The import")
        embed.title = f"Done: {len(change.put):,} terms changed"
        embed.set_footer(text="Sessions that are going on use them at once. /lexicon coverage says which the model cannot hear.")
        await interaction.edit_original_response(embed=embed, view=None)

    @discord.ui.button(label="Cancel", custom_id="lexicon-import-cancel")
    async def _cancel(self, interaction: discord.Interaction, _: discord.ui.Button["ConfirmView"]) -> None:
        self.stop()
        await interaction.response.edit_message(content="Nothing was changed.", embed=None, view=None)
