"""The voice server's MLS against davey's: what one writes the other must read."""

import asyncio
import random

import davey
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loopback.voice.call import Call
from tests.loopback.voice.codec import MlsError, Reader, varint, vec
from tests.loopback.voice.dave import Committer
from tests.loopback.voice.human import Human
from tests.loopback.voice.mls import (
    Commit,
    ExternalSender,
    Group,
    KeyPackage,
    Proposal,
    Welcome,
    append_proposals,
    check_commit,
    revoke_proposals,
)
from tests.loopback.voice.stats import HumanStats

pytestmark = pytest.mark.unit
CHANNEL = 1_234_567
APPEND, REVOKE = davey.ProposalsOperationType.append, davey.ProposalsOperationType.revoke


class Member:
    """A davey session with its key package."""

    def __init__(self, sender: ExternalSender, user_id: int) -> None:
        self.session = davey.DaveSession(1, user_id, CHANNEL)
        self.session.set_external_sender(sender.package())
        self.offer = KeyPackage.parse(self.session.get_serialized_key_package())

    def propose(self, *proposals: Proposal) -> bytes:
        """The op 28 body with which it answers."""
        answer = self.session.process_proposals(APPEND, append_proposals(proposals)[1:])
        assert answer is not None
        return answer.commit + (answer.welcome or b"")


@pytest.fixture
def sender() -> ExternalSender:
    return ExternalSender(b"test")


def founded(sender: ExternalSender, *user_ids: int) -> tuple[Group, dict[int, Member]]:
    """A group of these users, the first of whom founded it."""
    members = {user: Member(sender, user) for user in user_ids}
    founder, *others = members.values()
    adds = [sender.add(CHANNEL, 0, m.offer) for m in others]
    group = Group(CHANNEL, 0, [user_ids[0]])
    commit, welcome, order = check_commit(group, 0, adds, founder.propose(*adds))
    group.apply(order)
    assert welcome is not None
    founder.session.process_commit(commit.raw)
    for member in others:
        member.session.process_welcome(welcome.for_reader(member.offer.ref))
    return group, members


@pytest.mark.parametrize(("value", "encoded"), [(37, "25"), (15293, "7bbd"), (494878333, "9d7f3e7d")])
def test_varint_matches_rfc_9000_examples(value: int, encoded: str) -> None:
    assert varint(value).hex() == encoded


@given(st.binary(max_size=20_000))
def test_vectors_round_trip(data: bytes) -> None:
    reader = Reader(vec(data))
    assert reader.vec() == data
    assert reader.done


@pytest.mark.parametrize("data", ["4001ff", "80000001ff", "c1ff", "05ffff"], ids=["long-2", "long-4", "reserved", "cut"])
def test_malformed_vectors_are_refused(data: str) -> None:
    with pytest.raises(MlsError):
        Reader(bytes.fromhex(data)).vec()


def test_external_sender_package_has_discords_layout(sender: ExternalSender) -> None:
    package = sender.package()
    assert len(package) == 78
    assert package[:3].hex() == "404104"
    assert package[67:70].hex() == "000108"


def test_add_has_the_layout_seen_in_the_wild(sender: ExternalSender) -> None:
    message = sender.add(CHANNEL, 5, Member(sender, 7).offer).message
    assert message[:5].hex() == "0001000108"
    assert message[5:13] == CHANNEL.to_bytes(8, "big")
    assert message[13:37].hex() == "0000000000000005" + "0200000000" + "00" + "02" + "0001" + "0001" + "0002" + "4041" + "04"


def test_members_share_keys_after_commit_and_single_reader_welcome(sender: ExternalSender) -> None:
    group, members = founded(sender, 1, 2, 3)
    assert group.leaves == [1, 2, 3]
    frame = members[2].session.encrypt_opus(b"spoken words")
    for other in (1, 3):
        assert members[other].session.decrypt(2, davey.MediaType.audio, frame) == b"spoken words"
    assert {members[user].session.own_leaf_index: user for user in members} == dict(enumerate(group.leaves))


def test_leaf_of_a_removed_member_is_reused(sender: ExternalSender) -> None:
    group, members = founded(sender, 1, 2, 3)
    newcomer = Member(sender, 4)
    proposals = [sender.remove(CHANNEL, 1, group.leaf_of(2)), sender.add(CHANNEL, 1, newcomer.offer)]
    commit, welcome, order = check_commit(group, 0, proposals, members[1].propose(*proposals))
    assert commit.has_path
    assert welcome is not None
    group.apply(order)
    newcomer.session.process_welcome(welcome.for_reader(newcomer.offer.ref))
    assert group.leaves == [1, 4, 3]
    assert newcomer.session.own_leaf_index == 1


def test_trailing_blanks_are_cut(sender: ExternalSender) -> None:
    group = Group(CHANNEL, 3, [1, None, 3])
    group.apply([sender.remove(CHANNEL, 3, 2)])
    assert (group.leaves, group.epoch, group.members) == ([1], 4, {1})


def test_revoking_all_returns_davey_to_the_same_epoch(sender: ExternalSender) -> None:
    group, members = founded(sender, 1, 2)
    add = sender.add(CHANNEL, 1, Member(sender, 3).offer)
    members[1].propose(add)
    assert members[1].session.status == davey.SessionStatus.awaiting_response
    members[1].session.process_proposals(REVOKE, revoke_proposals([add])[1:])
    assert (members[1].session.status, members[1].session.epoch) == (davey.SessionStatus.active, group.epoch)


def test_a_commit_is_dropped_unless_all_rules_hold(sender: ExternalSender) -> None:
    group, members = founded(sender, 1, 2, 3)
    first, second = (sender.add(CHANNEL, 1, Member(sender, user).offer) for user in (4, 5))
    body = members[1].propose(first)
    commit, _ = Commit.read(body)
    cases = {
        "another's leaf": (group, 1, [first], body),
        "other proposals": (group, 0, [first, second], body),
        "another epoch": (Group(CHANNEL, 2, group.leaves), 0, [first], body),
        "another group": (Group(CHANNEL + 1, 1, group.leaves), 0, [first], body),
        "welcome for others": (group, 0, [first], commit.raw),
    }
    for rule, arguments in cases.items():
        with pytest.raises(MlsError, match=rule):
            check_commit(*arguments)
    assert check_commit(group, 0, [first], body)[0] == commit


def test_davey_leaves_out_the_welcome_when_another_batch_follows(sender: ExternalSender) -> None:
    """Why a batch is never taken back in part: this is what a voice server has to drop."""
    group, members = founded(sender, 1, 2, 3)
    add, remove = sender.add(CHANNEL, 1, Member(sender, 4).offer), sender.remove(CHANNEL, 1, 2)
    members[1].propose(add)
    with pytest.raises(MlsError, match="welcome for others"):
        check_commit(group, 0, [add, remove], members[1].propose(remove))


def test_davey_refuses_a_strangers_proposal(sender: ExternalSender) -> None:
    _, members = founded(sender, 1, 2)
    with pytest.raises(ValueError, match="InvalidSignature"):
        members[1].propose(ExternalSender(b"stranger").add(CHANNEL, 1, Member(sender, 3).offer))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 20))
def test_any_flipped_bit_of_a_key_package_is_refused(position: int) -> None:
    raw = bytearray(Member(ExternalSender(b"test"), 1).offer.raw)
    bit = position % (len(raw) * 8)
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MlsError):
        KeyPackage.parse(bytes(raw))


def test_truncated_commits_and_welcomes_are_refused(sender: ExternalSender) -> None:
    _, members = founded(sender, 1, 2)
    body = members[1].propose(sender.add(CHANNEL, 1, Member(sender, 3).offer))
    commit, welcome = Commit.read(body)
    for end in range(0, len(commit.raw), 7):
        with pytest.raises(MlsError):
            Commit.read(body[:end])
    for end in range(0, len(welcome), 7):
        with pytest.raises(MlsError):
            Welcome.parse(welcome[:end])


def test_wrapped_key_package_is_accepted(sender: ExternalSender) -> None:
    offer = Member(sender, 9).offer
    assert KeyPackage.parse(bytes.fromhex("00010005") + offer.raw) == offer


@pytest.mark.parametrize("seed", range(6))
async def test_any_churn_leaves_everybody_with_the_same_keys(seed: int) -> None:
    """Humans come, go, and the version changes, in random order: afterwards each hears every other."""
    rng = random.Random(seed)
    call = Call(1, CHANNEL, rng, version=1, committer=Committer.RACE, timeout=0.05)
    for _ in range(40):
        step = rng.random()
        if step < 0.5:
            user = rng.randrange(1, 12)
            if user not in call.humans:
                call.join_human(Human(user, call, 4 * user, rng, HumanStats(), eager=rng.random() < 0.3))
        elif step < 0.85 and call.humans:
            call.leave(rng.choice(list(call.humans.values())))
        else:
            call.dave.change_version(rng.randrange(2))
        await asyncio.sleep(0)
    call.dave.change_version(1)
    for user in (100, 101):
        call.join_human(Human(user, call, 4 * user, rng, HumanStats()))
    await call.wait(lambda: call.settled, 5)
    sessions = {user: human.session for user, human in call.humans.items()}
    for speaker, session in sessions.items():
        assert session is not None
        frame = session.encrypt_opus(b"one two three")
        for listener, other in sessions.items():
            assert other is not None
            assert listener == speaker or other.decrypt(speaker, davey.MediaType.audio, frame) == b"one two three"
    call.close()
