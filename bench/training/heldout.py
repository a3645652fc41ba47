"""Texts kept for measuring: never learnt from, not used in choosing templates."""

from pathlib import Path
from typing import NamedTuple

HELDOUT = Path(__file__).parents[1] / "data" / "toxicity" / "heldout"


class Kept(NamedTuple):
    """A text and what it is."""

    text: str
    toxic: bool
    kind: str


def heldout(folder: Path = HELDOUT) -> dict[str, list[Kept]]:
    """Name of the set → its texts."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.txt"))}


def _read(path: Path) -> list[Kept]:
    found, label, kind = [], "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            label, _, kind = line[1:-1].partition(" ")
        elif line and not line.startswith("#"):
            found.append(Kept(line, label == "toxic", kind))
    return found
