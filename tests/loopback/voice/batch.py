"""One round of proposals, and whose commit ends it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.loopback.voice.mls import Commit, Group, Proposal, Welcome, check_commit
from tests.loopback.voice.peer import Timer


@dataclass(frozen=True, slots=True)
class Accepted:
    """The commit that ends a batch."""

    commit: Commit
    welcome: Welcome | None
    order: Sequence[Proposal]
    """The proposals in commit order."""
    group: Group
    """Moved to the new epoch."""

    @property
    def added(self) -> dict[int, bytes]:
        """User id → KeyPackageRef of those who need a Welcome."""
        return {p.added.user_id: p.added.ref for p in self.order if p.added is not None}


@dataclass
class Batch:
    """Proposals in flight, per peer who may commit them."""

    proposals: dict[int, Sequence[Proposal]]
    groups: dict[int, Group]
    """The group in which that peer would commit: the call's, or its own pending one when the call has none yet."""
    eligible: set[int]
    """Whose turn it is."""
    timer: Timer
    """Ends the turn."""
    held: list[tuple[int, bytes]] = field(default_factory=list)
    """Commits of the others, for when the turn ends without one."""

    def adds(self, user_id: int) -> bool:
        """Whether the user is to be added."""
        return any(p.added is not None and p.added.user_id == user_id for ps in self.proposals.values() for p in ps)

    def withdraw(self, user_id: int) -> None:
        """This peer can no longer commit."""
        self.proposals.pop(user_id, None)
        self.eligible.discard(user_id)

    def accept(self, user_id: int, data: bytes) -> tuple[Accepted, set[int]]:
        """Take a commit and move its group on; also the users whose leaves it removed. Raises `MlsError` for one to drop."""
        group = self.groups[user_id]
        commit, welcome, order = check_commit(group, group.leaf_of(user_id), self.proposals[user_id], data)
        removed = {group.leaves[p.removed] for p in order if p.removed is not None}
        group.apply(order)
        return Accepted(commit, welcome, order, group), {user for user in removed if user is not None}
