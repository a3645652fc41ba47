"""One attempt to bring an alert to the moderators, and what follows from a failed one.

Discord remembers nonces for minutes only, so every attempt after the first looks for the card before it posts.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from bot.clips import Clips
from bot.pending import DispatchStats, Pending, WaitingRoom
from moderation.errors import ModerationError, StorageError
from moderation.models import Alert
from moderation.ports import AlertDelivery
from moderation.settings import GuildSettings

MAX_REMEMBERED = 2048
"""Alerts whose message can still be edited; the least recently touched goes first."""
FIRST_PAUSE = 0.5
"""Seconds between the first attempts; doubles each time. Discord's Retry-After counts when it is longer."""
LONGEST_PAUSE = 300.0
MAX_ATTEMPTS = 400
MAX_AGE = timedelta(hours=24)
"""An alert is undeliverable after so many attempts, or when it is so old: a day of the longest pauses is about 290 attempts."""
ROW_SECONDS = 1.0
"""How long an attempt waits until the alert is written down: 2 ms as a rule; with a database that is away, until the journal has it."""


class Courier:
    """Looks for the card, posts or edits it, and counts what it did."""

    def __init__(
        self,
        delivery: AlertDelivery,
        clips: Clips,
        settings: Callable[[int], Awaitable[GuildSettings]],
        stats: DispatchStats,
        clock: Callable[[], float],
    ) -> None:
        """`settings`: a guild's, even while the database is away; `clock`: monotonic seconds."""
        self._delivery = delivery
        self._clips = clips
        self._settings = settings
        self._stats = stats
        self._clock = clock

    async def bring(self, item: Pending, alert: Alert, room: WaitingRoom) -> int | None:
        """One attempt; the card's message id, None where the guild chose no channel.

        Raises `ModerationError`, or whatever a delivery raises that nobody foresaw.
        """
        settings = await self._settings(item.guild_id)
        self._clips.cut(item, alert, settings, room)
        if item.safe is not None:
            await asyncio.wait({item.safe}, timeout=ROW_SECONDS)
        if item.message_id is None and item.look:
            item.message_id = await self._delivery.find(alert, settings)
            self._stats.found += item.message_id is not None
        item.look = True
        if item.message_id is not None:
            await self._delivery.edit(alert, settings, item.message_id, item.clip)
            self._stats.edited += 1
            return item.message_id
        message_id = await self._delivery.post(alert, settings, item.clip, late=item.late or item.attempts > 0)
        if message_id is None:
            self._stats.nowhere += 1
        else:
            self._stats.posted += 1
            self._stats.last_delay = self._clock() - alert.raised_at if not item.late else 0.0
        return message_id


def hopeless(item: Pending, error: ModerationError, now: datetime) -> bool:
    """Whether no further attempt is made after this failure; `now`: wall time."""
    final = not error.retryable and not isinstance(error, StorageError)
    return final or item.attempts >= MAX_ATTEMPTS or now - item.since > MAX_AGE


def pause_after(item: Pending, error: ModerationError) -> float:
    """Seconds until the next attempt."""
    doubled: float = FIRST_PAUSE * 2 ** min(item.attempts - 1, 16)
    return max(min(doubled, LONGEST_PAUSE), getattr(error, "retry_after", 0.0))


class PostedCards:
    """The messages of alerts that were delivered, for later revisions."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, int] = OrderedDict()

    def get(self, alert_id: str) -> int | None:
        """The message of that alert."""
        return self._messages.get(alert_id)

    def remember(self, alert_id: str, message_id: int | None) -> None:
        """It was delivered; None: nowhere."""
        if message_id is None:
            return
        self._messages[alert_id] = message_id
        self._messages.move_to_end(alert_id)
        while len(self._messages) > MAX_REMEMBERED:
            self._messages.popitem(last=False)

    def forget(self, user_id: int) -> None:
        """Those of that user, whose id is in their alerts' ids."""
        for alert_id in [i for i in self._messages if f":{user_id}:" in i]:
            del self._messages[alert_id]
