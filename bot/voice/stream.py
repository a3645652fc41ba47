"""One SSRC: the order of its packets, its decoder, and where its RTP clock stands."""

from typing import TYPE_CHECKING, NamedTuple

from bot.voice.jitter import JitterBuffer
from bot.voice.opus import Decoder

if TYPE_CHECKING:
    from bot.voice.speaker import Speaker

USUAL_TICKS = 960
"""48 kHz ticks of an ordinary packet: 20 ms."""


class Packet(NamedTuple):
    """A voice packet after transport decryption. Where one need not wait, a plain tuple of the same shape does: it is made faster."""

    sequence: int
    timestamp: int
    payload: bytes
    """A frame; empty: the packet was padding only."""
    arrival: float
    """Monotonic seconds."""
    opened: bool = False
    """Whether the payload is Opus already: DAVE opens a frame only once."""


AnyPacket = tuple[int, int, bytes, float, bool]
"""A `Packet`, or a plain tuple of its shape."""


class Stream:
    """One SSRC of one speaker."""

    __slots__ = ("_decoder", "due", "gone", "jitter", "speaker", "ssrc", "ticks")

    def __init__(self, ssrc: int, speaker: "Speaker", jitter: JitterBuffer[Packet]) -> None:
        self.ssrc = ssrc
        self.speaker = speaker
        self.jitter = jitter
        self._decoder: Decoder | None = None
        self.due = -1
        """RTP timestamp that would continue the last decoded packet; -1 before the first, and after a restart."""
        self.ticks = USUAL_TICKS
        """48 kHz ticks of the last decoded packet."""
        self.gone = 0
        """Packets lost or unusable since the last decoded one."""

    @property
    def decoder(self) -> Decoder:
        """Made when it is first needed: members who never speak cost nothing."""
        if self._decoder is None:
            self._decoder = Decoder()
        return self._decoder

    def restart(self) -> None:
        """The sender began anew, with another encoder, sequence and clock."""
        self._decoder = None
        self.due = -1
        self.gone = 0

    def start_over(self) -> None:
        """Drop what waits for order, and take the next packet as it comes."""
        self.speaker.counters.abandoned += self.jitter.clear()
        self.gone = 0
