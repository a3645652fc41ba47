"""Where speech starts and ends on the session's clock."""

import pytest

from moderation.models import EndOfSpeech
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import BOT, FRAME, ORIGIN, Call, assert_sound, ends, frames, silences, speech

pytestmark = pytest.mark.integration

ADA, BEN, CLEO = 2, 3, 4


@pytest.fixture
def call() -> Call:
    return Call(DaveGroup.of(BOT, ADA, BEN))


def test_speech_ends_when_nothing_comes(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(10)))
    assert ends(call.items) == []
    call.wait(0.3)
    (end,) = ends(call.items)
    assert end.speaker_id == ADA
    assert end.at == pytest.approx(0.2)
    assert call.wait(5) == []


def test_five_silence_frames_end_speech_before_the_time_is_up(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(10)))
    (end,) = call.receive(*silences(ada))
    assert isinstance(end, EndOfSpeech)
    assert end.at == pytest.approx(0.2)
    assert end.received_at == pytest.approx(ORIGIN + 9 * FRAME)
    stats = call.stats(ADA)
    assert (stats.silence, stats.decoded) == (5, 10)
    assert stats.seconds_spoken == stats.seconds_heard == pytest.approx(0.2)


def test_fewer_silence_frames_are_a_pause_within_speech(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream([*ada.packets(speech(5)), *silences(ada, 4), *ada.packets(speech(5))])
    assert ends(call.items) == []
    assert call.frames[5].start == pytest.approx(9 * FRAME)
    assert call.stats(ADA).concealed == 0


def test_lost_silence_frames_still_end_speech_and_were_not_speech(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(10)))
    quiet = silences(ada)
    call.stream([quiet[0], quiet[4]])
    call.wait(0.3)
    assert len(ends(call.items)) == 1
    assert call.stats(ADA).lost == 3
    assert call.stats(ADA).seconds_spoken == pytest.approx(0.2)


def test_silence_alone_is_no_speech(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(silences(ada, 20))
    call.wait(1)
    assert call.items == []


@pytest.mark.parametrize("clock_goes_on", [True, False])
def test_each_stretch_starts_where_it_arrived(call: Call, clock_goes_on: bool) -> None:
    """Clients' RTP clocks go on in silence; discord.py's do not."""
    ada = call.sender(ADA)
    call.wait(0.5)
    for _ in range(3):
        begun = call.now - ORIGIN
        first = frames(call.stream(ada.packets(speech(10))))[0]
        assert first.start == pytest.approx(begun)
        call.stream(silences(ada))
        call.wait(2.0)
        if clock_goes_on:
            ada.pause(100)
    assert len(ends(call.items)) == 3
    assert_sound(call)


def test_without_ticks_a_clock_that_stood_still_is_noticed(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(*ada.packets(speech(5)))
    call.now += 30
    call.receive(*ada.packets(speech(5)))
    assert call.frames[5].start == pytest.approx(30)
    assert len(ends(call.items)) == 1


def test_a_pause_in_rtp_time_ends_speech_even_without_ticks(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(*ada.packets(speech(5)))
    ada.pause(50)
    call.now += 1.1
    call.receive(*ada.packets(speech(5)))
    assert [type(item).__name__ for item in call.items] == ["VoiceFrame"] * 5 + ["EndOfSpeech"] + ["VoiceFrame"] * 5
    assert call.frames[5].start == pytest.approx(1.1)


def test_a_burst_faster_than_time_stays_gapless(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(*ada.packets(speech(140)))
    assert [f.start for f in call.frames] == pytest.approx([n * FRAME for n in range(140)])
    assert_sound(call)


def test_timestamps_that_jump_do_no_harm(call: Call) -> None:
    ada = call.sender(ADA)
    for jump in (1_000_000, -2_000_000, 2**31, -1, -960, 7):
        call.stream(ada.packets(speech(5)))
        ada.timestamp += jump
    assert len(call.heard) == 30
    assert call.frames[-1].start < call.now - ORIGIN + 1
    assert_sound(call)


def test_undecodable_frames_are_counted_and_spoken(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets([*speech(5), b"\xff\x00\x01", *speech(5)]))
    stats = call.stats(ADA)
    assert (stats.undecodable, stats.decoded, stats.concealed) == (1, 10, 1)
    assert stats.seconds_spoken == pytest.approx(0.22)


def test_a_speaker_of_rubbish_alone_never_speaks(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets([b"\xff\x00\x01"] * 20))
    call.wait(1)
    assert call.items == []
    assert call.stats(ADA).undecodable == 20
