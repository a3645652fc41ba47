"""One call's end-to-end encryption from the voice server's side: epochs, open proposals, versions (DAVE protocol 1.1).

No sockets and no threads: peers are told through `Peer`, time comes through `call_later`. One batch of proposals is in flight
at a time; it must be committed and its transition executed before the next opens, so what happens meanwhile waits.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from tests.loopback.voice.batch import Accepted, Batch
from tests.loopback.voice.codec import MlsError, u16
from tests.loopback.voice.mls import ExternalSender, Group, KeyPackage, Proposal, append_proposals, revoke_proposals
from tests.loopback.voice.peer import Op, Peer, Timer
from tests.loopback.voice.transitions import Transition, Transitions

REMEMBERED_REJECTIONS = 100


class Committer(StrEnum):
    """Whose commit the server takes while both kinds of peer could commit; after the timeout anybody's."""

    HUMANS = "humans"
    BOTS = "bots"
    RACE = "race"
    """Drawn anew for every batch, by seed."""


class Dave:
    """The MLS group of one call, as its voice server runs it."""

    def __init__(
        self,
        channel_id: int,
        rng: random.Random,
        call_later: Callable[[float, Callable[[], None]], Timer],
        *,
        version: int = 1,
        committer: Committer = Committer.HUMANS,
        timeout: float = 30.0,
    ) -> None:
        """`timeout`: seconds after which a transition executes without laggards, and a batch takes anybody's commit."""
        self.channel_id = channel_id
        self.sender = ExternalSender(rng.randbytes(32))
        self.version = version
        """In force now: 0 is plain Opus, 1 is DAVE."""
        self.committer = committer
        self.timeout = timeout
        self.peers: dict[int, Peer] = {}
        self.group: Group | None = None
        self.batch: Batch | None = None
        self.transitions = Transitions(call_later, timeout, self._execute)
        self.counts: Counter[str] = Counter()
        """`commits`, `rejected`, `revoked`, `resets`, `invalid` (op 31), `bad-key-packages`, `timeouts`."""
        self.rejections: deque[tuple[int, str]] = deque(maxlen=REMEMBERED_REJECTIONS)
        """(user id, broken rule) of commits and key packages that were dropped."""
        self.commits_by: Counter[int] = Counter()
        """Commits that won, by user id."""
        self.spoil_next: set[int] = set()
        """Users whose next op 29/30 is made unreadable."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after every step."""
        self._rng = rng
        self._call_later = call_later
        self._key_packages: dict[int, KeyPackage] = {}
        self._stale: set[int] = set()
        """On a leaf, but without the group's state: to be removed, and added anew when a key package has come."""
        self._introduced: set[int] = set()
        self._wanted_version = version
        self._upgrade_timer: Timer | None = None
        """Runs while an upgrade waits for key packages."""
        self._upgrade_late = False
        self._steps: deque[Callable[[], None]] = deque()
        self._stepping = False

    # ---- what happens to the call -------------------------------------------------------------

    @property
    def offered_version(self) -> int:
        """For op 4: what a newcomer shall prepare for."""
        return max(self.version, self._wanted_version)

    @property
    def settled(self) -> bool:
        """Nothing in flight, and everybody who should share the group's keys does."""
        if self.batch or self.transitions.current or self._wanted_version != self.version:
            return False
        if self.version == 0:
            return True
        if len(self.peers) < 2:
            return self.group is None and len(self._key_packages) == len(self.peers)
        return self.group is not None and not self._stale and self.group.members == set(self.peers)

    def join(self, peer: Peer) -> None:
        """Somebody came, or came back with a new session."""

        def step() -> None:
            self.peers[peer.user_id] = peer
            if self.offered_version:
                self._introduce(peer)

        self._step(step)

    def leave(self, user_id: int) -> None:
        """Somebody left."""

        def step() -> None:
            if self.peers.pop(user_id, None) is None:
                return
            self._key_packages.pop(user_id, None)
            self._introduced.discard(user_id)
            self._lose_state(user_id)
            self.transitions.leave(user_id)

        self._step(step)

    def receive(self, user_id: int, op: Op, data: object) -> None:
        """An opcode 23, 26, 28 or 31 came; others are ignored."""
        self._step(lambda: self._receive(user_id, op, data))

    def change_version(self, version: int) -> None:
        """Downgrade to 0 or upgrade to 1 as soon as nothing else is in flight."""

        def step() -> None:
            self._wanted_version = version
            if self._upgrade_timer and version == self.version:
                self._set_version(version)

        self._step(step)

    def close(self) -> None:
        """Cancel the timers."""
        self.transitions.close()
        if self.batch:
            self.batch.timer.cancel()
        if self._upgrade_timer:
            self._upgrade_timer.cancel()

    def _step(self, step: Callable[[], None]) -> None:
        """Humans answer while they are being told: their answers wait until the step at hand is done."""
        self._steps.append(step)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._steps:
                self._steps.popleft()()
                self._advance()
        finally:
            self._stepping = False
        self.on_change()

    def _receive(self, user_id: int, op: Op, data: object) -> None:
        if user_id not in self.peers:
            return
        if op is Op.KEY_PACKAGE and isinstance(data, bytes):
            self._key_package(user_id, data)
        elif op is Op.COMMIT_WELCOME and isinstance(data, bytes):
            self._commit(user_id, data)
        elif op is Op.TRANSITION_READY and isinstance(data, dict):
            self.transitions.ready(user_id, int(data["transition_id"]))
        elif op is Op.INVALID_COMMIT and isinstance(data, dict):
            self.counts["invalid"] += 1
            self._lose_state(user_id)
            self.transitions.ready(user_id, int(data["transition_id"]))

    def _introduce(self, peer: Peer) -> None:
        if peer.user_id not in self._introduced:
            self._introduced.add(peer.user_id)
            peer.send_binary(Op.EXTERNAL_SENDER, self.sender.package())

    def _key_package(self, user_id: int, data: bytes) -> None:
        try:
            key_package = KeyPackage.parse(data)
            if key_package.user_id != user_id:
                raise MlsError("key package of another user")
        except MlsError as error:
            self.counts["bad-key-packages"] += 1
            self.rejections.append((user_id, str(error)))
            return
        self._lose_state(user_id)
        self._key_packages[user_id] = key_package

    def _lose_state(self, user_id: int) -> None:
        """The user's client no longer has the group, nor the private key of an open Add."""
        if self.group and user_id in self.group.members:
            self._stale.add(user_id)
        batch = self.batch
        if batch is None:
            return
        adds = batch.adds(user_id)
        batch.withdraw(user_id)
        if adds or not batch.proposals:
            self._revoke(batch)
        elif not batch.eligible:
            self._open_to_all()

    def _advance(self) -> None:
        """Begin whatever is due, unless something is in flight."""
        if self.batch or self.transitions.current:
            return
        if self._wanted_version < self.version:
            self._downgrade()
        elif self._wanted_version > self.version and self._upgrade_timer is None:
            self._start_upgrade()
        elif self.offered_version and self.group is None:
            self._create_group()
        elif self.offered_version and self.group is not None:
            self._change_group(self.group)

    # ---- batches of proposals -----------------------------------------------------------------

    def _create_group(self) -> None:
        """All who wait get each other's Adds; the first to commit founds the group on leaf 0."""
        complete = set(self._key_packages) == set(self.peers)
        if self._upgrade_timer and not complete and not self._upgrade_late:
            return
        if len(self._key_packages) < 2:
            if self._upgrade_timer and complete:
                self._upgrade_alone()
            return
        adds = {user: self.sender.add(self.channel_id, 0, kp) for user, kp in self._key_packages.items()}
        proposals = {user: [add for other, add in adds.items() if other != user] for user in adds}
        self._open(proposals, {user: Group(self.channel_id, 0, [user]) for user in adds})

    def _change_group(self, group: Group) -> None:
        """Remove who is gone, add who waits."""
        replaced = self._stale & set(self._key_packages)
        gone = [leaf for leaf, user in enumerate(group.leaves) if user is not None and (user not in self.peers or user in replaced)]
        staying = [user for user in group.leaves if user is not None and user in self.peers and user not in self._stale]
        joining = list(self._key_packages.values())
        if not gone and not joining:
            return
        if not staying or (len(staying) == 1 and not joining):
            self._drop_group(staying)
            return
        proposals = [self.sender.remove(self.channel_id, group.epoch, leaf) for leaf in gone]
        proposals += [self.sender.add(self.channel_id, group.epoch, kp) for kp in joining]
        self._open(dict.fromkeys(staying, proposals), dict.fromkeys(staying, group))

    def _drop_group(self, staying: Sequence[int]) -> None:
        """The last member makes a new group; without any, those who wait found one."""
        self.group = None
        self._stale.clear()
        for user_id in staying:
            self.counts["resets"] += 1
            self._tell(user_id, Op.PREPARE_EPOCH, {"protocol_version": self.version, "epoch": 1})
            self._tell(user_id, Op.PREPARE_TRANSITION, {"protocol_version": self.version, "transition_id": 0})
        if not staying:
            self._create_group()

    def _open(self, proposals: Mapping[int, Sequence[Proposal]], groups: dict[int, Group]) -> None:
        humans = {user for user in proposals if self.peers[user].is_human}
        turn = self._rng.choice((Committer.HUMANS, Committer.BOTS)) if self.committer is Committer.RACE else self.committer
        eligible = humans if turn is Committer.HUMANS else set(proposals) - humans
        timer = self._call_later(self.timeout, lambda: self._step(self._open_to_all))
        self.batch = Batch(dict(proposals), groups, eligible or set(proposals), timer)
        for user_id, own in proposals.items():
            self.peers[user_id].send_binary(Op.PROPOSALS, append_proposals(own))

    def _open_to_all(self) -> None:
        """Nobody whose turn it was has committed: take whoever did."""
        batch = self.batch
        if batch is None or batch.eligible == set(batch.proposals):
            return
        self.counts["timeouts"] += 1
        batch.eligible = set(batch.proposals)
        for user_id, data in batch.held:
            if self.batch is batch:
                self._commit(user_id, data)

    def _revoke(self, batch: Batch) -> None:
        """Take the whole batch back; what is left of it goes into the next one.

        Never only a part: davey 0.1.7 leaves out the Welcome for Adds that came in an earlier op 27.
        """
        self.batch = None
        batch.timer.cancel()
        self.counts["revoked"] += 1
        for user_id, proposals in batch.proposals.items():
            self.peers[user_id].send_binary(Op.PROPOSALS, revoke_proposals(proposals))

    def _commit(self, user_id: int, data: bytes) -> None:
        """The first commit wins that a voice server may take; the rest are dropped."""
        batch = self.batch
        if batch is None or user_id not in batch.proposals:
            self._reject(user_id, "commit without open proposals")
            return
        if user_id not in batch.eligible:
            batch.held.append((user_id, data))
            return
        try:
            accepted, removed = batch.accept(user_id, data)
        except MlsError as error:
            self._reject(user_id, str(error))
            return
        batch.timer.cancel()
        self.batch = None
        self.counts["commits"] += 1
        self.commits_by[user_id] += 1
        self._stale -= removed
        for user in (user_id, *accepted.added):
            self._key_packages.pop(user, None)
        self.group = accepted.group
        self._announce(user_id, accepted)

    def _reject(self, user_id: int, reason: str) -> None:
        self.counts["rejected"] += 1
        self.rejections.append((user_id, reason))

    def _announce(self, committer: int, accepted: Accepted) -> None:
        """Op 29 to the members, the committer first, op 30 to those added; then wait for everybody's op 23."""
        added = accepted.added
        old = [user for user in accepted.group.members - set(added) - self._stale if user in self.peers]
        old.sort(key=lambda user: (user != committer, user))
        prefix = u16(self._start_transition(1, (*old, *added)))
        for user_id in old:
            self._tell_outcome(user_id, Op.ANNOUNCE_COMMIT, prefix, accepted.commit.raw)
        for user_id, ref in added.items():
            assert accepted.welcome is not None
            self._tell_outcome(user_id, Op.WELCOME, prefix, accepted.welcome.for_reader(ref))

    def _tell_outcome(self, user_id: int, op: Op, prefix: bytes, message: bytes) -> None:
        if user_id in self.spoil_next:
            self.spoil_next.discard(user_id)
            message = unreadable(message)
        self.peers[user_id].send_binary(op, prefix + message)

    # ---- versions -----------------------------------------------------------------------------

    def _start_transition(self, version: int, members: tuple[int, ...]) -> int:
        return self.transitions.start(version, members, lambda: self._step(self.transitions.finish))

    def _execute(self, transition: Transition) -> None:
        if transition.waiting:
            self.counts["timeouts"] += 1
        self._set_version(transition.version)
        for user_id in transition.members:
            self._tell(user_id, Op.EXECUTE_TRANSITION, {"transition_id": transition.id})

    def _set_version(self, version: int) -> None:
        self.version = version
        if self._upgrade_timer:
            self._upgrade_timer.cancel()
            self._upgrade_timer = None
        if version == 0:
            self.group = None
            self._key_packages.clear()
            self._stale.clear()

    def _downgrade(self) -> None:
        members = tuple(self.peers)
        transition_id = self._start_transition(0, members)
        for user_id in members:
            self._tell(user_id, Op.PREPARE_TRANSITION, {"protocol_version": 0, "transition_id": transition_id})
        self.transitions.finish_if_ready()

    def _start_upgrade(self) -> None:
        """Everybody makes a new group; it is founded when all key packages are there, or after the timeout by those who are."""

        def late() -> None:
            self.counts["timeouts"] += 1
            self._upgrade_late = True

        self._upgrade_late = False
        self._upgrade_timer = self._call_later(self.timeout, lambda: self._step(late))
        for peer in tuple(self.peers.values()):
            peer.send(Op.PREPARE_EPOCH, {"protocol_version": self._wanted_version, "epoch": 1})
            self._introduce(peer)
        if not self.peers:
            self._upgrade_alone()

    def _upgrade_alone(self) -> None:
        """With at most one peer there is no group to found: the version changes at once."""
        self._set_version(self._wanted_version)
        for user_id in self.peers:
            self._tell(user_id, Op.PREPARE_TRANSITION, {"protocol_version": self.version, "transition_id": 0})

    def _tell(self, user_id: int, op: Op, data: object) -> None:
        if user_id in self.peers:
            self.peers[user_id].send(op, data)


def unreadable(message: bytes) -> bytes:
    """The message with its last byte changed: its shape holds, its authentication does not."""
    return message[:-1] + bytes([message[-1] ^ 0x01])
