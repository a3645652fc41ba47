"""`/product`: the catalogue of products and their prices, one for all servers of this bot."""

import discord
from discord import app_commands
from discord.ext import commands

from cogs.product_embeds import added, choices, priced
from cogs.product_views import ProductPages, RemoveProduct
from moderation.catalogue import Catalogue

PRICE = "Digits with a point before the decimals, such as 9.99"


@app_commands.guild_only()
@app_commands.default_permissions(manage_guild=True)
class Products(commands.GroupCog, group_name="product", group_description="Products and their prices"):
    """Slash commands about the catalogue. What changes it may take seconds: a warehouse answers."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @app_commands.command(description="Add a product")
    @app_commands.describe(name="At most 255 characters", price=PRICE)
    async def add(self, interaction: discord.Interaction, name: app_commands.Range[str, 1, 300], price: str) -> None:
        """Add a product that is not there yet."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        product = await self._catalogue.add(name, price)
        await interaction.followup.send(added(product), ephemeral=True)

    @app_commands.command(name="list", description="Show products and their prices")
    @app_commands.describe(search="Only those with this in their name")
    async def list_(self, interaction: discord.Interaction, search: app_commands.Range[str, 1, 255] | None = None) -> None:
        """Pages of the products, by name."""
        await ProductPages(interaction, self._catalogue, search or "").show()

    @app_commands.command(description="Set a product's price; without one, show it")
    @app_commands.describe(name="The product", price=PRICE)
    async def price(self, interaction: discord.Interaction, name: str, price: str | None = None) -> None:
        """Set the price of a product that is there, or show it."""
        if price is None:
            await interaction.response.send_message(priced(self._catalogue.find(name)), ephemeral=True)
            return
        await interaction.response.defer(ephemeral=True, thinking=True)
        product = await self._catalogue.set_price(name, price)
        await interaction.followup.send(f"Saved: {priced(product)}", ephemeral=True)

    @app_commands.command(description="Remove a product; asks first")
    @app_commands.describe(name="The product")
    async def remove(self, interaction: discord.Interaction, name: str) -> None:
        """Ask, then remove."""
        await RemoveProduct(interaction, self._catalogue, self._catalogue.find(name)).show()

    @price.autocomplete("name")
    @remove.autocomplete("name")
    async def _names(self, interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return choices(self._catalogue.suggest(current))
