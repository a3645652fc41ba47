"""The voice server's small parts: transport encryption, packet shapes, the bad network, Opus clips."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.loopback.voice import Impairment, Shape
from tests.loopback.voice.clips import opus_packets
from tests.loopback.voice.rtp import SILENCE, Packetiser, header_size
from tests.loopback.voice.session import ClientSession, Ticket
from tests.loopback.voice.stats import ClientStats
from tests.loopback.voice.transport import AES256_GCM, MODES, Transport, Undecryptable

pytestmark = pytest.mark.unit
VOICES = Path(__file__).parents[1] / "speech" / "voices"
KEY = bytes(range(32))


class FakeNetwork:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.sent.append(datagram)


class FakeClock:
    """Calls everything that was put off, in order of time."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.waiting.append((seconds, callback))

    def run(self) -> None:
        for _, callback in sorted(self.waiting, key=lambda entry: entry[0]):
            callback()


def test_aes_matches_a_known_packet() -> None:
    header = bytes.fromhex("b07800650000bf40000007d1bede0001")
    datagram = Transport(AES256_GCM, KEY).seal(header, bytes.fromhex("104a9001") + bytes(36))
    assert len(datagram) == 76
    assert datagram[:18] == header + bytes.fromhex("1ef6")
    assert datagram[-4:] == bytes(4)


@pytest.mark.parametrize("mode", MODES)
def test_header_is_authenticated(mode: str) -> None:
    sealed = Transport(mode, KEY).seal(b"header", b"body")
    assert Transport(mode, KEY).open(sealed, 6) == b"body"
    for wrong in (b"Header" + sealed[6:], sealed[:-1] + b"\x01", sealed[:10]):
        with pytest.raises(Undecryptable):
            Transport(mode, KEY).open(wrong, 6)


@pytest.mark.parametrize("mode", MODES)
def test_nonces_count_up(mode: str) -> None:
    transport = Transport(mode, KEY)
    counters = [int.from_bytes(transport.seal(b"h", b"b")[-4:], "big") for _ in range(3)]
    assert counters == [0, 1, 2]


def test_packets_follow_rtp_and_carry_the_payload_between_extension_and_padding() -> None:
    packetiser = Packetiser(77, Shape(padding=0.5, csrc=0.5), random.Random(1))
    sequence, timestamp = packetiser.sequence, packetiser.timestamp
    for index in range(200):
        packet = packetiser.audio(b"payload%d" % index, first=index == 0)
        assert header_size(packet.header) == len(packet.header)
        fixed = struct.unpack_from(">BBHII", packet.header)
        assert fixed[1:] == (0x78 | 0x80 * (index == 0), (sequence + index) & 0xFFFF, (timestamp + 960 * index) & 0xFFFFFFFF, 77)
        words = int.from_bytes(packet.header[-2:], "big")
        padding = packet.body[-1] if fixed[0] & 0x20 else 0
        assert packet.body[4 * words : len(packet.body) - padding] == b"payload%d" % index


def test_a_perfect_network_changes_nothing() -> None:
    network, got = Impairment(), list[bytes]()
    for index in range(10):
        network.carry(b"%d" % index, got.append, FakeClock().call_later)
    assert got == [b"%d" % index for index in range(10)]


def test_held_datagrams_are_overtaken_and_none_is_lost() -> None:
    network, got, clock = Impairment(reorder=0.3, depth=2, seed=3), list[bytes](), FakeClock()
    sent = [b"%03d" % index for index in range(100)]
    for datagram in sent:
        network.carry(datagram, got.append, clock.call_later)
    clock.run()
    assert got != sent
    assert sorted(got) == sent
    assert network.counts["held"] == len(clock.waiting) > 10


def test_corruption_flips_one_bit() -> None:
    network, got = Impairment(corrupt=1), list[bytes]()
    network.carry(bytes(50), got.append, FakeClock().call_later)
    assert sum(byte.bit_count() for byte in got[0]) == 1


def test_delay_and_jitter_stay_in_their_bounds() -> None:
    network, clock = Impairment(delay=0.1, jitter=0.05), FakeClock()
    for _ in range(50):
        network.carry(b"x", lambda _: None, clock.call_later)
    assert all(0.1 <= seconds <= 0.15 for seconds, _ in clock.waiting)
    assert len({seconds for seconds, _ in clock.waiting}) > 40


def test_a_clip_becomes_20_ms_packets_and_never_digital_silence() -> None:
    packets = opus_packets(VOICES / "sample_01.wav")
    assert len(packets) in (150, 151)
    assert all(packet[0] & 3 == 0 for packet in packets)  # one frame in each (RFC 6716, section 3.1)
    assert SILENCE not in packets
    assert SILENCE not in opus_packets(bytes(32_000))
    assert opus_packets(VOICES / "sample_01.wav") is packets


def session(network: FakeNetwork) -> ClientSession:
    client = ClientSession(Ticket(1, 2, 3, "session", "token"), 4, ClientStats(), network)
    client.transport = Transport(AES256_GCM, KEY)
    return client


def test_nothing_is_forwarded_before_the_address_is_known() -> None:
    network = FakeNetwork()
    client = session(network)
    packet = Packetiser(1, Shape(), random.Random(1)).audio(b"opus")
    client.forward(packet)
    client.address = ("127.0.0.1", 1)
    client.forward(packet)
    assert len(network.sent) == client.stats.forwarded == 1


def test_rubbish_from_a_client_is_counted() -> None:
    client = session(FakeNetwork())
    for rubbish in (b"", b"\x80", bytes(40), b"\x80\x78" + bytes(9), b"\x9f\x78" + bytes(20), b"\x80\x78" + bytes(60)):
        client.received(rubbish)
    assert (client.stats.refused, client.stats.packets) == (6, 0)
