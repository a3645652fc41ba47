"""A circuit breaker: after failures in a row nothing is asked for a while, then one attempt decides.

    closed ──failures in a row──▶ open ──pause over──▶ half open ──success──▶ closed
                                    ▲                       └──failure──▶ open, for longer

It runs nothing and waits for nothing: whoever asks is told at once.
"""

from collections.abc import Callable
from enum import StrEnum

from moderation.errors import ScorerUnavailable

FAILURES = 5
"""In a row, until it opens: one bad minute of one model must not, an endpoint that is gone must within a few sentences."""
PAUSE_SECONDS = 5.0
"""How long it stays open at first."""
MAX_PAUSE_SECONDS = 60.0
"""How long at most: the window of Databricks' rate limits, after which asking makes sense again."""


class State(StrEnum):
    """What is let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Whoever is let in says how it went: `succeeded`, `failed`, or `abandoned` when it was not decided."""

    def __init__(
        self, clock: Callable[[], float], *, failures: int = FAILURES, pause: float = PAUSE_SECONDS, max_pause: float = MAX_PAUSE_SECONDS
    ) -> None:
        """`clock`: monotonic seconds; `pause`, `max_pause`: seconds, doubled from one to the other."""
        self._clock = clock
        self._limit = failures
        self._first_pause = self._pause = pause
        self._max_pause = max_pause
        self._failures = 0
        self._until: float | None = None
        """When the pause is over; None while closed."""
        self._trying = False
        self.opened = 0
        """How often it opened."""
        self.refused = 0
        """How many were turned away."""

    @property
    def state(self) -> State:
        """Now."""
        if self._until is None:
            return State.CLOSED
        return State.OPEN if self._clock() < self._until else State.HALF_OPEN

    def enter(self) -> None:
        """Ask to be let in. Raises `ScorerUnavailable` while it is open, or while the one attempt that decides is under way."""
        state = self.state
        if state is State.OPEN or (state is State.HALF_OPEN and self._trying):
            self.refused += 1
            left = max((self._until or 0.0) - self._clock(), 0.0)
            raise ScorerUnavailable("The scorer failed repeatedly and is given a rest; it is asked again by itself.", retry_after=left)
        self._trying = state is State.HALF_OPEN

    def succeeded(self) -> None:
        """It works: closed."""
        self._failures, self._until, self._trying, self._pause = 0, None, False, self._first_pause

    def failed(self) -> None:
        """It does not: one more failure in a row, or the deciding one. What was let in before it opened changes nothing."""
        self._failures += 1
        if self._trying:
            self._trying = False
            self._open(min(self._pause * 2, self._max_pause))
        elif self._until is None and self._failures >= self._limit:
            self._open(self._first_pause)

    def abandoned(self) -> None:
        """Given up by the asker, or it was the asker's fault: says nothing about the scorer; the next attempt decides."""
        self._trying = False

    def _open(self, pause: float) -> None:
        self._pause = pause
        self._until = self._clock() + pause
        self.opened += 1
