"""Lists that fit where Discord shows them."""

from collections.abc import Sequence

from cogs.embeds import MAX_FIELD


def listed(lines: Sequence[str], most: int) -> str:
    """The lines, one below the other, in at most `most` characters: whole lines, and how many were left out."""
    kept, room = list[str](), most - len("\nand 9,999 more")
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return "\n".join([*kept, f"and {len(lines) - len(kept):,} more"])
        kept.append(line)
    return "\n".join(kept)


def bullets(lines: Sequence[str]) -> str:
    """As the value of a field."""
    return listed([f"• {line}" for line in lines], MAX_FIELD) or "Everybody who may be heard is heard."
