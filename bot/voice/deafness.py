"""Noticing that a connection which looks alive hears nothing: packets come, and none can be opened."""

from enum import StrEnum

FRAMES = 50
"""Refused frames that make a case: one second of one speaker."""

PATIENCE = 3.0
"""Seconds in which nothing opens before something is done; keys that are merely late come sooner. Looking once a second,
a second of refused frames is noticed within 5 s."""

MAX_PATIENCE = 320.0
"""Remedies that do not help are tried ever more rarely, at last this many seconds apart."""


class Remedy(StrEnum):
    """What to try."""

    REKEY = "rekey"
    """Ask for the end-to-end keys anew."""
    REJOIN = "rejoin"
    """Leave and join again: new transport key, new everything."""


class DeafnessWatch:
    """Compares counters of opened and refused frames, as they grow, and names remedies in turn. Time is an argument."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """`patience`: seconds, before the first remedy; it doubles with each that does not help."""
        self._first_patience = self._patience = patience
        self._opened = 0
        self._refused = 0
        self._since: float | None = None
        self.remedies = 0
        """Remedies named since a frame was last opened."""
        self.deaf_since: float | None = None
        """Monotonic seconds of the first refusal since a frame was last opened."""

    def start_over(self, opened: int, refused: int) -> None:
        """Forget what was: nothing is owed from before these counters."""
        self._opened, self._refused, self._since = opened, refused, None
        self.remedies, self._patience, self.deaf_since = 0, self._first_patience, None

    def look(self, opened: int, refused: int, now: float) -> Remedy | None:
        """`opened`, `refused`: frames so far, never falling; `now`: monotonic seconds. The remedy to try now, if any."""
        if opened > self._opened:
            self.start_over(opened, refused)
            return None
        if self._since is None and refused > self._refused:
            self._since = now
            self.deaf_since = self.deaf_since if self.deaf_since is not None else now
        if self._since is None or refused - self._refused < FRAMES or now - self._since < self._patience:
            return None
        self._refused, self._since = refused, None
        self.remedies += 1
        self._patience = min(2 * self._patience, MAX_PATIENCE)
        return Remedy.REKEY if self.remedies % 2 else Remedy.REJOIN
