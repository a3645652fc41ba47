"""Watched channels and the bot's seat in a server: values that outlive a restart."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """A channel to be joined while people are in it."""

    guild_id: int
    channel_id: int
    uncovered_seconds: float = 0.0
    """With people in it and nobody listening."""
    down_seconds: float = 0.0
    """In which the bot did not run."""
    counted_since: datetime | None = None
    """UTC; None: not counted yet."""
    counted_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """Where the bot listens, or tries to."""

    guild_id: int
    channel_id: int
    channel_name: str = ""
    """For moderators' eyes only: never logged."""
    by_watch: bool = False
    """It joined by itself, so it may switch to a more important channel by itself."""


@dataclass(frozen=True, slots=True)
class WatchedReport:
    """How a watched channel fared."""

    channel_id: int
    people: int
    """There now, bots not counted."""
    uncovered_seconds: float
    """With people in it and nobody listening."""
    down_seconds: float
    """In which the bot did not run: whether people were there, nobody knows."""
    since: datetime
    """Since when both are counted."""
    held: bool
    """A moderator sent the bot away; it waits until everybody has left."""
    refused_since: datetime | None = None
    """Since when the bot could not enter it; None: nothing stands in the way."""
    refused_why: str = ""
    """A sentence; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of entering a channel."""

    why: str
    """A sentence, with what to do."""
    lasting: bool
    """It stays until somebody changes the server; otherwise people who leave are enough."""


def choose(order: Sequence[int], people: Mapping[int, int], held: AbstractSet[int], current: int | None) -> int | None:
    """The channel to be in: the first in `order` with people that is not held; `current` (None: not in one) when nothing is better."""
    wanted = next((channel for channel in order if people.get(channel, 0) and channel not in held), None)
    if wanted is None or current is None:
        return wanted if current is None else current
    if people.get(current, 0) and (current not in order or order.index(current) <= order.index(wanted)):
        return current
    return wanted
