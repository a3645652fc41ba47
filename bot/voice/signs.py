"""Signs that members speak while no voice comes: they begin (op 5) and nothing follows, or break off without the frames that end speech.

Clients send op 5 when they begin, and some only the first time; they end speech with silence frames. One sign is none: somebody may
press push-to-talk and say nothing, or lose their own network in mid-word. Pure: time is an argument.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from bot.voice.deafness import PATIENCE
from bot.voice.stats import SpeakerStats

MEMBERS = 2
"""So many members with a sign each are an outage."""
TIMES = 3
"""And so many signs of one member."""
SETTLED_SECONDS = 1.0
"""A member's first sign counts after so long: the packets may be on their way."""
SIGN_SECONDS = 30.0
"""Older signs are forgotten."""
TALK_SECONDS = 10.0
"""A member is taken to go on speaking for so long at most where nothing tells of an end."""
MAX_SIGNS = 100
"""Members with signs. When full, others are not noted."""


@dataclass(slots=True)
class Sign:
    """Of one member."""

    since: float
    """Monotonic seconds."""
    last: float
    times: int = 1
    talking: bool = True


class Signs:
    """Of all members. Any voice at all voids them: then the line works."""

    def __init__(self) -> None:
        self._signs: dict[int, Sign] = {}
        self._counted: dict[int, tuple[int, int]] = {}
        self._broken_off: set[int] = set()
        self._heard_at = 0.0

    def __len__(self) -> int:
        return len(self._signs)

    def clear(self) -> None:
        """None holds any more."""
        self._signs.clear()
        self._broken_off.clear()

    def began(self, user_id: int, now: float) -> None:
        """That member begins to speak."""
        self._note(user_id, now, now)

    def ended(self, user_id: int) -> None:
        """That member says to have ended."""
        if user_id in self._signs:
            self._signs[user_id].talking = False

    def look(self, speakers: Mapping[int, SpeakerStats], able: Set[int], now: float, *, heard: bool) -> None:
        """`heard`: voice came since the last look. `able`: who is there and may speak; nobody else shows signs."""
        if heard:
            self._signs.clear()
            self._heard_at = now
            self._watch_endings(speakers)
        else:
            for user_id in self._broken_off:
                self._note(user_id, self._heard_at, now)
            self._broken_off.clear()
        self._signs = {user: sign for user, sign in self._signs.items() if user in able and now - sign.last <= SIGN_SECONDS}

    def tell(self, now: float) -> bool:
        """Whether they come to an outage."""
        counting = [sign for sign in self._signs.values() if now - sign.since >= SETTLED_SECONDS]
        enough = len(counting) >= MEMBERS or any(sign.times >= TIMES for sign in counting)
        return enough and now - min(sign.since for sign in counting) >= PATIENCE

    def talking(self, now: float) -> dict[int, float]:
        """Who seems to speak now, since when."""
        return {user: sign.since for user, sign in self._signs.items() if sign.talking and now - sign.last <= TALK_SECONDS}

    def _watch_endings(self, speakers: Mapping[int, SpeakerStats]) -> None:
        """Who has sent packets since the last look, without silence among them, and is known to end with it, is in mid-speech."""
        before, self._counted = self._counted, {user: (stats.received, stats.silence) for user, stats in speakers.items()}
        self._broken_off = {
            user
            for user, (received, silence) in self._counted.items()
            if silence and user in before and received > before[user][0] and silence == before[user][1]
        }

    def _note(self, user_id: int, since: float, now: float) -> None:
        sign = self._signs.get(user_id)
        if sign is not None:
            sign.last, sign.talking, sign.times = now, True, sign.times + 1
        elif len(self._signs) < MAX_SIGNS:
            self._signs[user_id] = Sign(since, now)
