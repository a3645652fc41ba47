"""What is left out when the machine is too slow for everybody who speaks: first partials, then silence, then the lowest-risk channel.

One `Shedding` for all sessions of a process, because they share its processors. It knows no clock: tracks report how many media
seconds they are behind, and how much audio passed meanwhile. A level is entered when somebody is far enough behind, and given up,
one at a time, when everybody has kept up for a while; finals are never left out of a channel that is heard.
"""

from collections import Counter
from collections.abc import Callable
from enum import IntEnum

RISE = (1.0, 2.5, 5.0)
"""Seconds behind from which level 1, 2, 3 is entered; a track's inbox holds 10 s."""
FALL = (0.5, 1.0, 2.0)
"""Seconds behind below which level 1, 2, 3 may be given up."""
PATIENCE = 0.5
"""Seconds of audio that a level has to take effect before the next is entered."""
CALM = 3.0
"""Seconds of audio for which everybody must have kept up before a level is given up."""


class Shed(IntEnum):
    """What is left out; each level includes those before."""

    NOTHING = 0
    PARTIALS = 1
    """Transcripts of unfinished sentences, and with them early alerts."""
    SILENCE = 2
    """Pauses within speech, and sound made up for lost packets."""
    CHANNEL = 3
    """Everything said in one channel: the one in which least was found so far. The last channel is never left out."""


class Shedding:
    """The policy."""

    def __init__(self, changed: Callable[[Shed, Shed], None] = lambda before, now: None) -> None:
        """`changed` is told of every change of level."""
        self.level = Shed.NOTHING
        self.entered: Counter[Shed] = Counter()
        """How often each level was entered."""
        self._changed = changed
        self._lags: dict[tuple[str, int], float] = {}
        self._risks: dict[str, int] = {}
        self._since = 0.0
        self._calm = 0.0
        self._left_out: str | None = None

    @property
    def lag(self) -> float:
        """Seconds that whoever is furthest behind is behind."""
        return max(self._lags.values(), default=0.0)

    def opened(self, session_id: str) -> None:
        """A session began."""
        self._risks[session_id] = 0

    def closed(self, session_id: str) -> None:
        """It ended."""
        self._risks.pop(session_id, None)
        for key in [k for k in self._lags if k[0] == session_id]:
            del self._lags[key]
        if self._left_out == session_id:
            self._left_out = self._lowest()
        self._rest()

    def found(self, session_id: str, severity: int) -> None:
        """Something was flagged there: the channel is worth hearing."""
        self._risks[session_id] = self._risks.get(session_id, 0) + severity

    def report(self, session_id: str, speaker_id: int, lag: float, seconds: float) -> Shed:
        """A track takes its next audio.

        Args:
            session_id: the track's session.
            speaker_id: the track's speaker.
            lag: media seconds that it is behind.
            seconds: of audio that it takes.

        Returns:
            What it is to leave out.
        """
        self._lags[session_id, speaker_id] = lag
        if self.level is Shed.CHANNEL and session_id == self._left_out:
            del self._lags[session_id, speaker_id]  # it is not behind, it is left out
        self._adjust(seconds)
        return self.of(session_id)

    def idle(self, session_id: str, speaker_id: int) -> None:
        """A track has nothing to do."""
        self._lags.pop((session_id, speaker_id), None)
        self._rest()

    def of(self, session_id: str) -> Shed:
        """What is left out in that session now."""
        if self.level is Shed.CHANNEL and session_id != self._left_out:
            return Shed.SILENCE
        return self.level

    def _adjust(self, seconds: float) -> None:
        worst = self.lag
        self._since += seconds
        if self.level < Shed.CHANNEL and worst >= RISE[self.level]:
            if self.level is Shed.NOTHING or self._since >= PATIENCE:
                self._enter(Shed(self.level + 1))
            return
        if self.level is Shed.NOTHING or worst >= FALL[self.level - 1]:
            self._calm = 0.0
            return
        self._calm += seconds
        if self._calm >= CALM:
            self._enter(Shed(self.level - 1))

    def _rest(self) -> None:
        """Nobody has anything to do, but those of a channel that is left out: there is no overload."""
        if not self._lags and self.level is not Shed.NOTHING:
            self._enter(Shed.NOTHING)

    def _enter(self, level: Shed) -> None:
        before, self.level = self.level, level
        self._since = self._calm = 0.0
        self._left_out = self._lowest() if level is Shed.CHANNEL else None
        if level > before:
            self.entered[level] += 1
        self._changed(before, level)

    def _lowest(self) -> str | None:
        """The channel with the least findings, of equals the latest; None where there is only one."""
        if len(self._risks) < 2:
            return None
        return min(reversed(self._risks), key=lambda session_id: self._risks[session_id])
