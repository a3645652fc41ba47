"""How a live call fares, as the core and the front desks see it."""

from dataclasses import dataclass

from moderation.models import Speaker


@dataclass(frozen=True, slots=True)
class Unheard:
    """Somebody who speaks and cannot be heard."""

    speaker: Speaker
    """Id 0: it cannot be told who."""
    seconds: float
    """For how long now."""
    silent: bool = False
    """Nothing arrives of them, although they seem to speak; otherwise what arrives cannot be decrypted."""


@dataclass(frozen=True, slots=True)
class CallHealth:
    """How a voice connection fares, for status commands, metrics and the supervisor."""

    connected: bool
    latency: float
    """Seconds of the last voice heartbeat's round trip; infinite before the first."""
    dave_version: int
    """0: the call is not end-to-end encrypted."""
    dave_epoch: int | None
    privacy_code: str | None
    """What members can compare in Discord's client (Voice Details)."""
    reconnects: int
    recoveries: int
    """How often DAVE's keys were lost and asked for anew."""
    deaf: bool
    """Somebody speaks and cannot be heard, in spite of a remedy that was tried."""
    queued: int
    dropped: int
    """Frames lost because the pipeline was too slow for the queue."""
    listening: bool
    """False between joining or moving and having told the members."""
    channel_id: int
    """Where the bot is now: a moderator may have moved it. 0 before it connects."""
    channel_name: str
    """For moderators' eyes only: never logged."""
    received: int
    """Voice packets so far."""
    lost: int
    """Voice packets known to be missing."""
    server_deafened: bool
    """A moderator deafened the bot: Discord sends it nothing."""
    unheard: tuple[Unheard, ...] = ()

    @property
    def loss(self) -> float:
        """Lost ÷ sent, 0..1."""
        sent = self.received + self.lost
        return self.lost / sent if sent else 0.0
