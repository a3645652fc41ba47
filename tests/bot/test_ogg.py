"""Ogg Opus files: what is in them, and what players make of them."""

import contextlib
import struct
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.ogg import LONGEST_GAP, MAX_PACKET, RATE, SILENCE, OpusPacket, checksum, mux, packet_samples
from tests.bot.opus import Samples, decode_file, decode_packets, encode, speech, timed

pytestmark = pytest.mark.integration


@dataclass
class Page:
    flags: int
    granule: int
    number: int
    packets: list[bytes]


def pages(data: bytes) -> list[Page]:
    """A strict reader: whole packets only, checksums checked bit by bit."""
    found = []
    while data:
        magic, version, flags, granule, serial, number, crc, count = struct.unpack_from("<4sBBqIIIB", data)
        lacing = data[27 : 27 + count]
        size = 27 + count + sum(lacing)
        assert (magic, version, serial) == (b"OggS", 0, 1)
        assert crc == slow_checksum(data[:22] + bytes(4) + data[26:size])
        packets, at, length = [], 27 + count, 0
        for value in lacing:
            length += value
            if value < 255:
                packets.append(data[at : at + length])
                at, length = at + length, 0
        assert length == 0
        found.append(Page(flags, granule, number, packets))
        data = data[size:]
    return found


def slow_checksum(page: bytes) -> int:
    """As RFC 3533 describes it."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        value &= 0xFFFFFFFF
    return value


def loudness(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def correlation(a: Samples, b: Samples) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@given(st.binary(max_size=100))
def test_the_checksum_is_that_of_the_rfc(data: bytes) -> None:
    assert checksum(data) == slow_checksum(data)


@pytest.mark.parametrize(
    ("data", "milliseconds"),
    [
        (SILENCE, 20),
        (b"\x00", 10),
        (b"\x18", 60),
        (b"\x60", 10),
        (b"\x68", 20),
        (b"\x80", 2.5),
        (b"\xf9", 40),
        (b"\xfa\x00", 40),
        (b"\xfb\x03", 60),
        (b"\xfb\x86", 120),
        (b"\x83\x30", 120),
        (b"\xfb\x07", 0),
        (b"\xfb\x00", 0),
        (b"\xfb", 0),
        (b"", 0),
        (SILENCE + bytes(MAX_PACKET), 0),
    ],
)
def test_durations_come_from_the_table_of_contents(data: bytes, milliseconds: float) -> None:
    assert packet_samples(data) == milliseconds * RATE / 1000


@pytest.mark.parametrize("seconds", [0.0025, 0.005, 0.01, 0.02, 0.04, 0.06])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_of_all_packets_decodes_to_exactly_what_the_packets_do(seconds: float, channels: int) -> None:
    packets = encode(speech(channels=channels), seconds=seconds)
    data = mux(timed(packets, seconds=seconds))
    assert data is not None
    np.testing.assert_array_equal(decode_file(data), decode_packets(packets, channels=channels))
    assert loudness(decode_file(data)) > 0.01, "there is speech in it"


def test_the_pages_are_as_the_rfcs_want_them() -> None:
    packets = encode(speech(), bit_rate=510_000)
    data = mux(timed(packets))
    assert data is not None
    head, tags, *audio = pages(data)
    assert head.packets == [b"OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00"]
    assert tags.packets[0].startswith(b"OpusTags")
    assert [head.flags, tags.flags, *(p.flags for p in audio)] == [2, 0, *([0] * (len(audio) - 1)), 4]
    assert [p.number for p in pages(data)] == list(range(len(audio) + 2))
    assert [p for page in audio for p in page.packets] == packets
    done = np.cumsum([sum(map(packet_samples, page.packets)) for page in audio])
    assert [head.granule, tags.granule, *(p.granule for p in audio)] == [0, 0, *done]
    assert all(sum(map(packet_samples, page.packets)) <= RATE for page in audio)


@pytest.mark.parametrize(("start", "end"), [(1.0, 2.0), (0.513, 1.777), (1.0123, 1.0345), (0.0, 0.5), (0.03, 0.7)])
def test_a_cut_is_heard_from_start_to_end_to_the_sample(start: float, end: float) -> None:
    packets = encode(speech())
    data = mux(timed(packets), start=start, end=end)
    assert data is not None
    got, whole = decode_file(data), decode_packets(packets)[:, round(start * RATE) : round(end * RATE)]
    assert abs(got.shape[1] - whole.shape[1]) <= 1
    size = min(got.shape[1], whole.shape[1])
    assert correlation(got[:, :size], whole[:, :size]) > 0.99
    head = pages(data)[0].packets[0]
    assert struct.unpack_from("<H", head, 10)[0] >= min(0.08, start) * RATE, "the decoder converges before anything is heard"


def test_a_short_pause_is_silence_of_its_length() -> None:
    packets = encode(speech())[:100]
    data = mux([*timed(packets[:50]), *timed(packets[50:], 1.0 + 0.4)])
    assert data is not None
    got = decode_file(data)
    assert got.shape[1] == round(2.4 * RATE)
    assert loudness(got[:, round(1.1 * RATE) : round(1.38 * RATE)]) < 1e-4
    assert correlation(got[:, round(1.6 * RATE) :], decode_packets(packets)[:, round(1.2 * RATE) :]) > 0.99


def test_a_long_pause_is_shortened() -> None:
    packets = encode(speech())[:100]
    data = mux([*timed(packets[:50]), *timed(packets[50:], 500.0)])
    assert data is not None
    assert decode_file(data).shape[1] == round((2.0 + LONGEST_GAP) * RATE)


def test_rounded_pauses_do_not_add_up() -> None:
    gap = 0.029
    packets = [OpusPacket(n * (0.02 + gap), SILENCE) for n in range(200)]
    data = mux(packets)
    assert data is not None
    assert abs(pages(data)[-1].granule / RATE - (199 * (0.02 + gap) + 0.02)) < 0.02


def test_a_cut_that_begins_in_a_pause_begins_with_the_next_sound() -> None:
    packets = encode(speech())[:100]
    data = mux([*timed(packets[:50]), *timed(packets[50:], 10.0)], start=5.0, end=10.5)
    assert data is not None
    assert pages(data)[2].packets == packets[50:75]
    assert decode_file(data).shape[1] == round(0.5 * RATE)


def test_mono_and_stereo_in_one_clip_play() -> None:
    mono, stereo = encode(speech(channels=1))[:50], encode(speech())[50:100]
    data = mux(timed(mono + stereo))
    assert data is not None
    assert decode_file(data).shape == (2, 2 * RATE)


def test_packets_too_large_for_one_page_get_another() -> None:
    large = [b"\xfb\x06" + bytes([n]) * 40_000 for n in range(4)]
    data = mux(timed(large, seconds=0.12))
    assert data is not None
    assert [p.packets for p in pages(data)[2:]] == [[p] for p in large]


@pytest.mark.parametrize("length", [1, 254, 255, 256, 509, 510, 511])
def test_lacing_at_its_edges(length: int) -> None:
    packet = (b"\xfc" * length)[:length]
    data = mux([OpusPacket(0.0, packet)])
    assert data is not None
    assert pages(data)[2].packets == [packet]


def test_nothing_to_hear_is_no_file() -> None:
    assert mux([]) is None
    assert mux([OpusPacket(0.0, b""), OpusPacket(0.02, b"\xfb\x00")]) is None
    assert mux([OpusPacket(0.0, SILENCE)], start=0.02) is None
    assert mux([OpusPacket(1.0, SILENCE)], end=1.0) is None


def test_what_is_no_packet_is_left_out() -> None:
    data = mux([OpusPacket(0.0, SILENCE), OpusPacket(0.02, b""), OpusPacket(0.04, SILENCE)])
    assert data is not None
    assert pages(data)[2].packets == [SILENCE] * 3, "and the pause it leaves is silence"


times = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-5, 100)


@given(st.lists(st.tuples(times, st.binary(max_size=300)), max_size=40), times, times)
@example(packets=[(-0.0078125, b"\0"), (-3.595386269724632e306, b"\0")], start=0.0, end=0.0)
@example(packets=[(-1.0, b"\0")], start=-3.745194030963158e303, end=0.0)
def test_any_packets_give_a_valid_file_or_none(packets: list[tuple[float, bytes]], start: float, end: float) -> None:
    data = mux([OpusPacket(*p) for p in packets], start=start, end=end)
    if data is not None:
        head, tags, *audio = pages(data)
        assert (head.flags, tags.flags, audio[-1].flags) == (2, 0, 4)
        skip = struct.unpack_from("<H", head.packets[0], 10)[0]
        total = sum(packet_samples(p) for page in audio for p in page.packets)
        assert skip < audio[-1].granule <= total


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=20))
def test_players_survive_files_of_strangers_packets(packets: list[bytes]) -> None:
    data = mux(timed(packets))
    if data is not None:
        with contextlib.suppress(ValueError):  # PyAV's InvalidDataError, and numpy's where every packet was refused
            decode_file(data)
