"""Watched channels and the bot's seat in a server: values that outlive a restart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watched:
    """A channel to be joined while people are in it."""

    guild_id: int
    channel_id: int


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
    held: bool
    """A moderator sent the bot away; it waits until everybody has left."""
