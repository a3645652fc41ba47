"""Opus packets into an Ogg file, as they are: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), RFC 6716 (Opus).

PyAV's muxer is no help here: it makes an encoder to learn the header (`add_mux_stream` takes none), always writes that encoder's
pre-skip, cannot trim, and answers a gap with a jump of the granule position, which RFC 7845 §4.1 forbids and players ignore.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

RATE = 48_000
"""Hz: the clock of Opus and of granule positions, whatever rate was encoded (RFC 7845 §4)."""

SILENCE = b"\xf8\xff\xfe"
"""20 ms of silence (CELT, mono), as Discord's clients send it at the end of speech."""
SILENCE_SECONDS = 0.02

PRE_ROLL = 0.08
"""Seconds of packets before the first audible sample that let a decoder converge (RFC 7845 §4.6)."""

LONGEST_GAP = 1.0
"""Seconds of silence that stand for a longer pause."""

MAX_PACKET = 61_298
"""Bytes of the largest Opus packet there can be (RFC 7845 §6)."""

_MAX_SAMPLES = 5760
"""Samples in 120 ms, the longest packet (RFC 6716 §3.2.5)."""
_MAX_SKIP = 0xFFFF
_SILENCE_SAMPLES = 960
_JOINED = SILENCE_SECONDS / 2
"""Seconds between two packets below which there is no pause."""
_STEREO = 4
_BEGINS, _ENDS = 2, 4
"""Page flags (RFC 3533 §6)."""
_PAGE_SAMPLES = RATE
"""A page is finished once it holds a second: players seek by pages."""
_SEGMENTS = 255
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_FRAME_SAMPLES = (
    *([480, 960, 1920, 2880] * 3),  # 0..11: SILK
    *([480, 960] * 2),  # 12..15: hybrid
    *([120, 240, 480, 960] * 4),  # 16..31: CELT
)
"""Samples at 48 kHz in one frame, by configuration number (RFC 6716 §3.1, table 2)."""


@dataclass(frozen=True, slots=True)
class OpusPacket:
    """One packet of a speaker."""

    start: float
    """Seconds."""
    data: bytes


def packet_samples(data: bytes) -> int:
    """Samples at 48 kHz in an Opus packet, from its first bytes (RFC 6716 §3.1 and §3.2); 0 for what is none."""
    if not 0 < len(data) <= MAX_PACKET:
        return 0
    code = data[0] & 3
    count = (1, 2, 2, data[1] & 0x3F if len(data) > 1 else 0)[code]
    samples = _FRAME_SAMPLES[data[0] >> 3] * count
    return samples if samples <= _MAX_SAMPLES else 0


def mux(packets: Iterable[OpusPacket], *, start: float = -math.inf, end: float = math.inf) -> bytes | None:
    """An Ogg Opus file of packets in time order, without re-encoding; heard are the seconds from `start` to `end`, to the sample.

    What is no Opus packet is left out. Pauses become silence, at most `LONGEST_GAP` each; the file begins with sound. Packets from up
    to `PRE_ROLL` before `start` serve the decoder and are not heard.

    Returns:
        The file, or None where nothing would be heard.
    """
    found = [_Piece(p.start, p.data, samples) for p in packets if (samples := packet_samples(p.data)) and -math.inf < p.start < end]
    pieces, skip = _from(found, start)
    if not pieces:
        return None
    last = pieces[-1]
    pieces = list(_bridged(pieces))
    surplus = 0 if last.end <= end else min(round((last.end - end) * RATE), last.samples - 1)
    audible_end = sum(piece.samples for piece in pieces) - surplus
    if audible_end <= skip:
        return None
    channels = 2 if any(piece.data[0] & _STEREO for piece in pieces) else 1
    return b"".join(_pages(pieces, channels, skip, audible_end))


@dataclass(frozen=True, slots=True)
class _Piece:
    start: float
    data: bytes
    samples: int

    @property
    def end(self) -> float:
        return self.start + self.samples / RATE


def _from(pieces: Sequence[_Piece], start: float) -> tuple[Sequence[_Piece], int]:
    """The pieces from `start` on with those that lead in without a pause, and how many samples are not to be heard."""
    first = next((n for n, piece in enumerate(pieces) if piece.end > start), len(pieces))
    if first == len(pieces):
        return [], 0
    skip = round(max(0.0, (start - pieces[first].start) * RATE)) if math.isfinite(start) else 0
    lead = 0
    while first > 0 and lead < PRE_ROLL * RATE and abs(pieces[first].start - pieces[first - 1].end) < _JOINED:
        first -= 1
        lead += pieces[first].samples
    return pieces[first:], min(skip + lead, _MAX_SKIP)


def _bridged(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """With silence in the pauses. Rounding a pause to whole packets does not add up: the next one makes good for it."""
    at: float | None = None
    for piece in pieces:
        gap = 0.0 if at is None else piece.start - at
        fill = round(max(0.0, min(gap, LONGEST_GAP)) / SILENCE_SECONDS)
        for _ in range(fill):
            yield _Piece(piece.start, SILENCE, _SILENCE_SAMPLES)
        yield piece
        steady = at is not None and -SILENCE_SECONDS < gap <= LONGEST_GAP
        at = (at + fill * SILENCE_SECONDS if steady and at is not None else piece.start) + piece.samples / RATE


def _pages(pieces: Iterable[_Piece], channels: int, skip: int, audible_end: int) -> Iterator[bytes]:
    yield _page([_head(channels, skip)], granule=0, number=0, flags=_BEGINS)
    yield _page([_tags()], granule=0, number=1)
    number, granule = 2, 0
    waiting: list[bytes] = []
    segments = samples_waiting = 0
    for piece in pieces:
        needed = len(piece.data) // 255 + 1
        if waiting and (segments + needed > _SEGMENTS or samples_waiting >= _PAGE_SAMPLES):
            yield _page(waiting, granule=granule, number=number)
            number, waiting, segments, samples_waiting = number + 1, [], 0, 0
        waiting.append(piece.data)
        segments, samples_waiting, granule = segments + needed, samples_waiting + piece.samples, granule + piece.samples
    yield _page(waiting, granule=audible_end, number=number, flags=_ENDS)


def _head(channels: int, skip: int) -> bytes:
    """The identification header (RFC 7845 §5.1): version 1, no gain, mapping family 0."""
    return struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, skip, RATE, 0, 0)


def _tags() -> bytes:
    """The comment header (RFC 7845 §5.2): a vendor and no comments, so nobody's name."""
    vendor = b"Earshot"
    return b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)


def _page(packets: Sequence[bytes], *, granule: int, number: int, flags: int = 0) -> bytes:
    """A page that holds whole packets (RFC 3533 §6)."""
    lacing = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 1, number, 0, len(lacing)) + lacing + b"".join(packets)
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]


def checksum(page: bytes) -> int:
    """Ogg's CRC-32 (RFC 3533 §6: polynomial 0x04c11db7, no reflection, no inversion).

    zlib's has the same polynomial with both: reversing the bits of every byte and of the result, and undoing the inversions, gives Ogg's.
    """
    reflected = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
