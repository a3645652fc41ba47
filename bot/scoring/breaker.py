"""A circuit breaker: after failures in a row nothing is asked for a while, then one attempt decides.

    closed ──failures in a row, or told to wait──▶ open ──pause over──▶ half open ──success──▶ closed
                                                     ▲                      └──failure──▶ open, for longer

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


class Ticket:
    """Given to whoever is let in, and handed back with the outcome."""

    __slots__ = ("opened",)

    def __init__(self, opened: int) -> None:
        """`opened`: how often the breaker had opened by then."""
        self.opened = opened


class Breaker:
    """Whoever is let in says how it went: `succeeded`, `failed`, or `abandoned` when it was not decided.

    Outcomes of those who were let in before it last opened come late and change nothing.
    """

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
        self._trial: Ticket | None = None
        """The one attempt that decides, while it is under way."""
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

    def enter(self) -> Ticket:
        """Ask to be let in. Raises `ScorerUnavailable` while it is open, or while the one attempt that decides is under way."""
        state = self.state
        if state is State.OPEN or (state is State.HALF_OPEN and self._trial is not None):
            self.refused += 1
            left = max((self._until or 0.0) - self._clock(), 0.0)
            raise ScorerUnavailable("The scorer failed and is given a rest; it is asked again by itself.", retry_after=left)
        ticket = Ticket(self.opened)
        if state is State.HALF_OPEN:
            self._trial = ticket
        return ticket

    def succeeded(self, ticket: Ticket) -> None:
        """It works: closed."""
        if ticket.opened == self.opened:
            self._failures, self._until, self._trial, self._pause = 0, None, None, self._first_pause

    def failed(self, ticket: Ticket, rest: float = 0.0) -> None:
        """It does not: one more failure in a row, or the deciding one.

        `rest`: seconds for which the scorer said to leave it alone; it opens at once for as long, the longest pause at most.
        """
        if ticket.opened != self.opened:
            return
        self._failures += 1
        rest = min(rest, self._max_pause)
        if ticket is self._trial:
            self._pause = min(self._pause * 2, self._max_pause)
            self._open(max(self._pause, rest))
        elif rest > 0:
            self._open(rest)
        elif self._failures >= self._limit:
            self._open(self._pause)

    def abandoned(self, ticket: Ticket) -> None:
        """Given up by the asker, or it was the asker's fault: says nothing about the scorer; the next attempt decides."""
        if ticket is self._trial:
            self._trial = None

    def _open(self, pause: float) -> None:
        self._until, self._trial = self._clock() + pause, None
        self.opened += 1
