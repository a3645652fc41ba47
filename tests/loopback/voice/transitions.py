"""Transitions: changes that everybody prepares (op 23) before all execute them together (op 22)."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.loopback.voice.peer import Timer


@dataclass(frozen=True, slots=True)
class Transition:
    """A change that its members have prepared for, or are about to."""

    id: int
    version: int
    """DAVE version afterwards."""
    waiting: set[int]
    """Who has not said op 23."""
    members: tuple[int, ...]
    timer: Timer


class Transitions:
    """At most one at a time; executes when nobody is waited for any more, or when time is up."""

    def __init__(
        self, call_later: Callable[[float, Callable[[], None]], Timer], timeout: float, execute: Callable[[Transition], None]
    ) -> None:
        """`timeout` in seconds; `execute` is called once per transition."""
        self._call_later = call_later
        self._timeout = timeout
        self._execute = execute
        self.current: Transition | None = None
        self.last_id = 0

    def next_id(self) -> int:
        """A new id, 1..65535; 0 means "at once"."""
        self.last_id = self.last_id % 0xFFFF + 1
        return self.last_id

    def start(self, version: int, members: tuple[int, ...], when_late: Callable[[], None]) -> int:
        """Begin one; `when_late` is what the timer calls and leads to `finish`."""
        assert self.current is None
        timer = self._call_later(self._timeout, when_late)
        self.current = Transition(self.next_id(), version, set(members), members, timer)
        return self.current.id

    def ready(self, user_id: int, transition_id: int) -> None:
        """Op 23, or the member is gone."""
        if self.current and self.current.id == transition_id:
            self.current.waiting.discard(user_id)
            self.finish_if_ready()

    def leave(self, user_id: int) -> None:
        """Nobody waits for somebody who left."""
        if self.current:
            self.ready(user_id, self.current.id)

    def finish_if_ready(self) -> None:
        """Execute when all are ready."""
        if self.current and not self.current.waiting:
            self.finish()

    def finish(self) -> None:
        """Execute now."""
        transition, self.current = self.current, None
        if transition:
            transition.timer.cancel()
            self._execute(transition)

    def close(self) -> None:
        """Forget the one under way."""
        if self.current:
            self.current.timer.cancel()
            self.current = None
