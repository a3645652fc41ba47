"""Frames that come before their epoch: held, tried again in order, given up in time."""

import pytest

from bot.voice.dave import Refusal
from bot.voice.opus import SILENCE
from bot.voice.speaker import HOLD_FRAMES, HOLD_SECONDS
from tests.bot.voice.group import Change, DaveGroup
from tests.bot.voice.packets import BOT, FRAME, Call, Sender, ends, frames, silences, speech

pytestmark = pytest.mark.integration

ADA, BEN, CLEO = 2, 3, 4


@pytest.fixture
def call() -> Call:
    return Call(DaveGroup.of(BOT, ADA, BEN))


def joining(call: Call) -> Change:
    """Cleo is added; everybody but the bot has the new keys."""
    assert call.group is not None
    change = call.group.add(CLEO)
    change.apply(ADA, BEN, CLEO)
    return change


def learn(call: Call, change: Change, *, tell: bool = True) -> list[bytes]:
    """The bot has them too; what comes out."""
    change.apply(BOT)
    return [f.opus for f in frames(call.keep(call.receiver.epoch_changed(call.now)))] if tell else []


def test_frames_before_their_epoch_come_out_in_order_when_it_is_there(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(5)))
    change = joining(call)
    call.stream(ada.packets(speech(20)))
    assert call.heard == list(speech(5))
    assert learn(call, change) == list(speech(20))
    assert ends(call.items) == []  # it was one stretch
    assert call.stats(ADA).failed == {}
    starts = [f.start for f in call.frames]
    assert starts == pytest.approx([n * FRAME for n in range(25)])
    assert [f.received_at for f in call.frames] == sorted(f.received_at for f in call.frames)


def test_a_newcomers_frames_wait_for_the_commit_that_adds_it(call: Call) -> None:
    change = joining(call)
    cleo = call.sender(CLEO)
    call.stream(cleo.packets(speech(20)))
    assert call.heard == []
    assert learn(call, change) == list(speech(20))


def test_held_frames_go_before_any_newer_one_even_if_nobody_told_of_the_epoch(call: Call) -> None:
    """A key's first frame to open shuts out those before it: opening the newest first would lose the others for good."""
    ada = call.sender(ADA)
    change = joining(call)
    call.receive(*ada.packets(speech(10)))
    learn(call, change, tell=False)
    call.receive(ada.packet(speech(11)[10]))
    assert call.heard == list(speech(11))


def test_the_tick_tries_them_too(call: Call) -> None:
    ada = call.sender(ADA)
    change = joining(call)
    call.receive(*ada.packets(speech(3)))
    learn(call, change, tell=False)
    call.wait(FRAME)
    assert call.heard == list(speech(3))


def test_frames_of_the_old_epoch_among_those_of_the_new(call: Call) -> None:
    ada = call.sender(ADA)
    assert call.group is not None
    old = [call.group.encrypt(ADA, opus) for opus in speech(3)]
    change = joining(call)
    call.receive(ada.raw(old[0]), ada.packet(speech(4)[3]))
    call.receive(ada.raw(old[1]))
    learn(call, change)
    call.receive(ada.raw(old[2]))
    assert call.heard == [speech(4)[n] for n in (0, 1, 2)]
    assert call.stats(ADA).failed == {Refusal.NO_KEY: 1}  # its sender had gone back to older keys, as none does


def test_one_damaged_frame_delays_nothing(call: Call) -> None:
    ada = call.sender(ADA)
    assert call.group is not None
    call.stream(ada.packets(speech(3)))
    damaged = bytearray(call.group.encrypt(ADA, speech(1)[0]))
    damaged[0] ^= 1
    assert call.receive(ada.raw(bytes(damaged))) == []
    heard = frames(call.receive(ada.packet(speech(4)[3])))
    assert [f.opus for f in heard] == [b"", speech(4)[3]]  # concealed in its place
    assert call.stats(ADA).failed == {Refusal.NO_KEY: 1}
    assert call.stats(ADA).concealed == 1


def test_one_users_waiting_holds_up_nobody_else(call: Call) -> None:
    change = joining(call)
    cleo, ben = call.sender(CLEO), call.sender(BEN)
    assert change.group.epoch == 2
    for opus in speech(10):
        call.receive(cleo.packet(opus))
        call.receive(ben.raw(SILENCE))
    assert call.stats(BEN).silence == 10


def test_silence_keeps_its_place_behind_what_waits(call: Call) -> None:
    ada = call.sender(ADA)
    call.receive(*ada.packets(speech(2)))
    change = joining(call)
    call.receive(*ada.packets(speech(4)), *silences(ada))
    assert ends(call.items) == []
    learn(call, change)
    assert [type(item).__name__ for item in call.items] == ["VoiceFrame"] * 6 + ["EndOfSpeech"]


def test_what_never_opens_is_given_up_in_time_and_counted_as_spoken(call: Call) -> None:
    ada = call.sender(ADA)
    joining(call)
    call.receive(*ada.packets(speech(10)), *silences(ada, 2))
    call.wait(HOLD_SECONDS + 2 * FRAME)
    stats = call.stats(ADA)
    assert (stats.failed, stats.silence) == ({Refusal.NO_KEY: 10}, 2)
    assert stats.seconds_spoken == pytest.approx(0.2)
    assert stats.seconds_heard == 0.0
    assert call.items == []


def test_no_more_than_half_a_second_is_held(call: Call) -> None:
    ada = call.sender(ADA)
    change = joining(call)
    call.receive(*ada.packets(speech(140)))
    assert learn(call, change) == list(speech(140))[-HOLD_FRAMES:]
    assert call.stats(ADA).failed == {Refusal.NO_KEY: 140 - HOLD_FRAMES}


def test_speech_that_becomes_undecryptable_still_ends(call: Call) -> None:
    ada = call.sender(ADA)
    call.stream(ada.packets(speech(5)))
    joining(call)
    call.stream(ada.packets(speech(100)))
    (end,) = ends(call.items)
    assert end.at == pytest.approx(0.1)
    assert call.stats(ADA).seconds_spoken > 2.0 - HOLD_SECONDS


def test_a_member_who_is_removed_is_held_and_given_up(call: Call) -> None:
    ben = call.sender(BEN)
    assert call.group is not None
    packets = ben.packets(speech(5))
    call.group.remove(BEN).apply_rest()
    call.receive(*packets)
    call.wait(1)
    assert call.stats(BEN).failed == {Refusal.NOT_A_MEMBER: 5}


def test_members_come_and_go_while_all_talk(call: Call) -> None:
    """Senders change keys up to 300 ms before the bot has the commit; not one frame may be lost."""
    assert call.group is not None
    talkers: dict[int, Sender] = {user_id: call.sender(user_id) for user_id in (ADA, BEN)}
    sent = dict.fromkeys(talkers, 0)

    def talk(times: int) -> None:
        for _ in range(times):
            for user_id, sender in talkers.items():
                call.receive(sender.packet(speech()[sent[user_id] % 140]))
                sent[user_id] += 1
            call.wait(FRAME)

    for newcomer in range(10, 16):
        talk(5)
        change = call.group.add(newcomer)
        change.apply(*(change.waiting - {BOT}))
        talkers[newcomer], sent[newcomer] = call.sender(newcomer), 0
        talk(15)
        learn(call, change)
        if newcomer % 2:
            talk(3)
            leaver = newcomer - 1
            del talkers[leaver]
            change = call.group.remove(leaver)
            change.apply(*(change.waiting - {BOT}))
            talk(10)
            learn(call, change)
    talk(3)
    for user_id, count in sent.items():
        stats = call.stats(user_id)
        assert (stats.decoded, stats.failed, stats.lost) == (count, {}, 0)
        assert [f.opus for f in call.frames if f.user_id == user_id] == [speech()[n % 140] for n in range(count)]
