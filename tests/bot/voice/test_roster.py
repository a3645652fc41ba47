"""Who is remembered: bounded in every direction."""

import pytest

from bot.voice import roster
from bot.voice.jitter import DELAY
from bot.voice.receiver import VoiceItem
from bot.voice.roster import MAX_PAST, MAX_RETIRED, MAX_SPEAKERS, SPEAKER_SSRCS, Roster
from moderation.models import SpeakerLeft
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import BOT, ORIGIN, Call, speech

pytestmark = pytest.mark.integration

ADA = 2


def test_a_user_keeps_the_newest_ssrcs() -> None:
    call = Call(DaveGroup.of(BOT, ADA))
    senders = [call.sender(ADA, ssrc) for ssrc in range(100, 100 + 2 * SPEAKER_SSRCS)]
    assert list(call.receiver._roster.streams) == [sender.ssrc for sender in senders[-SPEAKER_SSRCS:]]
    call.receive(senders[-1].packet(speech(1)[0]))
    assert call.heard == [speech(1)[0]]


def test_users_without_end_are_forgotten_as_if_they_had_left() -> None:
    people = Roster(Call().dave, ORIGIN, DELAY)
    out: list[VoiceItem] = []
    total = MAX_SPEAKERS + MAX_PAST + 500
    for user_id in range(total):
        people.assign(user_id, user_id, out)
    assert (len(people.speakers), len(people.streams)) == (MAX_SPEAKERS, MAX_SPEAKERS)
    assert out == [SpeakerLeft(user_id) for user_id in range(total - MAX_SPEAKERS)]
    assert len(people.stats()) == MAX_SPEAKERS + MAX_PAST
    assert len(people.retired) == MAX_RETIRED


def test_who_left_is_not_brought_back_by_a_straggler() -> None:
    call = Call(DaveGroup.of(BOT, ADA))
    ada = call.sender(ADA)
    call.receive(ada.packet(speech(1)[0]))
    call.receiver.user_left(ADA, call.now)
    call.wait(2 * roster.LEFT_SECONDS)
    assert call.receive(ada.packet(speech(1)[0])) == []
    again = call.sender(ADA, 77, mapped=False)
    assert len(call.receive(again.packet(speech(1)[0]))) == 1  # a new SSRC is a new stay
    call.sender(ADA)
    assert len(call.receive(ada.packet(speech(1)[0]))) == 1  # and op 5 knows best
