"""Puts one stream's packets back in order. What comes in order passes at once; only a gap waits, and only for `delay`.

Sequence numbers are judged as in RFC 3550 appendix A.1: a little behind is late or a duplicate, up to `MAX_DROPOUT` ahead is loss,
anything else is a stray until its successor shows that the sender has begun anew.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from bot.voice.rtp import distance16

T = TypeVar("T")

DELAY = 0.06
"""Seconds a gap waits: three frames, which is what Wi-Fi reorders by; a recogniser's chunk is longer than that."""

CAPACITY = 50
"""Packets held at most behind a gap: one second. When full, the gap is given up at once."""

MAX_DROPOUT = 3000
MAX_MISORDER = 100
"""RFC 3550 appendix A.1."""


class Arrival(Enum):
    """What `put` made of a packet."""

    QUEUED = "queued"
    LATE = "late"
    """Its place was given up."""
    DUPLICATE = "duplicate"
    STRAY = "stray"
    """Far from what was expected; kept until the next packet tells whether the sender began anew."""
    DISPLACED = "displaced"
    """As `STRAY`; another stray, which nothing had followed, was dropped for it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """So many packets in a row did not come in time."""

    count: int


class Restarted(Enum):
    """The sender began anew: what follows has nothing to do with what came before."""

    RESTARTED = "restarted"


RESTARTED = Restarted.RESTARTED


class JitterBuffer(Generic[T]):
    """One SSRC's buffer. Ask `passes` for each packet; for those that do not, `put`, then `pop` until None, also as time goes by."""

    def __init__(self, delay: float = DELAY, capacity: int = CAPACITY) -> None:
        """`delay`: seconds a gap waits; `capacity`: packets held at most."""
        self._delay = delay
        self._capacity = capacity
        self._expected = -1
        self._held: dict[int, tuple[float, T]] = {}
        """Sequence → (arrival, packet), in order of arrival."""
        self._given_up: deque[int] = deque(maxlen=MAX_MISORDER)
        self._stray: tuple[int, float, T] | None = None
        self._anew: int | None = None

    @property
    def waiting(self) -> int:
        """Packets held behind a gap."""
        return len(self._held)

    def passes(self, sequence: int) -> bool:
        """Whether the packet is the very next and nothing waits: then it is taken as handed on, and is not to be `put`."""
        if sequence == self._expected and not self._held:
            self._expected = (sequence + 1) & 0xFFFF
            return True
        if self._expected < 0:
            self._expected = (sequence + 1) & 0xFFFF
            return True
        return False

    def put(self, sequence: int, packet: T, now: float) -> Arrival:
        """Take a packet that does not pass."""
        ahead = distance16(sequence, self._expected)
        if 0 <= ahead <= MAX_DROPOUT:
            if sequence in self._held:
                return Arrival.DUPLICATE
            self._held[sequence] = (now, packet)
            return Arrival.QUEUED
        if -MAX_MISORDER <= ahead < 0:
            return self._behind(sequence)
        return self._far(sequence, packet, now)

    def _behind(self, sequence: int) -> Arrival:
        if sequence not in self._given_up:
            return Arrival.DUPLICATE
        self._given_up.remove(sequence)
        return Arrival.LATE

    def _far(self, sequence: int, packet: T, now: float) -> Arrival:
        stray = self._stray
        if stray is None or sequence != (stray[0] + 1) & 0xFFFF:
            self._stray = (sequence, now, packet)
            return Arrival.STRAY if stray is None else Arrival.DISPLACED
        self._stray = None
        self._anew = stray[0]
        self._held[stray[0]] = stray[1:]
        self._held[sequence] = (now, packet)
        return Arrival.QUEUED

    def pop(self, now: float) -> T | Missing | Restarted | None:
        """The next packet, what is missing before it, a restart before it, or None: still waiting (or nothing there)."""
        held = self._held.pop(self._expected, None)
        if held is not None:
            if self._anew == self._expected:  # giving up what was held before has led to it
                self._anew = None
            self._expected = (self._expected + 1) & 0xFFFF
            return held[1]
        if not self._held:
            return None
        if self._anew is not None:
            return self._before_restart(self._anew)
        oldest = next(iter(self._held.values()))[0]
        if now - oldest < self._delay and len(self._held) < self._capacity:
            return None
        return self._give_up(min(distance16(sequence, self._expected) for sequence in self._held))

    def _before_restart(self, anew: int) -> Missing | Restarted:
        """What was held before the restart goes first, without waiting."""
        before = [ahead for sequence in self._held if 0 <= (ahead := distance16(sequence, self._expected)) <= MAX_DROPOUT]
        if before:
            return self._give_up(min(before))
        self._expected, self._anew = anew, None
        self._given_up.clear()
        return RESTARTED

    def _give_up(self, count: int) -> Missing:
        for ahead in range(max(count - MAX_MISORDER, 0), count):
            self._given_up.append((self._expected + ahead) & 0xFFFF)
        self._expected = (self._expected + count) & 0xFFFF
        return Missing(count)

    def clear(self) -> int:
        """Forget everything: the next packet is the first. How many packets were held."""
        held = len(self._held) + (self._stray is not None)
        self._held.clear()
        self._given_up.clear()
        self._stray = self._anew = None
        self._expected = -1
        return held
