"""How products look in Discord. Pure functions; names neither format nor mention."""

import re
from collections.abc import Sequence

import discord
from discord import app_commands
from discord.utils import format_dt

from moderation.catalogue import Catalogue
from moderation.product_index import MAX_CHOICE, Page, choice
from moderation.products import Product

MAX_SHOWN = 120
"""Characters of a name in a list: ten of them are within an embed's 4096, escapes included."""
_SIGNS = re.compile(r"[!-/:-@\[-`{-~]")
"""All of ASCII's punctuation: besides Markdown, Discord makes dates, channels, mentions and links of it unless a backslash is before it."""


def name_of(product: Product, most: int = MAX_SHOWN) -> str:
    """The name as text that neither formats nor mentions."""
    name = product.name if len(product.name) <= most else f"{product.name[: most - 1]}…"
    return _literal(name)


def added(product: Product) -> str:
    """That it is there now."""
    return f"Added **{name_of(product, 255)}** at **{product.price}**."


def priced(product: Product) -> str:
    """What it costs."""
    return f"**{name_of(product, 255)}** costs **{product.price}**."


def removal(product: Product) -> str:
    """The question before it is removed."""
    return f"Remove **{name_of(product, 255)}**, which costs **{product.price}**? It cannot be undone."


def removed(product: Product) -> str:
    """That it is gone."""
    return f"**{name_of(product, 255)}** is removed."


def page_embed(catalogue: Catalogue, page: Page, search: str, number: int, pages: int) -> discord.Embed:
    """One page of a search. `number`: of the page, from 1."""
    found = f"{page.total:,} product{'s' * (page.total != 1)}"
    title = f"{found} with “{_literal(search[:80])}”" if search else found
    lines = [f"{name_of(product)} · **{product.price}**" for product in page.products]
    nothing = "No name contains that. `/product list` without a search shows all." if search else "`/product add` adds the first."
    embed = discord.Embed(title=title, description="\n".join(lines) or nothing, colour=discord.Colour.blue())
    if catalogue.stale_since is not None:
        since = format_dt(catalogue.stale_since, "R")
        embed.colour = discord.Colour.orange()
        embed.add_field(name="May be out of date", value=f"{catalogue.store_name} is away; this is what it held {since}.")
    if pages > 1:
        embed.set_footer(text=f"Page {number} of {pages}")
    return embed


def _literal(text: str) -> str:
    return _SIGNS.sub(r"\\\g<0>", text)


def choices(products: Sequence[Product]) -> list[app_commands.Choice[str]]:
    """Suggestions; a name that is too long for one is shown in part and stands behind an id."""
    made: dict[str, app_commands.Choice[str]] = {}
    for product in products:
        label = _label(product, "")
        if label in made:  # long names that begin alike
            label = _label(product, f" ({len(made) + 1})")
        made[label] = app_commands.Choice(name=label, value=choice(product))
    return list(made.values())


def _label(product: Product, more: str) -> str:
    end = f"{more} · {product.price}"
    room = MAX_CHOICE - len(end)
    name = product.name
    if _units(name) > room:
        name = name[: room - 1]
        while _units(name) > room - 1:
            name = name[:-1]
        name += "…"
    return name + end


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
