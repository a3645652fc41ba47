"""Watched channels that could not be entered: why, since when, and when each is tried again. Pure: time is an argument."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from moderation.endings import pause_before

FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
"""For so long no call that works is left for a channel where joining failed; it doubles from the first to the longest."""


@dataclass(slots=True)
class Refusal:
    """People are in the channel, and the bot cannot go there."""

    since: datetime
    """UTC."""
    why: str
    """A sentence for moderators; empty where it is not known."""
    next_try: datetime
    failures: int = 1
    told: str | None = None
    """What moderators were told of the reason; None: nothing yet."""


@dataclass(slots=True)
class _Rest:
    """Joining there failed, although nothing was seen to stand in the way."""

    times: int
    until: datetime


class Refusals:
    """Of one server; as many as it has watched channels."""

    def __init__(self) -> None:
        self._refused: dict[int, Refusal] = {}
        self._rests: dict[int, _Rest] = {}

    def of(self, channel_id: int) -> Refusal | None:
        """What stands in the way there."""
        return self._refused.get(channel_id)

    def add(self, channel_id: int, why: str, now: datetime, *, tried: bool = False, failures: int = 1) -> Refusal:
        """It could not be entered. `tried`: nothing was seen to stand in the way. `failures`: how often, so far."""
        if tried:
            times = self._rests[channel_id].times + 1 if channel_id in self._rests else 1
            self._rests[channel_id] = _Rest(times, now + min(FIRST_REST * 2 ** min(times - 1, 8), LONGEST_REST))
        found = self._refused.get(channel_id)
        if found is None:
            found = self._refused[channel_id] = Refusal(now, why, now + timedelta(seconds=pause_before(failures - 1)), failures)
        else:
            found.why, found.next_try = why, now + timedelta(seconds=pause_before(found.failures))
            found.failures += 1
        return found

    def drop(self, channel_id: int, *, entered: bool = False) -> Refusal | None:
        """It was entered, or nobody wants it to be; what stood in the way till now."""
        if entered:
            self._rests.pop(channel_id, None)
        return self._refused.pop(channel_id, None)

    def keep(self, channels: Collection[int]) -> None:
        """Only of these."""
        self._refused = {channel: refusal for channel, refusal in self._refused.items() if channel in channels}
        self._rests = {channel: rest for channel, rest in self._rests.items() if channel in channels}

    def waiting(self, now: datetime, *, in_call: bool) -> set[int]:
        """Channels that are not tried now. `in_call`: another call would be left for them."""
        soon = {channel for channel, refusal in self._refused.items() if now < refusal.next_try}
        return soon | ({channel for channel, rest in self._rests.items() if now < rest.until} if in_call else set())
