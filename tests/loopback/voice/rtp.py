"""RTP packets as Discord clients send them (RFC 3550; one-byte header extensions of RFC 8285)."""

import random
import struct
from dataclasses import dataclass

OPUS = 120
VIDEO = 101
RTX = 102
RTCP_SENDER_REPORT = 200
SAMPLES_PER_FRAME = 960
"""RTP clock ticks (48 kHz) of 20 ms."""
FRAME_SECONDS = 0.02
SILENCE = b"\xf8\xff\xfe"
"""Opus frame of silence; a client ends each stretch of speech with five of them (Discord docs)."""
SILENCE_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """What a human's packets look like. Shares are 0..1 of audio frames; defaults are what real Discord shows."""

    extension: bool = True
    padding: float = 0.1
    """Share of frames with RTP padding."""
    csrc: float = 0.02
    """Share of frames with one to three contributing sources."""
    marker: bool = True
    """Marker bit on the first frame after a pause."""
    padding_only: float = 0.0
    """Share of frames after which a packet of nothing but padding follows."""
    video: float = 0.0
    """Share of frames after which a camera packet (payload type 101) follows."""
    rtx: float = 0.0
    """Share of frames after which a retransmission packet (payload type 102) follows."""
    rtcp: float = 0.0
    """Share of frames after which an RTCP sender report follows."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet before transport encryption."""

    header: bytes
    """In clear: fixed header, CSRCs, and the extension's 4-byte preamble."""
    body: bytes
    """To be encrypted: extension, payload, padding."""


class Packetiser:
    """Builds one sender's audio packets and whatever else goes with them; reproducible by seed."""

    def __init__(self, ssrc: int, shape: Shape, rng: random.Random) -> None:
        self.ssrc = ssrc
        self.shape = shape
        self._rng = rng
        self.sequence = rng.randrange(1 << 16)
        self.timestamp = rng.randrange(1 << 32)
        self._video_sequence = rng.randrange(1 << 16)

    @property
    def video_ssrc(self) -> int:
        """SSRC of the camera's stream."""
        return self.ssrc + 1

    @property
    def rtx_ssrc(self) -> int:
        """SSRC of the camera's retransmissions."""
        return self.ssrc + 2

    def skip(self, frames: int) -> None:
        """Let media time pass without a packet."""
        self.timestamp = (self.timestamp + frames * SAMPLES_PER_FRAME) & 0xFFFFFFFF

    def audio(self, payload: bytes, *, first: bool = False) -> RtpPacket:
        """The next audio packet; `first`: of a stretch of speech."""
        shape, rng = self.shape, self._rng
        csrcs = rng.randint(1, 3) if rng.random() < shape.csrc else 0
        padding = rng.randint(1, 32) if rng.random() < shape.padding else 0
        packet = self._packet(OPUS, payload, self.ssrc, self.sequence, marker=first and shape.marker, csrcs=csrcs, padding=padding)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.skip(1)
        return packet

    def companions(self) -> list[RtpPacket]:
        """Packets that follow an audio packet by the shape's shares: padding only, video, retransmission, RTCP."""
        shape, rng = self.shape, self._rng
        found = []
        if rng.random() < shape.padding_only:
            found.append(self._packet(OPUS, b"", self.ssrc, self.sequence, marker=False, csrcs=0, padding=rng.randint(1, 255)))
            self.sequence = (self.sequence + 1) & 0xFFFF
        if rng.random() < shape.video:
            found.append(self._junk(VIDEO, self.video_ssrc))
        if rng.random() < shape.rtx:
            found.append(self._junk(RTX, self.rtx_ssrc))
        if rng.random() < shape.rtcp:
            found.append(self._report())
        return found

    def _junk(self, payload_type: int, ssrc: int) -> RtpPacket:
        self._video_sequence = (self._video_sequence + 1) & 0xFFFF
        payload = self._rng.randbytes(self._rng.randint(200, 1100))
        return self._packet(payload_type, payload, ssrc, self._video_sequence, marker=True, csrcs=0, padding=0)

    def _report(self) -> RtpPacket:
        """RTCP sender report (RFC 3550, section 6.4.1); Discord encrypts all but its first 8 bytes."""
        header = struct.pack(">BBHI", 0x80, RTCP_SENDER_REPORT, 6, self.ssrc)
        return RtpPacket(header, struct.pack(">QIII", self._rng.getrandbits(64), self.timestamp, self.sequence, 0))

    def _packet(self, payload_type: int, payload: bytes, ssrc: int, sequence: int, *, marker: bool, csrcs: int, padding: int) -> RtpPacket:
        extension = self._extension() if self.shape.extension else b""
        first = 0x80 | (0x20 if padding else 0) | (0x10 if extension else 0) | csrcs
        header = struct.pack(">BBHII", first, (0x80 if marker else 0) | payload_type, sequence, self.timestamp, ssrc)
        header += self._rng.randbytes(4 * csrcs)
        if extension:
            header += struct.pack(">HH", 0xBEDE, len(extension) // 4)
        tail = self._rng.randbytes(padding - 1) + bytes([padding]) if padding else b""
        return RtpPacket(header, extension + payload + tail)

    def _extension(self) -> bytes:
        """Audio level (id 1, RFC 6464) and Discord's id 9 in one word; sometimes a second word with a transport sequence number (id 5)."""
        level = bytes([0x10, 0x80 | self._rng.randint(20, 80), 0x90, 0x01])
        if self._rng.random() < 0.2:
            level += bytes([0x51]) + self._rng.randbytes(2) + b"\x00"
        return level


def header_size(datagram: bytes) -> int:
    """Length of the clear part of an RTP packet, in bytes."""
    return 12 + 4 * (datagram[0] & 0x0F) + (4 if datagram[0] & 0x10 else 0)
