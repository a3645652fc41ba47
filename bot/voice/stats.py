"""What became of every packet: counters per speaker and per call, and frozen snapshots of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from bot.voice.dave import Refusal
from bot.voice.rtp import CLOCK_RATE, Kind
from moderation.models import BYTES_PER_SECOND


class Drop(StrEnum):
    """Why a voice packet that belongs to no known speaker was dropped."""

    DEAF = "deaf"
    """The bot does not listen (yet)."""
    NO_TRANSPORT = "no-transport"
    """No transport key yet."""
    TRANSPORT_REFUSED = "transport-refused"
    """Forged, damaged, or under an old key."""
    MALFORMED = "malformed"
    """Opened, but its padding cannot be."""
    UNMAPPED = "unmapped"
    """Nobody said in time whose SSRC it was."""


@dataclass(slots=True)
class SpeakerCounters:
    """One speaker's running counters, written on the hot path."""

    received: int = 0
    silence: int = 0
    padding: int = 0
    decrypted: int = 0
    refused: int = 0
    unmapped: int = 0
    late: int = 0
    duplicate: int = 0
    stray: int = 0
    lost: int = 0
    decoded: int = 0
    recovered: int = 0
    concealed: int = 0
    undecodable: int = 0
    abandoned: int = 0
    heard_bytes: int = 0
    spoken_ticks: int = 0
    failed: Counter[Refusal] = field(default_factory=Counter)

    def snapshot(self) -> "SpeakerStats":
        """Their values now."""
        return SpeakerStats(
            received=self.received,
            silence=self.silence,
            padding=self.padding,
            decrypted=self.decrypted,
            refused=self.refused,
            unmapped=self.unmapped,
            late=self.late,
            duplicate=self.duplicate,
            stray=self.stray,
            lost=self.lost,
            decoded=self.decoded,
            recovered=self.recovered,
            concealed=self.concealed,
            undecodable=self.undecodable,
            abandoned=self.abandoned,
            failed=MappingProxyType(dict(self.failed)),
            seconds_heard=self.heard_bytes / BYTES_PER_SECOND,
            seconds_spoken=self.spoken_ticks / CLOCK_RATE,
        )


@dataclass(frozen=True, slots=True)
class SpeakerStats:
    """What became of one speaker's packets so far."""

    received: int
    """Voice packets whose transport encryption opened, of this speaker, silence and padding among them."""
    silence: int
    """Silence frames."""
    padding: int
    """Packets of padding only."""
    decrypted: int
    """Frames that DAVE opened, or that were legally plain."""
    refused: int
    """Packets that were not decrypted because this speaker may not be heard."""
    unmapped: int
    """Of `received`: those that waited until it was known whose they were."""
    late: int
    """Came after their place was given up; they are in `lost` too."""
    duplicate: int
    stray: int
    """Far out of order, and no packet followed."""
    lost: int
    """Did not come in time."""
    decoded: int
    """Opus packets decoded."""
    recovered: int
    """Lost frames restored from the redundancy in the next packet."""
    concealed: int
    """Lost frames made up by the decoder."""
    undecodable: int
    """Frames that were no Opus."""
    abandoned: int
    """Packets that waited for something when the bot was reconnected or told to stop listening."""
    failed: Mapping[Refusal, int]
    """Frames that could not be decrypted, by reason."""
    seconds_heard: float
    """Audio handed on that the speaker really sent: decoded or recovered, not concealed, in seconds."""
    seconds_spoken: float
    """RTP time this speaker is known to have sent, heard or not, without silence frames, in seconds."""


@dataclass(frozen=True, slots=True)
class CallStats:
    """What became of datagrams that no speaker counts."""

    datagrams: int
    """All that came."""
    ignored: Mapping[Kind, int]
    """Datagrams that carry no voice, by kind."""
    dropped: Mapping[Drop, int]
    """Voice packets of nobody in particular, by reason."""
    trials: int
    """How often it was tried to tell a speaker by whose key fits."""
    identified: int
    """How often that succeeded."""
