"""The buttons beneath answers of `/product`."""

import discord

from cogs.askers import AskersView
from cogs.product_embeds import page_embed, removal, removed
from moderation.catalogue import Catalogue
from moderation.products import Product

PAGE = 10
"""Products a page shows."""


class ProductPages(AskersView):
    """Pages of a search, each read anew when it is turned to."""

    def __init__(self, asked: discord.Interaction, catalogue: Catalogue, search: str) -> None:
        super().__init__(asked)
        self._catalogue = catalogue
        self._search = search
        self._cursors: list[str | None] = [None]
        """What asks for each page up to the one that is shown."""

    async def show(self) -> None:
        """Answer the command; one page needs no buttons."""
        embed = self._embed()
        if self._next.disabled:
            await self._asked.response.send_message(embed=embed, ephemeral=True)
        else:
            await self._asked.response.send_message(embed=embed, view=self, ephemeral=True)

    @discord.ui.button(label="Back", custom_id="product-list-back", disabled=True)
    async def _back(self, interaction: discord.Interaction, _: discord.ui.Button["ProductPages"]) -> None:
        self._cursors.pop()
        await interaction.response.edit_message(embed=self._embed(), view=self)

    @discord.ui.button(label="Next", custom_id="product-list-next")
    async def _next(self, interaction: discord.Interaction, _: discord.ui.Button["ProductPages"]) -> None:
        self._cursors.append(self._following)
        await interaction.response.edit_message(embed=self._embed(), view=self)

    def _embed(self) -> discord.Embed:
        page = self._catalogue.search(self._search, PAGE, self._cursors[-1])
        self._following = page.cursor
        self._back.disabled = len(self._cursors) == 1
        self._next.disabled = page.cursor is None
        return page_embed(self._catalogue, page, self._search, len(self._cursors), max(len(self._cursors), -(-page.total // PAGE)))


class RemoveProduct(AskersView):
    """Nothing is removed before somebody says yes."""

    def __init__(self, asked: discord.Interaction, catalogue: Catalogue, product: Product) -> None:
        super().__init__(asked)
        self._catalogue = catalogue
        self._product = product

    async def show(self) -> None:
        """Ask."""
        await self._asked.response.send_message(removal(self._product), view=self, ephemeral=True)

    @discord.ui.button(label="Remove", style=discord.ButtonStyle.danger, custom_id="product-remove")
    async def _remove(self, interaction: discord.Interaction, _: discord.ui.Button["RemoveProduct"]) -> None:
        await interaction.response.defer()
        await self._catalogue.remove(self._product.name)
        self.stop()
        await interaction.edit_original_response(content=removed(self._product), view=None)

    @discord.ui.button(label="Keep", custom_id="product-keep")
    async def _keep(self, interaction: discord.Interaction, _: discord.ui.Button["RemoveProduct"]) -> None:
        self.stop()
        await interaction.response.edit_message(content="Nothing was removed.", view=None)
