"""Datagrams in, frames out: real transport encryption, real DAVE, real Opus."""

import numpy as np
import pytest

from bot.voice.opus import Decoder, has_fec
from bot.voice.receiver import VoiceFrame
from bot.voice.rtp import Kind
from bot.voice.stats import Drop
from moderation.errors import VoiceUnavailable
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import BOT, FRAME, KEY, LEVEL, Call, assert_sound, encoded, ends, frames, rtp, speech
from tests.loopback.voice.transport import AES256_GCM, MODES, Transport

pytestmark = pytest.mark.integration

ADA, BEN, CLEO = 2, 3, 4


@pytest.fixture
def call() -> Call:
    return Call(DaveGroup.of(BOT, ADA, BEN))


# The ordinary course.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("encrypted", [True, False])
def test_speech_comes_out_frame_by_frame_without_delay(mode: str, encrypted: bool) -> None:
    call = Call(DaveGroup.of(BOT, ADA) if encrypted else None, mode)
    ada = call.sender(ADA)
    for index, opus in enumerate(speech(60)):
        (frame,) = call.receive(ada.packet(opus))
        assert isinstance(frame, VoiceFrame)
        assert (frame.user_id, frame.ssrc, frame.opus, frame.received_at) == (ADA, ada.ssrc, opus, call.now)
        assert frame.start == pytest.approx(index * FRAME)
        assert len(frame.pcm) == 640
        assert call.wait(FRAME) == []
    stats = call.stats(ADA)
    assert (stats.received, stats.decrypted, stats.decoded, stats.lost, stats.failed) == (60, 60, 60, 0, {})
    assert stats.seconds_heard == stats.seconds_spoken == pytest.approx(1.2)


@pytest.mark.parametrize("padding", [0, 1, 4, 255])
@pytest.mark.parametrize("extension", [b"", LEVEL, LEVEL * 2])
@pytest.mark.parametrize("csrcs", [0, 3])
def test_every_layout_is_heard(call: Call, padding: int, extension: bytes, csrcs: int) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(10), padding=padding, extension=extension, csrcs=csrcs, marker=True))
    assert call.heard == list(speech(10))


def test_packets_of_padding_only_are_no_loss(call: Call) -> None:
    ada = call.sender(ADA)
    for opus in speech(10):
        call.receive(ada.packet(opus), ada.raw(b"", padding=12))
        ada.pause(-1)  # padding repeats its neighbour's timestamp
        call.wait(FRAME)
    stats = call.stats(ADA)
    assert call.heard == list(speech(10))
    assert (stats.padding, stats.lost, stats.concealed, stats.failed) == (10, 0, 0, {})


def test_speakers_do_not_mix(call: Call) -> None:
    ada, ben = call.sender(ADA), call.sender(BEN)
    for mine, yours in zip(speech(40)[:20], speech(40)[20:], strict=True):
        call.receive(ada.packet(mine), ben.packet(yours))
        call.wait(FRAME)
    assert [f.opus for f in call.frames if f.user_id == ADA] == list(speech(40)[:20])
    assert [f.opus for f in call.frames if f.user_id == BEN] == list(speech(40)[20:])


@pytest.mark.parametrize("ticks", [120, 480, 1920, 2880])
def test_other_packet_durations(ticks: int) -> None:
    """A 20 ms packet in code 3 (RFC 6716 section 3.2.5) repeated, or a short CELT frame: durations are the packet's own."""
    toc = {120: b"\xe0", 480: b"\xf0", 1920: b"\xf9", 2880: b"\xfb\x03"}[ticks]
    call = Call()
    ada = call.sender(ADA)
    ada.ticks = ticks
    call.stream(ada.packets([toc + bytes(12)] * 10), interval=ticks / 48_000)
    assert [len(f.pcm) for f in call.frames] == [ticks // 3 * 2] * 10
    assert call.stats(ADA).seconds_spoken == pytest.approx(10 * ticks / 48_000)
    assert_sound(call)


# What is not voice.


def test_everything_else_is_counted_and_dropped(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(
        bytes([0x81, 201, 0, 7]) + bytes(40),
        ada.raw(bytes(900), payload_type=101),
        ada.raw(bytes(900), payload_type=102),
        bytes.fromhex("00020046000007d1") + bytes(66),
        (7).to_bytes(8, "little"),
        b"junk",
    )
    assert call.items == []
    assert call.receiver.call_stats().ignored == dict.fromkeys(
        [Kind.RTCP, Kind.VIDEO, Kind.RTX, Kind.DISCOVERY, Kind.KEEPALIVE, Kind.JUNK], 1
    )


def test_a_camera_on_the_same_user_disturbs_nothing(call: Call) -> None:
    ada = call.sender(ADA)
    for opus in speech(10):
        header, body = rtp(bytes(900), ssrc=ada.ssrc + 1, payload_type=105)
        call.receive(ada.packet(opus), call.seal(header, body))
        call.wait(FRAME)
    assert call.heard == list(speech(10))


def test_forged_damaged_and_malformed_packets_are_dropped(call: Call) -> None:
    ada = call.sender(ADA)
    good = ada.packet(speech(1)[0])
    bad_padding = ada.raw(b"", extension=b"", padding=0)
    header, _ = rtp(b"", ssrc=ada.ssrc, sequence=ada.sequence, padding=1, extension=b"")
    call.receive(
        good[:-9] + bytes([good[-9] ^ 1]) + good[-8:], Transport(AES256_GCM, bytes(32)).seal(*rtp(b"x")), call.seal(header, b"ab\x09")
    )
    assert call.receiver.call_stats().dropped == {Drop.TRANSPORT_REFUSED: 2, Drop.MALFORMED: 1}
    assert call.stats(ADA).received == 0
    assert [f.opus for f in frames(call.receive(good))] == [speech(1)[0]]
    assert call.receive(bad_padding) == []


def test_a_replayed_packet_is_heard_once(call: Call) -> None:
    ada = call.sender(ADA)
    datagrams = ada.packets(speech(20))
    call.stream(datagrams)
    call.receive(*datagrams)
    assert call.heard == list(speech(20))
    assert call.stats(ADA).duplicate == 20


def test_before_the_transport_key_nothing_opens() -> None:
    call = Call()
    ada = call.sender(ADA)
    call.receiver.reset()
    assert call.receive(ada.packet(speech(1)[0])) == []
    assert call.receiver.call_stats().dropped == {Drop.NO_TRANSPORT: 1}
    with pytest.raises(VoiceUnavailable):
        call.receiver.set_transport("xsalsa20_poly1305", KEY)


# Order and loss.


def test_reordered_packets_are_put_in_order(call: Call) -> None:
    ada = call.sender(ADA)
    packets = ada.packets(speech(30))
    for at in range(1, 28, 3):
        packets[at], packets[at + 1] = packets[at + 1], packets[at]
    call.stream(packets)
    assert call.heard == list(speech(30))
    assert call.stats(ADA).lost == 0
    assert_sound(call)


def test_the_first_two_encrypted_frames_swapped_by_the_network_both_open(call: Call) -> None:
    """A sender's keys open frame 1 no more once frame 2 has opened first: order must be restored before DAVE."""
    ada = call.sender(ADA)
    call.receive(ada.raw(b"", padding=4))  # the order is known from here
    first, second = ada.packets(speech(2))
    call.receive(second, first)
    assert call.heard == list(speech(2))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_few_lost_frames_are_concealed(call: Call, lost: int) -> None:
    ada = call.sender(ADA)
    packets = ada.packets(speech(40))
    call.stream(packets[:20] + packets[20 + lost :])
    call.wait(0.1)
    stats = call.stats(ADA)
    assert (stats.lost, stats.concealed + stats.recovered, stats.decoded) == (lost, lost, 40 - lost)
    assert sum(frame.concealed for frame in call.frames) == stats.concealed
    made_up = [f for f in call.frames if not f.opus]
    assert [f.start for f in made_up] == pytest.approx([(20 + n) * FRAME for n in range(lost)])
    assert all(len(f.pcm) == 640 for f in made_up)
    assert stats.seconds_spoken == pytest.approx(0.8)
    assert stats.seconds_heard == pytest.approx(0.8 - lost * FRAME)
    assert_sound(call)


def test_more_than_a_few_stay_a_gap(call: Call) -> None:
    ada = call.sender(ADA)
    packets = ada.packets(speech(40))
    call.stream(packets[:20] + packets[24:])
    call.wait(0.1)
    stats = call.stats(ADA)
    assert (stats.lost, stats.concealed, stats.decoded) == (4, 0, 36)
    assert call.frames[20].start == pytest.approx(24 * FRAME)
    assert stats.seconds_spoken == pytest.approx(0.8)


def test_a_lost_frame_is_restored_from_the_redundancy_in_the_next(call: Call) -> None:
    packets = encoded(fec=True)
    at = next(n for n in range(40, len(packets)) if has_fec(packets[n + 1]))
    ada = call.sender(ADA)
    datagrams = ada.packets(packets[: at + 2])
    call.stream(datagrams[:at] + datagrams[at + 1 :])
    call.wait(0.1)
    stats = call.stats(ADA)
    assert (stats.lost, stats.recovered, stats.concealed) == (1, 1, 0)
    assert stats.seconds_heard == stats.seconds_spoken == pytest.approx((at + 2) * FRAME)
    assert not any(frame.concealed for frame in call.frames)
    restored = np.frombuffer(call.frames[at].pcm, np.int16).astype(float)
    decoder = Decoder()
    truth = np.frombuffer([decoder.decode(packet) for packet in packets[: at + 1]][-1], np.int16).astype(float)
    assert np.corrcoef(restored, truth)[0, 1] > 0.8


def test_a_gap_that_no_decoder_can_fill_stays_a_gap(call: Call) -> None:
    """Concealment comes in multiples of 2.5 ms; a sender's clock may not."""
    ada = call.sender(ADA)
    packets = ada.packets(speech(5))
    ada.timestamp -= 7
    call.stream([*packets[:4], *ada.packets(speech(5))])
    call.wait(0.1)
    assert call.stats(ADA).lost == 1
    assert call.frames[4].opus == speech(1)[0]
    assert call.frames[4].start == pytest.approx(0.1 - 7 / 48_000)


def test_loss_late_in_the_patience_does_not_end_speech(call: Call) -> None:
    ada = call.sender(ADA)
    packets = ada.packets(speech(20))
    call.stream(packets[:10])
    call.wait(8 * FRAME - FRAME)
    call.stream(packets[18:])  # waits behind the gap, past the time at which silence would end speech
    call.wait(0.1)
    assert ends(call.items) == []
    assert call.frames[10].start == pytest.approx(18 * FRAME)


def test_a_senders_own_pause_is_not_concealed(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(*ada.packets(speech(5)))
    ada.pause(2)
    call.receive(*ada.packets(speech(5)))
    assert [f.start for f in call.frames] == pytest.approx([n * FRAME for n in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)])
    assert call.stats(ADA).seconds_spoken == pytest.approx(0.2)


def test_a_late_packet_is_counted_and_dropped(call: Call) -> None:
    ada = call.sender(ADA)
    packets = ada.packets(speech(20))
    call.stream(packets[:5] + packets[6:])
    assert call.receive(packets[5]) == []
    assert (call.stats(ADA).late, call.stats(ADA).lost) == (1, 1)


@pytest.mark.parametrize("timestamp", [123, 1 << 30, 3 << 30])
def test_a_sender_that_begins_anew_on_the_same_ssrc_is_heard_from_its_first_packet(call: Call, timestamp: int) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(20)))
    ada.sequence, ada.timestamp = 20_000, timestamp
    call.stream(ada.packets(speech(20)))
    assert call.heard == list(speech(20)) * 2
    assert [f.pcm for f in call.frames[20:]] == [f.pcm for f in call.frames[:20]]  # a new encoder needs a new decoder
    assert call.stats(ADA).lost == 0
    assert ends(call.items) == []  # clocks of two encoders say nothing about the pause between them
    assert_sound(call)
