"""Real DAVE groups of `davey` sessions, without a voice server around them."""

from dataclasses import dataclass, field

import davey

from bot.voice.dave import KeyHolder
from tests.loopback.voice.mls import ExternalSender, KeyPackage, Proposal, append_proposals

CHANNEL = 99


@dataclass
class Change:
    """A commit that each member applies when the test says so: that is when its keys change."""

    group: "DaveGroup"
    commit: bytes
    welcome: bytes
    added: set[int]
    waiting: set[int]

    def apply(self, *user_ids: int) -> None:
        for user_id in user_ids:
            self.waiting.remove(user_id)
            session = self.group.sessions[user_id]
            if user_id in self.added:
                session.process_welcome(self.welcome)
            else:
                session.process_commit(self.commit)

    def apply_rest(self) -> None:
        self.apply(*self.waiting)


@dataclass
class DaveGroup:
    """Sessions of one call by user id, all of them members once every change is applied."""

    sessions: dict[int, davey.DaveSession] = field(default_factory=dict)
    sender: ExternalSender = field(default_factory=lambda: ExternalSender(b"test"))
    epoch: int = 0

    @classmethod
    def of(cls, *user_ids: int) -> "DaveGroup":
        group = cls()
        group._join(user_ids[0])
        group.add(*user_ids[1:]).apply_rest()
        return group

    def _join(self, user_id: int) -> davey.DaveSession:
        session = self.sessions[user_id] = davey.DaveSession(1, user_id, CHANNEL)
        session.set_external_sender(self.sender.package())
        return session

    def add(self, *user_ids: int) -> Change:
        members = list(self.sessions)
        packages = [KeyPackage.parse(self._join(user_id).get_serialized_key_package()) for user_id in user_ids]
        return self._commit(members, set(user_ids), [self.sender.add(CHANNEL, self.epoch, package) for package in packages])

    def remove(self, user_id: int) -> Change:
        leaf = self.sessions.pop(user_id).own_leaf_index
        assert leaf is not None
        return self._commit(list(self.sessions), set(), [self.sender.remove(CHANNEL, self.epoch, leaf)])

    def _commit(self, members: list[int], added: set[int], proposals: list[Proposal]) -> Change:
        body = append_proposals(proposals)[1:]
        answers = [self.sessions[user_id].process_proposals(davey.ProposalsOperationType.append, body) for user_id in members]
        answer = answers[0]
        assert answer is not None
        self.epoch += 1
        return Change(self, answer.commit, answer.welcome or b"", added, {*members, *added})

    def encrypt(self, user_id: int, opus: bytes) -> bytes:
        return self.sessions[user_id].encrypt_opus(opus)

    def keys(self, user_id: int) -> KeyHolder:
        return self.sessions[user_id]
