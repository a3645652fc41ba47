"""DAVE with real davey sessions: which frames open, which are refused and why, and when plain frames are legal."""

import davey
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.dave import (
    MAY_OPEN_LATER,
    PENDING_TRANSITIONS,
    UPGRADE_GRACE,
    DavePolicy,
    FrameDecryptor,
    FrameRefused,
    Refusal,
    is_encrypted,
)
from bot.voice.opus import SILENCE
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import speech

pytestmark = pytest.mark.integration

BOT, ADA, BEN, CLEO = 1, 2, 3, 4
OPUS = speech(1)[0]


@pytest.fixture
def group() -> DaveGroup:
    return DaveGroup.of(BOT, ADA, BEN)


def decryptor(group: DaveGroup | None, version: int = 1) -> FrameDecryptor:
    found = FrameDecryptor(lambda: group.keys(BOT) if group else None)
    found.session_description(version)
    return found


def refusal(dave: FrameDecryptor, user_id: int, frame: bytes, now: float = 0.0) -> Refusal:
    with pytest.raises(FrameRefused) as caught:
        dave.open(user_id, frame, now)
    return caught.value.reason


def test_each_senders_frames_open_under_its_own_key_alone(group: DaveGroup) -> None:
    dave = decryptor(group)
    frame = group.encrypt(ADA, OPUS)
    assert refusal(dave, BEN, frame) is Refusal.NO_KEY
    assert dave.open(ADA, frame, 0.0) == OPUS


def test_a_frame_opens_once(group: DaveGroup) -> None:
    dave = decryptor(group)
    frame = group.encrypt(ADA, OPUS)
    dave.open(ADA, frame, 0.0)
    assert refusal(dave, ADA, frame) is Refusal.NO_KEY


def test_a_damaged_copy_costs_the_good_one_nothing(group: DaveGroup) -> None:
    dave = decryptor(group)
    frame = group.encrypt(ADA, OPUS)
    assert refusal(dave, ADA, bytes([frame[0] ^ 1]) + frame[1:]) is Refusal.NO_KEY
    assert dave.open(ADA, frame, 0.0) == OPUS


def test_a_frame_of_an_epoch_that_is_not_here_yet_opens_later(group: DaveGroup) -> None:
    dave = decryptor(group)
    change = group.add(CLEO)
    change.apply(ADA, BEN, CLEO)
    early, stranger = group.encrypt(ADA, OPUS), group.encrypt(CLEO, OPUS)
    reasons = refusal(dave, ADA, early), refusal(dave, CLEO, stranger)
    assert reasons == (Refusal.NO_KEY, Refusal.NOT_A_MEMBER)
    assert set(reasons) <= MAY_OPEN_LATER
    change.apply(BOT)
    assert (dave.open(ADA, early, 0.0), dave.open(CLEO, stranger, 0.0)) == (OPUS, OPUS)


def test_frames_of_the_old_epoch_still_open_after_the_change(group: DaveGroup) -> None:
    dave = decryptor(group)
    old = group.encrypt(ADA, OPUS)
    group.add(CLEO).apply_rest()
    assert dave.open(ADA, group.encrypt(ADA, OPUS), 0.0) == OPUS
    assert dave.open(ADA, old, 0.0) == OPUS


def test_who_left_the_group_is_no_member(group: DaveGroup) -> None:
    dave = decryptor(group)
    frame = group.encrypt(BEN, OPUS)
    group.remove(BEN).apply_rest()
    assert refusal(dave, BEN, frame) is Refusal.NOT_A_MEMBER
    assert sorted(dave.user_ids()) == [BOT, ADA]


def test_the_session_in_use_is_asked_for_each_frame(group: DaveGroup) -> None:
    sessions: list[davey.DaveSession | None] = [None]
    dave = FrameDecryptor(lambda: sessions[0])
    dave.session_description(1)
    frame = group.encrypt(ADA, OPUS)
    assert refusal(dave, ADA, frame) is Refusal.NO_SESSION
    assert dave.user_ids() == []
    sessions[0] = group.sessions[BOT]
    assert dave.open(ADA, frame, 0.0) == OPUS


def test_silence_passes_in_any_call_with_any_keys(group: DaveGroup) -> None:
    assert decryptor(None).open(ADA, SILENCE, 0.0) == SILENCE
    assert decryptor(group).open(99, SILENCE, 0.0) == SILENCE
    assert group.encrypt(ADA, SILENCE) == SILENCE


def test_a_padded_frame_would_look_plain(group: DaveGroup) -> None:
    """What others took for passthrough: with the RTP padding left on, davey sees no DAVE frame."""
    padded = group.encrypt(ADA, OPUS) + bytes([0, 0, 0, 4])
    assert not is_encrypted(padded)
    with pytest.raises(ValueError, match="UnencryptedWhenPassthroughDisabled"):
        group.sessions[BOT].decrypt(ADA, davey.MediaType.audio, padded)
    assert refusal(decryptor(group), ADA, padded) is Refusal.PLAIN


def test_plain_frames_are_refused_even_when_davey_would_let_them_pass(group: DaveGroup) -> None:
    group.sessions[BOT].set_passthrough_mode(True)
    assert group.sessions[BOT].decrypt(ADA, davey.MediaType.audio, OPUS) == OPUS
    assert refusal(decryptor(group), ADA, OPUS) is Refusal.PLAIN


def test_plain_frames_pass_in_a_plain_call() -> None:
    assert decryptor(None, version=0).open(ADA, OPUS, 0.0) == OPUS


def test_an_encrypted_frame_never_reaches_opus_unopened(group: DaveGroup) -> None:
    assert refusal(decryptor(None, version=0), ADA, group.encrypt(ADA, OPUS)) is Refusal.NO_SESSION


def test_encrypted_frames_in_flight_open_after_a_downgrade(group: DaveGroup) -> None:
    dave = decryptor(group)
    frame = group.encrypt(ADA, OPUS)
    dave.prepare_transition(7, 0, 1.0)
    dave.execute_transition(7, 2.0)
    assert dave.open(ADA, frame, 2.1) == OPUS
    assert dave.open(ADA, OPUS, 2.2) == OPUS


def test_plain_frames_that_overtake_the_downgrade_may_open_later(group: DaveGroup) -> None:
    dave = decryptor(group)
    dave.prepare_transition(7, 0, 1.0)
    reason = refusal(dave, ADA, OPUS, 1.5)
    assert reason is Refusal.PLAIN_EARLY
    assert reason in MAY_OPEN_LATER
    dave.execute_transition(7, 2.0)
    assert dave.open(ADA, OPUS, 2.0) == OPUS


def test_after_an_upgrade_plain_frames_pass_for_ten_seconds(group: DaveGroup) -> None:
    dave = decryptor(group, version=0)
    dave.prepare_epoch(1, 1)
    assert dave.open(ADA, OPUS, 0.0) == OPUS  # op 24 only prepares
    dave.execute_transition(12, 100.0)  # announced by op 29, not by op 21
    assert dave.policy.version == 1
    assert dave.open(ADA, OPUS, 100.0 + UPGRADE_GRACE) == OPUS
    assert refusal(dave, ADA, OPUS, 100.1 + UPGRADE_GRACE) is Refusal.PLAIN


def test_transition_zero_is_valid_and_executes_at_once() -> None:
    policy = DavePolicy()
    policy.session_description(1)
    policy.prepare_transition(0, 0, 5.0)
    assert policy.plain_refusal(5.0) is None
    policy.prepare_transition(0, 1, 6.0)
    assert policy.version == 1
    assert policy.plain_refusal(20.0) is Refusal.PLAIN


def test_a_reset_of_a_lone_member_is_no_upgrade() -> None:
    policy = DavePolicy()
    policy.session_description(1)
    policy.prepare_epoch(1)
    policy.prepare_transition(0, 1, 5.0)
    assert policy.plain_refusal(5.1) is Refusal.PLAIN


def test_a_new_voice_session_forgets_what_was_pending() -> None:
    policy = DavePolicy()
    policy.session_description(0)
    policy.execute_transition(3, 1.0)
    policy.prepare_transition(4, 0, 1.0)
    policy.session_description(1)
    assert policy.plain_refusal(1.0) is Refusal.PLAIN


def test_announced_transitions_are_bounded() -> None:
    policy = DavePolicy()
    policy.session_description(1)
    for transition_id in range(1, 5 * PENDING_TRANSITIONS):
        policy.prepare_transition(transition_id, 0, 0.0)
    assert len(policy._pending) == PENDING_TRANSITIONS


@pytest.mark.parametrize("user_id", [0, -1, 2**63, 2**64])
def test_impossible_user_ids_are_refused(group: DaveGroup, user_id: int) -> None:
    assert refusal(decryptor(group), user_id, group.encrypt(ADA, OPUS)) in (Refusal.NOT_A_MEMBER, Refusal.OTHER)


def test_the_smallest_and_the_impossible_trailer() -> None:
    assert is_encrypted(bytes(9) + b"\x0c\xfa\xfa")
    for frame in (b"", b"\xfa\xfa", b"\x0c\xfa\xfa", bytes(8) + b"\x0c\xfa\xfa", bytes(30) + b"\x0b\xfa\xfa", bytes(30) + b"\xff\xfa\xfa"):
        assert not is_encrypted(frame)


@given(st.one_of(st.binary(max_size=200), st.binary(min_size=9, max_size=60).map(lambda body: body + b"\x0c\xfa\xfa")))
def test_no_frame_raises_anything_else(frame: bytes) -> None:
    reason = None
    try:
        decryptor(_GROUP).open(ADA, frame, 0.0)
    except FrameRefused as refused:
        reason = refused.reason
    assert reason is not Refusal.OTHER


_GROUP = DaveGroup.of(BOT, ADA)
