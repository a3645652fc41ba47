"""A bad network, reproducible by seed: loss, duplicates, corruption, reordering, delay."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

HOLD_SECONDS = 0.06
"""A packet held back for reordering goes out after this long even when nothing overtakes it."""
DEFAULT_REORDER_DEPTH = 2

CallLater = Callable[[float, Callable[[], None]], object]


@dataclass
class Impairment:
    """One direction of a network. Probabilities are 0..1 per datagram, drawn in the order in which datagrams come."""

    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    """One random bit flips."""
    reorder: float = 0.0
    depth: int = DEFAULT_REORDER_DEPTH
    """How many later datagrams overtake a held one."""
    delay: float = 0.0
    """Seconds, for every datagram."""
    jitter: float = 0.0
    """Further seconds at most, drawn per datagram; it reorders as well."""
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """How often each thing happened: `lost`, `duplicated`, `corrupted`, `held`, `delayed`."""

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._held: list[_Held] = []

    @property
    def active(self) -> bool:
        """Whether it does anything."""
        return any((self.loss, self.duplicate, self.corrupt, self.reorder, self.delay, self.jitter, self._held))

    def carry(self, datagram: bytes, deliver: Callable[[bytes], None], call_later: CallLater) -> None:
        """Bring a datagram to `deliver`: now, later, changed, twice or never."""
        if not self.active:
            deliver(datagram)
            return
        if self._happens(self.loss, "lost"):
            return
        if self._happens(self.corrupt, "corrupted"):
            datagram = self._flip(datagram)
        copies = 2 if self._happens(self.duplicate, "duplicated") else 1
        for _ in range(copies):
            self._pass(datagram, deliver, call_later)

    def _pass(self, datagram: bytes, deliver: Callable[[bytes], None], call_later: CallLater) -> None:
        if self._happens(self.reorder, "held"):
            held = _Held(datagram, deliver, self.depth)
            self._held.append(held)
            call_later(HOLD_SECONDS, lambda: self._release(held))
            return
        if self.delay or self.jitter:
            self.counts["delayed"] += 1
            call_later(self.delay + self._rng.random() * self.jitter, lambda: deliver(datagram))
        else:
            deliver(datagram)
        for held in tuple(self._held):
            held.ahead -= 1
            if held.ahead <= 0:
                self._release(held)

    def _release(self, held: "_Held") -> None:
        if held in self._held:
            self._held.remove(held)
            held.deliver(held.datagram)

    def _happens(self, probability: float, name: str) -> bool:
        happens = probability > 0 and self._rng.random() < probability
        self.counts[name] += happens
        return happens

    def _flip(self, datagram: bytes) -> bytes:
        bit = self._rng.randrange(len(datagram) * 8)
        flipped = bytearray(datagram)
        flipped[bit // 8] ^= 1 << bit % 8
        return bytes(flipped)


@dataclass(eq=False)
class _Held:
    """A datagram that waits to be overtaken."""

    datagram: bytes
    deliver: Callable[[bytes], None]
    ahead: int
    """Datagrams that still have to overtake it."""
