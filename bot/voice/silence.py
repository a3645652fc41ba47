"""Noticing that packets stopped coming altogether, while members speak or questions stay unanswered.

A quiet call and a dead line look alike, so what counts is what contradicts quiet: see `bot.voice.signs` and `bot.voice.path`. Keys
cannot help: the remedy is to join again. Pure: time is an argument.
"""

from collections.abc import Mapping, Set

from bot.voice.deafness import MAX_PATIENCE
from bot.voice.path import PathWatch
from bot.voice.rtp import Kind
from bot.voice.signs import TALK_SECONDS, Signs
from bot.voice.stats import CallStats, SpeakerStats

SETTLE_SECONDS = 2.0
"""After joining, op 5 also tells who spoke before: no sign of anything."""
FIRST_PAUSE = 10.0
"""Seconds between the first remedy and the second: joining again takes some itself. It doubles, to `MAX_PATIENCE` at most."""
OVER_SECONDS = 30.0
"""An outage that only signs told of is over when none has come for so long."""
MAX_MISSED = 1024
"""Members whose missed speech is remembered. When full, no others are added."""
NOBODY_KNOWN = 0
"""Stands for whoever may be speaking."""


class SilenceWatch:
    """Of one call, over all its sessions."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._path = PathWatch()
        self._signs = Signs()
        self._ready_at: float | None = None
        self._not_before = self._looked_at = self._last_sign = 0.0
        self._voice = 0
        self._by_path = False
        self._missed: dict[int, float] = {}
        self._unheard: dict[int, float] = {}

    @property
    def unheard(self) -> dict[int, float]:
        """User (or `NOBODY_KNOWN`) → monotonic second since which they are not heard; empty: no outage."""
        return dict(self._unheard)

    def missed(self, user_id: int) -> float:
        """Seconds that this member spoke, as far as can be told, in outages."""
        return self._missed.get(user_id, 0.0)

    # What the connection says.

    def reset(self) -> None:
        """Op 2: a new session begins; until it is ready nothing is to be expected."""
        self._ready_at = None
        self._path.lost()
        self._signs.clear()

    def ready(self, now: float) -> None:
        """Op 4. The handshake went over the path: that one lives."""
        self._ready_at = now
        self._path.ready(now)
        if self._by_path:
            self._unheard.clear()

    def spoke(self, user_id: int, now: float, *, speaking: bool) -> None:
        """Op 5: that member begins to speak, or ends."""
        if not speaking:
            self._signs.ended(user_id)
        elif self._ready_at is not None and now - self._ready_at >= SETTLE_SECONDS:
            self._signs.began(user_id, now)
            self._last_sign = now

    # Looking.

    def look(self, speakers: Mapping[int, SpeakerStats], call: CallStats, able: Set[int], now: float) -> bool:
        """Whether to join again now. `able`: who is there and may speak and be heard. Called about twice a second while connected."""
        voice = call.datagrams - sum(call.ignored.values())
        heard, self._voice = voice > self._voice, voice
        answers = call.ignored.get(Kind.KEEPALIVE, 0) + call.ignored.get(Kind.DISCOVERY, 0)
        self._path.saw(call.datagrams, answers, now)
        self._signs.look(speakers, able, now, heard=heard)
        self._count_missed(now)
        self._end_outage(able, now, heard=heard)
        dead = self._path.dead(now)
        if self._ready_at is None or not (dead or self._signs.tell(now)):
            return False
        self._note(now, dead=dead)
        if now < self._not_before:
            return False
        self._not_before, self._pause = now + self._pause, min(2 * self._pause, MAX_PATIENCE)
        return True

    def asks(self, now: float) -> bool:
        """Whether the voice server is to be asked for a sign of life now; if so, it counts as asked. To be called after `look`."""
        return self._path.asks(now, suspicious=bool(self._signs.talking(now)))

    def _note(self, now: float, *, dead: bool) -> None:
        if not self._unheard:
            self._by_path = dead
        for user_id, since in self._signs.talking(now).items():
            if user_id not in self._unheard:
                self._unheard[user_id] = since
                self._miss(user_id, min(now - since, TALK_SECONDS))
        if not self._unheard:
            self._unheard[NOBODY_KNOWN] = self._path.alive_at

    def _count_missed(self, now: float) -> None:
        elapsed, self._looked_at = now - self._looked_at, now
        for user_id in self._signs.talking(now).keys() & self._unheard.keys():
            self._miss(user_id, elapsed)

    def _miss(self, user_id: int, seconds: float) -> None:
        if user_id in self._missed or len(self._missed) < MAX_MISSED:
            self._missed[user_id] = self._missed.get(user_id, 0.0) + seconds

    def _end_outage(self, able: Set[int], now: float, *, heard: bool) -> None:
        for user_id in self._unheard.keys() - able - {NOBODY_KNOWN}:
            del self._unheard[user_id]
        if heard:
            self._unheard.clear()
            self._pause, self._not_before = FIRST_PAUSE, 0.0
        elif not self._by_path and not self._signs and now - self._last_sign > OVER_SECONDS:
            self._unheard.clear()
