"""Alerts that the moderators do not have yet, and which of them is next.

The order: alerts never tried come first, as they were raised, because a moderator can still act on them; then those that were tried in
vain, newest first, because after an outage the newest matter most. A server has one alert under way at a time, so that a revision never
overtakes its alert and one server's trouble does not hold up another's.
"""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from bot.records import alert_without_user
from moderation.models import Alert

MAX_PENDING = 1024
"""Alerts on their way. When full, the oldest goes (and is counted as undeliverable): the newest matter to people."""


@dataclass(slots=True, eq=False)
class Pending:
    """One alert on its way."""

    alert: Alert
    """Its newest revision."""
    since: datetime
    """Wall time at which it was raised."""
    message_id: int | None = None
    """Its card, once there is one."""
    attempts: int = 0
    """How often it was tried in vain."""
    due: float = 0.0
    """Monotonic seconds before which it is not tried."""
    look: bool = False
    """A card of it may stand in the channel already: look before posting."""
    late: bool = False
    """It comes from an earlier process, whose audio is gone."""
    clip: bytes | None = None
    cut_for: Alert | None = None
    """The revision the clip was cut for."""
    safe: "asyncio.Future[bool] | None" = None
    """Done once its row is written."""

    @property
    def fresh(self) -> bool:
        """Whether it was never tried."""
        return not self.attempts and not self.look

    @property
    def guild_id(self) -> int:
        """The server it is for."""
        return self.alert.session.guild_id


class WaitingRoom:
    """All alerts on their way, those under way included, in the order in which they were raised."""

    def __init__(self) -> None:
        self._items: dict[str, Pending] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Pending]:
        return iter(self._items.values())

    def get(self, alert_id: str) -> Pending | None:
        """The alert, if it waits."""
        return self._items.get(alert_id)

    def add(self, item: Pending, under_way: Collection[Pending] = ()) -> Pending | None:
        """Let it in; who had to go for it, if anybody."""
        gone = None
        if len(self._items) >= MAX_PENDING:
            gone = next(i for i in self if i not in under_way)
            self.remove(gone)
        self._items[item.alert.id] = item
        return gone

    def remove(self, item: Pending) -> None:
        """It is delivered or given up; fine if it is gone already."""
        self._items.pop(item.alert.id, None)

    def next(self, now: float, busy: Collection[int], *, fresh_only: bool = False) -> Pending | None:
        """Whose turn it is; None when nobody's. `busy`: servers with an alert under way."""
        free = [i for i in self if i.guild_id not in busy]
        if (first := next((i for i in free if i.fresh), None)) is not None or fresh_only:
            return first
        return max((i for i in free if i.due <= now), key=lambda i: i.since, default=None)

    def next_due(self, busy: Collection[int]) -> float | None:
        """When the next of those that were tried in vain is due."""
        return min((i.due for i in self if i.guild_id not in busy), default=None)

    def delayed(self, now: datetime) -> tuple[int, float]:
        """How many are not fresh, and the seconds since the oldest of them was raised."""
        since = [i.since for i in self if not i.fresh]
        return len(since), max(((now - s).total_seconds() for s in since), default=0.0)

    def forget(self, user_id: int, under_way: Collection[Pending]) -> int:
        """Drop what waits about that user, but for what is under way; how many alerts."""
        count = 0
        for item in [i for i in self if i not in under_way]:
            kept = alert_without_user(item.alert, user_id)
            count += kept != item.alert
            if kept is None:
                self.remove(item)
            elif kept != item.alert:
                cut_for = item.cut_for
                if cut_for is not None:  # the clip holds the alert's speaker alone: it stays
                    item.cut_for = kept if cut_for is item.alert else alert_without_user(cut_for, user_id)
                item.alert = kept
        return count


@dataclass(slots=True)
class DispatchStats:
    """What became of the alerts."""

    posted: int = 0
    edited: int = 0
    found: int = 0
    """Cards that stood in the channel already although no answer to their posting had come."""
    retried: int = 0
    """Attempts in vain after which another one follows."""
    undeliverable: int = 0
    """Alerts given up: refused for good, too old, tried too often, or too many at once."""
    dropped: int = 0
    """Those of them that were too many at once."""
    nowhere: int = 0
    """Alerts of guilds that set no alert channel."""
    last_delay: float = 0.0
    """Seconds from raising the last alert to Discord's answer."""
