"""RTP layouts as Discord sends them, and everything else that arrives on the same socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.rtp import OVERHEAD, Kind, distance16, distance32, parse, strip
from tests.bot.voice.packets import LEVEL, rtp

pytestmark = pytest.mark.unit

FRAME = bytes(range(40, 72))
SEALED_TAIL = bytes(OVERHEAD)


def datagram(header: bytes, body: bytes) -> bytes:
    """As it looks on the wire; the body stands for its ciphertext, which is as long."""
    return header + body + SEALED_TAIL


@pytest.mark.parametrize("padding", [0, 1, 4, 255])
@pytest.mark.parametrize("extension", [b"", LEVEL, LEVEL * 3])
@pytest.mark.parametrize("csrcs", [0, 1, 15])
def test_every_combination_of_extension_padding_and_csrcs_yields_the_frame(padding: int, extension: bytes, csrcs: int) -> None:
    header, body = rtp(FRAME, ssrc=7, sequence=65535, timestamp=4294967295, extension=extension, padding=padding, csrcs=csrcs)
    parsed = parse(datagram(header, body))
    assert parsed == (7, 65535, 4294967295, len(header), len(extension), padding > 0)
    assert strip(body, len(extension), padding > 0) == FRAME


def test_the_marker_bit_is_not_part_of_the_payload_type() -> None:
    assert isinstance(parse(datagram(*rtp(FRAME, marker=True))), tuple)


def test_a_real_layout_byte_by_byte() -> None:
    header = bytes.fromhex("b078 0065 0000bf40 000007d1 bede 0001")
    body = bytes.fromhex("104a9001") + FRAME + bytes.fromhex("00000004")
    data = datagram(header, body)
    assert len(data) == 76
    assert parse(data) == (2001, 101, 48960, 16, 4, True)
    assert strip(body, 4, True) == FRAME


def test_the_extension_goes_first_and_padding_is_counted_from_the_decrypted_end() -> None:
    assert strip(LEVEL + b"frame" + bytes([0, 0, 3]), 4, True) == b"frame"
    assert strip(LEVEL + b"frame", 4, False) == b"frame"


def test_a_packet_of_padding_only_is_empty() -> None:
    assert strip(LEVEL + bytes(9) + bytes([10]), 4, True) == b""
    assert strip(LEVEL, 4, False) == b""


@pytest.mark.parametrize("plain", [b"", LEVEL + b"frame\x00", LEVEL + b"frame\x0b", LEVEL + b"\xff"])
def test_padding_that_cannot_be_is_refused(plain: bytes) -> None:
    assert strip(plain, 4, True) is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (bytes([0x80, 200, 0, 6]) + bytes(40), Kind.RTCP),
        (bytes([0x81, 201, 0, 7]) + bytes(40), Kind.RTCP),
        (bytes([0x81, 206, 0, 2]) + bytes(24), Kind.RTCP),
        (datagram(*rtp(FRAME, payload_type=101)), Kind.VIDEO),
        (datagram(*rtp(FRAME, payload_type=105, marker=True)), Kind.VIDEO),
        (datagram(*rtp(FRAME, payload_type=102)), Kind.RTX),
        (datagram(*rtp(FRAME, payload_type=111)), Kind.OTHER_MEDIA),
        (bytes.fromhex("00020046000007d1") + bytes(66), Kind.DISCOVERY),
        (bytes.fromhex("00010046000007d1") + bytes(66), Kind.DISCOVERY),
        ((5).to_bytes(8, "little"), Kind.KEEPALIVE),
        (b"\x80\x78" + bytes(6), Kind.KEEPALIVE),
        (b"", Kind.JUNK),
        (b"\x80", Kind.JUNK),
        (bytes(74), Kind.JUNK),
        (b"\x40" + bytes(80), Kind.JUNK),
    ],
)
def test_what_carries_no_voice_is_named(data: bytes, kind: Kind) -> None:
    assert parse(data) is kind


def test_every_truncation_of_a_voice_packet_is_no_voice_packet() -> None:
    data = datagram(*rtp(b"", csrcs=2, extension=LEVEL * 2))
    assert isinstance(parse(data), tuple)
    for length in range(len(data)):
        assert parse(data[:length]) in (Kind.JUNK, Kind.KEEPALIVE)


@given(st.binary(max_size=200))
def test_parsing_never_raises_and_never_promises_more_than_is_there(data: bytes) -> None:
    parsed = parse(data)
    if isinstance(parsed, tuple):
        assert parsed[3] + parsed[4] + OVERHEAD <= len(data)


@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
def test_stripping_never_raises(plain: bytes, extension: int, padded: bool) -> None:
    frame = strip(plain, extension, padded)
    assert frame is None or frame in plain


@given(st.integers(0, 0xFFFF), st.integers(-0x8000, 0x7FFF))
def test_sequence_distance_across_the_wrap(start: int, distance: int) -> None:
    assert distance16((start + distance) & 0xFFFF, start) == distance


@given(st.integers(0, 0xFFFFFFFF), st.integers(-0x80000000, 0x7FFFFFFF))
def test_timestamp_distance_across_the_wrap(start: int, distance: int) -> None:
    assert distance32((start + distance) & 0xFFFFFFFF, start) == distance
