"""What stands on alert cards in place of what a member had deleted. Pure functions."""

import discord

from cogs.embeds import AROUND


def removed_card() -> discord.Embed:
    """Stands where a card, or a notice, was about somebody who had their data deleted."""
    text = "The content of this message was removed at the member's request. Nothing of it is kept."
    return discord.Embed(title="Removed", description=text, colour=discord.Colour.light_grey())


def without_context(card: discord.Embed) -> discord.Embed:
    """The card of somebody else's alert, without the turns around it: one of them was said by whoever had their data deleted."""
    kept = card.copy()
    for index, field in enumerate(kept.fields):
        if field.name == AROUND:
            kept.set_field_at(index, name=AROUND, value="Removed at the request of a member quoted here.", inline=False)
    return kept
