"""Packets of SSRCs that nobody has named: kept, found a user by whose key fits, or dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.receiver import TRIAL_ROUNDS
from bot.voice.stats import Drop
from bot.voice.stream import Packet
from bot.voice.unmapped import MAX_PACKETS, MAX_SECONDS, MAX_SSRCS, Unmapped
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import BOT, FRAME, Call, silences, speech

pytestmark = pytest.mark.integration

ADA, BEN, CLEO = 2, 3, 4


@pytest.fixture
def call() -> Call:
    return Call(DaveGroup.of(BOT, ADA, BEN))


def plain_call() -> Call:
    """Without DAVE there are no keys to try."""
    return Call()


def test_what_came_before_op_5_is_replayed_in_order_and_in_its_own_time() -> None:
    call = plain_call()
    ada = call.sender(ADA, mapped=False)
    packets = ada.packets(speech(30))
    packets[0], packets[1] = packets[1], packets[0]
    assert call.stream(packets) == []
    call.sender(ADA)
    assert call.heard == list(speech(30))
    assert [f.start for f in call.frames] == pytest.approx([(n + 1) * FRAME for n in range(30)])  # the first was the second to come
    assert call.frames[0].received_at < call.frames[-1].received_at < call.now
    assert call.stats(ADA).unmapped == 30
    call.stream(ada.packets(speech(5)))
    assert len(call.heard) == 35


def test_the_newest_fifty_are_kept() -> None:
    call = plain_call()
    ada = call.sender(ADA, mapped=False)
    call.receive(*ada.packets(speech(80)))
    call.sender(ADA)
    assert call.heard == list(speech(80))[-MAX_PACKETS:]
    assert call.receiver.call_stats().dropped == {Drop.UNMAPPED: 80 - MAX_PACKETS}


def test_after_two_seconds_nobody_is_told_any_more() -> None:
    call = plain_call()
    ada = call.sender(ADA, mapped=False)
    call.receive(*ada.packets(speech(10)))
    call.wait(MAX_SECONDS + 2 * FRAME)
    call.sender(ADA)
    assert call.items == []
    assert call.receiver.call_stats().dropped == {Drop.UNMAPPED: 10}


def test_the_speaker_is_found_by_whose_key_fits_and_no_frame_is_lost(call: Call) -> None:
    """The success consumed the frame's nonce: its output must be used."""
    ben = call.sender(BEN, mapped=False)
    for opus in speech(10):
        assert len(call.receive(ben.packet(opus))) == 1
        call.wait(FRAME)
    assert call.heard == list(speech(10))
    assert {f.user_id for f in call.frames} == {BEN}
    assert call.receiver.call_stats().identified == 1
    assert call.stats(BEN).failed == {}
    call.sender(BEN)
    call.stream(ben.packets(speech(5)))
    assert len(call.heard) == 15


def test_users_without_an_ssrc_are_tried_first(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(ada.packet(speech(1)[0]))
    ben = call.sender(BEN, mapped=False)
    call.receive(ben.packet(speech(1)[0]))
    assert call.receiver.call_stats().trials <= 2  # the bot itself, perhaps, but not Ada


def test_silence_names_nobody(call: Call) -> None:
    ben = call.sender(BEN, mapped=False)
    call.receive(*silences(ben))
    assert call.receiver.call_stats().trials == 0
    call.receive(ben.packet(speech(1)[0]))
    assert call.heard == [speech(1)[0]]
    assert call.stats(BEN).silence == 5


def test_an_unnamed_newcomers_frames_are_found_in_order_once_its_epoch_is_there(call: Call) -> None:
    assert call.group is not None
    change = call.group.add(CLEO)
    change.apply(ADA, BEN, CLEO)
    cleo = call.sender(CLEO, mapped=False)
    call.stream(cleo.packets(speech(20)))
    assert call.items == []
    change.apply(BOT)
    call.keep(call.receiver.epoch_changed(call.now))
    assert call.heard == list(speech(20))
    assert call.stats(CLEO).failed == {}


def test_trials_end_when_they_do_not_help(call: Call) -> None:
    assert call.group is not None
    change = call.group.add(CLEO)
    change.apply(CLEO)
    cleo = call.sender(CLEO, mapped=False)
    call.receive(*cleo.packets(speech(40)))
    rounds = sum(range(1, TRIAL_ROUNDS + 1))
    assert call.receiver.call_stats().trials == 3 * rounds


def test_only_users_who_may_be_heard_are_tried(call: Call) -> None:
    tried: list[int] = []
    open_frame = call.dave.open

    def open_and_note(user_id: int, frame: bytes, now: float) -> bytes:
        tried.append(user_id)
        return open_frame(user_id, frame, now)

    call.dave.open = open_and_note  # type: ignore[method-assign]
    call.receiver.accept = lambda user_id: user_id == ADA
    ben = call.sender(BEN, mapped=False)
    call.receive(*ben.packets(speech(3)))
    assert set(tried) == {ADA}
    assert call.items == []


def test_a_flood_of_random_ssrcs_is_bounded_and_spares_who_keeps_talking() -> None:
    call = plain_call()
    ada = call.sender(ADA, mapped=False)
    for number in range(40):
        call.receive(ada.packet(speech(40)[number]))
        for _ in range(20):
            stranger = call.sender(0, 100_000 + call.receiver.call_stats().datagrams, mapped=False)
            call.receive(stranger.packet(b"\xf8rubbish"))
        assert len(call.receiver._unmapped.rings()) <= MAX_SSRCS
    call.sender(ADA)
    assert call.heard == list(speech(40))
    dropped = call.receiver.call_stats().dropped[Drop.UNMAPPED]
    assert dropped + len(call.receiver._unmapped) == 800


@given(start=st.integers(0, 0xFFFF), order=st.permutations(range(12)))
def test_packets_come_out_by_sequence_number_across_the_wrap(start: int, order: list[int]) -> None:
    unmapped = Unmapped()
    for number in order:
        unmapped.add(7, Packet((start + number) & 0xFFFF, number, b"", 0.0))
    assert [packet.timestamp for packet in unmapped.take(7)] == list(range(12))
    assert len(unmapped) == 0
    assert unmapped.take(7) == []
