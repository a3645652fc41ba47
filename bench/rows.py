"""One row of the benchmark table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A figure, and the same figure of a peer measured in the same run."""

    name: str
    value: float
    unit: str
    peer: str = ""
    """Who else was measured, and its figure."""
    ratio: float | None = None
    """Ours ÷ the peer's; below 1 is less (time, memory) than the peer."""
