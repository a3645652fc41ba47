"""`/predict text`: what the toxicity model makes of a text."""

import discord
from discord import app_commands
from discord.ext import commands

from cogs.embeds import plain
from moderation.predictor import MAX_TEXT, Prediction, Predictor


@app_commands.guild_only()
@app_commands.default_permissions(moderate_members=True)
class Predict(commands.GroupCog, group_name="predict", group_description="What the toxicity model makes of something"):
    """For moderators; what is asked about is not repeated."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @app_commands.command(name="text", description="How toxic the model finds a text; only you see the answer")
    @app_commands.describe(text="What to score")
    async def score(self, interaction: discord.Interaction, text: app_commands.Range[str, 1, MAX_TEXT]) -> None:
        """`/predict text`."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send(embed=prediction(await self._predictor.text(text)), ephemeral=True)


def prediction(found: Prediction) -> discord.Embed:
    """The answer."""
    embed = discord.Embed(
        title="Would be flagged" if found.flagged else "Would not be flagged",
        colour=discord.Colour.orange() if found.flagged else discord.Colour.green(),
    )
    embed.add_field(name="Score", value=f"{found.score:.2f} of 1")
    embed.add_field(name="Label", value=found.label)
    embed.add_field(name="Answered by", value=plain(found.provider))
    if found.categories:
        ranked = sorted(found.categories.items(), key=lambda item: -item[1])
        lines = "\n".join(f"{plain(name.replace('_', ' '))}: {score:.2f}" for name, score in ranked)
        embed.add_field(name="Categories", value=lines[:1024], inline=False)
    return embed
