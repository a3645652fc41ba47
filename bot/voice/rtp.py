"""RTP as Discord sends it (RFC 3550, header extensions RFC 8285, `…_rtpsize` transport encryption).

0      V=2 (0xC0) | P 0x20 | X 0x10 | CC 0x0F
1      marker 0x80 | payload type               120 is Opus
2-3    sequence          4-7 timestamp (48 kHz)          8-11 SSRC          12.. CC x 4 bytes CSRC
then, if X: profile, u16 length in words        in clear; the extension's body is encrypted
------ header_length bytes up to here are additional data, the rest is sealed ------
[if X: extension body] [frame] [if P: padding whose last byte is its length] | tag 16 | nonce counter 4
"""

from enum import StrEnum
from struct import Struct

CLOCK_RATE = 48_000
"""Hz of RTP timestamps: fixed for Opus (RFC 7587 section 4.1), whatever the audio's bandwidth."""

OPUS = 120
"""Payload type that Discord gives Opus."""

OVERHEAD = 20
"""Bytes behind the frame: 16 of AEAD tag, 4 of nonce counter."""

_FIXED = Struct(">BBHII")


class Kind(StrEnum):
    """What a datagram that carries no voice is."""

    RTCP = "rtcp"
    VIDEO = "video"
    RTX = "rtx"
    OTHER_MEDIA = "other-media"
    """RTP of an unknown payload type."""
    DISCOVERY = "discovery"
    """IP discovery: 74 bytes, type 1 or 2, length 70 (Discord docs)."""
    KEEPALIVE = "keepalive"
    """8 bytes that some voice servers echo."""
    JUNK = "junk"
    """Nothing of the above, or truncated."""


VoiceHeader = tuple[int, int, int, int, int, bool]
"""The clear part of an RTP packet with Opus: (SSRC, sequence, timestamp, header length, extension length, padded).

Sequence has 16 bits, timestamp 32 at 48 kHz; both wrap. Header length: bytes in clear, authenticated: fixed header, CSRCs, extension
preamble. Extension length: bytes at the front of the decrypted part. Padded: whether that part ends in padding. A plain tuple, because
one is made for every packet.
"""


def parse(data: bytes) -> VoiceHeader | Kind:
    """The header of a voice packet, or what else the datagram is. Never raises."""
    size = len(data)
    if size < 12 + OVERHEAD:
        return _other(data)
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first & 0xC0 != 0x80 or second & 0x7F != OPUS:
        return _other(data)
    length = 12 + 4 * (first & 0x0F)
    extension = 0
    if first & 0x10:
        length += 4
        if size < length + OVERHEAD:
            return Kind.JUNK
        extension = 4 * (data[length - 2] << 8 | data[length - 1])
    if size < length + OVERHEAD + extension:
        return Kind.JUNK
    return ssrc, sequence, timestamp, length, extension, first & 0x20 != 0


_OTHER_MEDIA = {101 + n: Kind.RTX if n % 2 else Kind.VIDEO for n in range(10)}
"""Discord's clients number each video codec and its retransmissions in pairs from 101."""


def _other(data: bytes) -> Kind:
    size = len(data)
    if size == 8:
        return Kind.KEEPALIVE
    if size == 74 and data[:4] in (b"\x00\x01\x00\x46", b"\x00\x02\x00\x46"):
        return Kind.DISCOVERY
    if size < 8 or data[0] & 0xC0 != 0x80:
        return Kind.JUNK
    if 192 <= data[1] <= 223:  # RFC 5761 section 4: RTCP's packet types where both share a port
        return Kind.RTCP
    payload_type = data[1] & 0x7F
    return Kind.JUNK if payload_type == OPUS else _OTHER_MEDIA.get(payload_type, Kind.OTHER_MEDIA)


def strip(plain: bytes, extension: int, padded: bool) -> bytes | None:
    """The frame in a decrypted packet: `extension` bytes off the front, then padding off the end.

    Empty for a packet of padding only; None when the padding count is 0 or more than is there.
    """
    if not padded:
        return plain[extension:]
    count = plain[-1] if plain else 0
    if count == 0 or extension + count > len(plain):
        return None
    return plain[extension:-count]


def distance16(to: int, start: int) -> int:
    """Signed distance from sequence number `start` to `to`, -32768..32767, across the wrap."""
    return ((to - start + 0x8000) & 0xFFFF) - 0x8000


def distance32(to: int, start: int) -> int:
    """Signed distance from timestamp `start` to `to` in ticks, across the wrap."""
    return ((to - start + 0x80000000) & 0xFFFFFFFF) - 0x80000000
