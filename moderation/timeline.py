"""Maps a recogniser's clock (seconds of audio fed) to media time, and media time to when the audio arrived."""

from bisect import bisect_right
from collections import deque

MAX_STRETCHES = 512
"""Stretches of uninterrupted audio remembered; the oldest goes first. Words older than the memory map to its start."""
ARRIVAL_STEP = 0.1
"""Seconds of media between remembered arrivals."""
MAX_ARRIVALS = 600
"""Arrivals remembered: one minute of speech."""
TOLERANCE = 0.001
"""Seconds by which a frame may miss the end of the one before and still continue it (rounding of sample counts)."""


class Timeline:
    """One speaker's clock. A recogniser is fed only what was said, so its seconds and media seconds part at every pause."""

    def __init__(self) -> None:
        self._stretches: deque[tuple[float, float]] = deque(maxlen=MAX_STRETCHES)
        self._arrivals: deque[tuple[float, float]] = deque(maxlen=MAX_ARRIVALS)
        self.fed = 0.0
        """Seconds fed in all."""
        self.media = 0.0
        """Media seconds at the end of what was fed."""

    def advance(self, start: float, seconds: float, received_at: float) -> None:
        """`seconds` of audio that start at media second `start` are fed."""
        if not self._stretches or abs(start - self.media) > TOLERANCE:
            self._stretches.append((self.fed, start))
            self.media = start
        self.fed += seconds
        self.media += seconds
        if not self._arrivals or self.media - self._arrivals[-1][0] >= ARRIVAL_STEP or self.media < self._arrivals[-1][0]:
            self._arrivals.append((self.media, received_at))

    def restart(self) -> None:
        """A new recogniser: its seconds count from 0 again."""
        self._stretches.clear()
        self.fed = 0.0

    def to_media(self, fed: float, *, end: bool = False) -> float:
        """Media second of a recogniser's second; at a seam, `end` picks the stretch that ends there."""
        if not self._stretches:
            return self.media
        fed_starts = [s for s, _ in self._stretches]
        key = fed - TOLERANCE if end else fed + TOLERANCE
        fed_start, media_start = self._stretches[max(bisect_right(fed_starts, key) - 1, 0)]
        return media_start + max(fed - fed_start, 0.0)

    def received_at(self, media: float) -> float:
        """When the audio up to that media second had arrived (monotonic seconds)."""
        later = [received for at, received in self._arrivals if at >= media]
        if later:
            return later[0]
        return self._arrivals[-1][1] if self._arrivals else 0.0
