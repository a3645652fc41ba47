"""Who may be heard; coming, going, reconnecting; the call's encryption changing."""

from collections.abc import Callable

import pytest

from bot.voice.dave import Refusal
from bot.voice.stats import Drop
from moderation.models import SpeakerLeft
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import BOT, FRAME, Call, Sender, assert_sound, ends, speech
from tests.loopback.voice.transport import Transport

pytestmark = pytest.mark.integration

ADA, BEN, CLEO = 2, 3, 4


@pytest.fixture
def call() -> Call:
    return Call(DaveGroup.of(BOT, ADA, BEN))


# Who may be heard.


def test_who_may_not_be_heard_is_never_decrypted(call: Call) -> None:
    opened: list[int] = []
    open_frame = call.dave.open

    def open_and_note(user_id: int, frame: bytes, now: float) -> bytes:
        opened.append(user_id)
        return open_frame(user_id, frame, now)

    call.dave.open = open_and_note  # type: ignore[method-assign]
    call.receiver.accept = lambda user_id: user_id != ADA
    ada, ben, again = call.sender(ADA), call.sender(BEN), call.sender(ADA, 9, mapped=False)
    for mine, yours, third in zip(speech(10), speech(10), speech(10), strict=True):
        call.receive(ada.packet(mine), ben.packet(yours), again.packet(third))
        call.wait(FRAME)
    assert ADA not in opened
    assert {f.user_id for f in call.frames} == {BEN}
    assert call.stats(ADA).refused == 10
    call.keep(call.receiver.speaking(again.ssrc, ADA, call.now))
    assert call.stats(ADA).refused == 20


@pytest.mark.parametrize("told", [True, False])
def test_consent_withdrawn_applies_to_what_waits(call: Call, told: bool) -> None:
    ada, ben = call.sender(ADA), call.sender(BEN)
    packets = ada.packets(speech(4))
    assert call.group is not None
    change = call.group.add(CLEO)
    change.apply(ADA, BEN, CLEO)
    call.receive(packets[0], packets[2], ben.packet(speech(1)[0]))  # one waits behind a gap, one for its epoch
    call.receiver.accept = lambda user_id: False
    change.apply(BOT)
    if told:
        call.keep(call.receiver.epoch_changed(call.now))
    call.wait(1)
    assert call.heard == [speech(1)[0]]
    assert (call.stats(ADA).abandoned, call.stats(BEN).abandoned) == (1, 1)


def test_packets_of_nobody_are_excused_while_they_may_all_be_of_members_who_may_not_be_heard(call: Call) -> None:
    present = {ADA, BEN}
    assert not call.receiver.excused(present)
    call.receiver.accept = lambda user_id: user_id != ADA
    call.receive(call.sender(ADA, mapped=False).packet(speech()[0]))
    assert call.receiver.excused(present)
    assert not call.receiver.excused({BEN}), "who is away sends nothing"
    strangers = Sender(9, 2999, call.seal, None)
    call.receive(strangers.packet(speech()[0]))
    assert not call.receiver.excused(present), "two SSRCs, one member whom they may be of"
    call.wait(3.0)
    call.sender(ADA)
    call.receive(strangers.packet(speech()[1]))
    assert not call.receiver.excused(present), "hers is known, so it is somebody else's"


def test_consent_given_later_starts_afresh(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(5)))
    call.receiver.accept = lambda user_id: False
    call.stream(ada.packets(speech(20)))
    call.receiver.accept = lambda user_id: True
    call.stream(ada.packets(speech(5)))
    assert call.heard == list(speech(5)) * 2
    assert (call.stats(ADA).lost, call.stats(ADA).refused) == (0, 20)


def test_while_not_listening_nothing_is_decrypted(call: Call) -> None:
    ada, ben = call.sender(ADA), call.sender(BEN, mapped=False)
    assert call.group is not None
    change = call.group.add(CLEO)
    change.apply(ADA, BEN, CLEO)
    early = ada.packet(speech(1)[0])
    call.receive(early, ben.packet(speech(1)[0]))
    call.receiver.listening = False
    change.apply(BOT)
    call.keep(call.receiver.epoch_changed(call.now))
    call.keep(call.receiver.speaking(ben.ssrc, BEN, call.now))
    call.stream(ada.packets(speech(10)))
    assert call.items == []
    assert call.receiver.call_stats().dropped == {Drop.DEAF: 10, Drop.UNMAPPED: 1}
    call.receiver.listening = True
    call.stream(ada.packets(speech(10)))
    assert call.heard == list(speech(10))
    assert call.stats(ADA).lost == 0


# Coming, going, reconnecting.


def test_who_leaves_is_heard_to_the_end_and_then_forgotten(call: Call) -> None:
    ada = call.sender(ADA)
    packets = ada.packets(speech(6))
    call.stream([packets[0], packets[1], packets[3]], interval=0)
    assert call.keep(call.receiver.user_left(ADA, call.now)) == []  # a packet still waits behind a gap
    call.receive(packets[4])
    call.wait(1)
    assert [type(item).__name__ for item in call.items[-2:]] == ["EndOfSpeech", "SpeakerLeft"]
    assert call.heard == [speech(6)[n] for n in (0, 1, 3, 4)]
    assert call.receive(packets[5]) == []
    assert call.stats(ADA).decoded == 4


def test_who_leaves_ends_speech_at_once_when_nothing_waits(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(3)))
    assert ends(call.receiver.user_left(ADA, call.now)) != []
    assert call.receiver.user_left(ADA, call.now) == []
    assert call.receiver.user_left(999, call.now) == []
    assert call.wait(1) == [SpeakerLeft(ADA)]


def test_who_returns_within_the_moment_has_not_left(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(3)))
    call.receiver.user_left(ADA, call.now)
    ada = call.sender(ADA, 77)
    call.stream(ada.packets(speech(3)))
    call.wait(1)
    assert not any(isinstance(item, SpeakerLeft) for item in call.items)


def test_op_5_for_the_same_ssrc_brings_a_user_back(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(3)))
    call.receiver.user_left(ADA, call.now)
    call.keep(call.receiver.speaking(ada.ssrc, ADA, call.now))
    call.wait(1)
    assert len(call.receive(ada.packet(speech(1)[0]))) == 1


def test_who_returns_later_keeps_counters_and_clock(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(*ada.packets(speech(100)))  # two seconds of media in no time
    call.receiver.user_left(ADA, call.now)
    call.wait(1)
    ada = call.sender(ADA, 77)
    call.stream(ada.packets(speech(3)))
    assert call.stats(ADA).decoded == 103
    assert_sound(call)


def test_an_ssrc_given_to_another_user(call: Call) -> None:
    ada = call.sender(ADA, 50)
    call.stream(ada.packets(speech(5)))
    ben = call.sender(BEN, 50)
    ben.sequence = 9_000
    assert [type(item).__name__ for item in call.items[5:]] == ["EndOfSpeech"]
    call.stream(ben.packets(speech(5)))
    assert [(f.user_id, f.opus) for f in call.frames[5:]] == [(BEN, opus) for opus in speech(5)]
    assert call.stats(BEN).lost == 0


def test_packets_of_the_new_user_that_came_before_its_op_5(call: Call) -> None:
    ada = call.sender(ADA, 50)
    call.stream(ada.packets(speech(5)))
    ben = call.sender(BEN, 50, mapped=False)
    ben.sequence, ben.timestamp = ada.sequence, ada.timestamp
    call.stream(ben.packets(speech(3)))
    assert len(call.heard) == 5
    call.keep(call.receiver.speaking(50, BEN, call.now))
    call.stream(ben.packets(speech(3)))
    assert [(f.user_id, f.opus) for f in call.frames[5:]] == [(BEN, opus) for opus in speech(3)] * 2
    assert (call.stats(ADA).received, call.stats(BEN).received) == (5, 6)


def test_a_reconnect_brings_new_keys_and_ssrcs_and_keeps_the_clock(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(10)))
    call.receiver.reset()
    call.wait(1)
    assert len(ends(call.items)) == 1
    call.receiver.set_transport(call.mode, bytes(32))
    call.seal = Transport(call.mode, bytes(32)).seal
    old = ada.packet(speech(1)[0])
    ada = call.sender(ADA, 4_000)
    ada.sequence = 3
    assert call.receive(old) == []
    call.stream(ada.packets(speech(10)))
    assert len(call.heard) == 20
    assert call.receiver.call_stats().dropped == {Drop.TRANSPORT_REFUSED: 1}
    assert_sound(call)


def test_a_user_on_two_ssrcs_at_once_never_overlaps(call: Call) -> None:
    one, two = call.sender(ADA, 10), call.sender(ADA, 11)
    for opus in speech(20):
        call.receive(one.packet(opus), two.packet(opus))
        call.wait(FRAME)
    assert len(call.heard) == 40
    assert_sound(call)


@pytest.mark.parametrize("signal", [lambda call: call.receiver.epoch_changed(call.now), lambda call: call.receiver.tick(call.now)])
def test_signalling_on_an_empty_receiver(signal: Callable[[Call], list[object]]) -> None:
    assert signal(Call()) == []


def test_a_plain_frame_in_an_encrypted_call_is_refused(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(ada.packet(speech(2)[0]), ada.raw(speech(2)[1]))
    assert call.heard == [speech(1)[0]]
    assert call.stats(ADA).failed == {Refusal.PLAIN: 1}
    assert call.stats(ADA).seconds_spoken == pytest.approx(0.04)


def test_a_downgrade_and_an_upgrade_lose_nothing(call: Call) -> None:
    ada = call.sender(ADA)
    call.dave.prepare_transition(5, 0, call.now)
    call.stream([*ada.packets(speech(5)), *map(ada.raw, speech(5))])  # Ada has executed op 22, we have not heard of it yet
    assert len(call.heard) == 5
    call.dave.execute_transition(5, call.now)
    call.wait(FRAME)
    call.stream([*ada.packets(speech(5)), *map(ada.raw, speech(5))])
    call.dave.prepare_epoch(1, 1)
    call.dave.execute_transition(6, call.now)
    call.stream([*map(ada.raw, speech(5)), *ada.packets(speech(5))])
    assert call.heard == list(speech(5)) * 6
    call.wait(11)
    call.stream(map(ada.raw, speech(5)))
    assert call.stats(ADA).failed == {Refusal.PLAIN: 5}
