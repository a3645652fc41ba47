"""Per-guild settings: what a server's moderators may change by command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuildSettings:
    """One guild's choices; the defaults are what a server gets that never chose."""

    guild_id: int
    alert_channel_id: int | None = None
    """Where alert cards go; None: nowhere yet, `/alerts channel` sets it."""
    alert_severity: int = 4
    """Flags of this severity or more alert at once; below, they are reviews."""
    early_severity: int = 7
    """A term of this severity, stable over two partials, alerts before the sentence ends."""
    minimum_confidence: float = 0.5
    """Word confidence below which a flag is a review, never more."""
    cooldown_seconds: float = 20.0
    """Further flags of one speaker within this many media seconds grow the alert that is there."""
    context_seconds: float = 30.0
    """How far back the turns around an alert reach."""
    keep_evidence: bool = True
    """Whether alert cards carry the audio clip."""
