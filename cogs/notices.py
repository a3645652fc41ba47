"""How a notice to moderators looks. Pure."""

import discord

from moderation.notices import Grade, Notice

COLOURS = {
    Grade.TROUBLE: discord.Colour.red(),
    Grade.MENDED: discord.Colour.green(),
    Grade.ENDED: discord.Colour.orange(),
}


def notice_card(notice: Notice) -> discord.Embed:
    """One embed; its text is within Discord's 4096 characters."""
    return discord.Embed(title=notice.title, description=notice.text[:4096], colour=COLOURS[notice.grade])
