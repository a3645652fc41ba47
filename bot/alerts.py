"""Brings alerts from the pipeline to the moderators, each once, whatever happens in between.

AlertRaised / AlertRevised ─▶ waiting (one slot per alert: a newer revision replaces an older one) ─▶ row ─▶ clip ─▶ post or edit ─▶ done
                                                    ▲                                                             │ refused, no answer
                                                    └───────── later: look for the card first, then go on ◀───────┘

The row is written before the first attempt, so another process can take over; a database that does not answer at once does not hold
an alert up. Discord remembers nonces for minutes only, so every attempt after the first looks for the card before it posts.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bot.clips import Clips
from bot.pending import DispatchStats, Pending, WaitingRoom
from bot.records import AlertRecord, AlertSettled, AlertWaiting, Outcome, alert_without_user
from moderation.errors import DeliveryFailed, ModerationError, StorageError
from moderation.events import AlertRaised, AlertRevised, Event, SessionEnded
from moderation.models import Alert
from moderation.ports import AlertDelivery, Evidence
from moderation.settings import GuildSettings

log = logging.getLogger(__name__)

MAX_REMEMBERED = 2048
"""Alerts whose message can still be edited; the least recently touched goes first."""
MAX_UNDER_WAY = 8
"""Servers whose alerts are under way at once."""
FIRST_PAUSE = 0.5
"""Seconds between the first attempts; doubles each time. Discord's Retry-After counts when it is longer."""
LONGEST_PAUSE = 300.0
MAX_ATTEMPTS = 400
MAX_AGE = timedelta(hours=24)
"""An alert is undeliverable after so many attempts, or when it is so old: a day of the longest pauses is about 290 attempts."""
ROW_SECONDS = 0.05
"""How long the first attempt waits for the alert's row: usually 2 ms; a database that is away does not hold it up."""


class AlertLog(Protocol):
    """Where it is written down how alerts stand."""

    def submit(self, record: AlertRecord) -> "asyncio.Future[bool]":
        """Write it, without waiting; the future is done once it is safe, or cannot be."""
        ...


class AlertDispatcher:
    """A `Sink` that posts alerts and keeps their cards up to date."""

    def __init__(
        self,
        delivery: AlertDelivery,
        evidence: Evidence,
        settings: Callable[[int], Awaitable[GuildSettings]],
        records: AlertLog,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`settings`: a guild's, even while the database is away; `clock`: monotonic seconds; `now`: wall time, for rows."""
        self._delivery = delivery
        self._clips = Clips(evidence)
        self._settings = settings
        self._records = records
        self._clock = clock
        self._now = now
        self._room = WaitingRoom()
        self._under_way: dict[int, Pending] = {}
        self._messages: OrderedDict[str, int] = OrderedDict()
        self._news = asyncio.Event()
        self._landed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self.stats = DispatchStats()

    @property
    def waiting(self) -> int:
        """Alerts, or revisions of them, that the moderators do not have yet."""
        return len(self._room)

    def delayed(self) -> tuple[int, float]:
        """How many were tried in vain or come from an earlier process, and the seconds since the oldest of them was raised."""
        since = [i.since for i in self._room if not i.fresh]
        return len(since), max(((self._now() - s).total_seconds() for s in since), default=0.0)

    async def emit(self, event: Event) -> None:
        """Queue an alert; never waits. An ended session's audio is dropped once its alerts' clips are cut."""
        if isinstance(event, SessionEnded):
            self._clips.ended(event.session.id)
            self._news.set()
        elif isinstance(event, AlertRaised | AlertRevised):
            self._accept(event.alert)

    def resume(self, waiting: Iterable[AlertWaiting]) -> None:
        """Take up what an earlier process left, before anything is emitted. Any of it may have been posted."""
        for left in sorted(waiting, key=lambda w: w.since):
            due = self._clock() + max(((left.next_attempt_at or left.since) - self._now()).total_seconds(), 0.0)
            self._enter(Pending(left.alert, left.since, left.message_id, left.attempts, due, look=True, late=True))

    async def hurry(self) -> None:
        """Discord is there again: try everything now."""
        for item in self._room:
            item.due = 0.0
        self._news.set()

    def close(self) -> None:
        """No more alerts; `run` returns when each was tried once. The others wait in their rows for the next process."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Deliver until closed."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                self._begin(group)
                self._clips.drop_ended(self._room)
                if not self._room:
                    self._idle.set()
                if self._closed and not self._under_way:
                    return
                await self._until_news_or_due()

    async def drained(self) -> None:
        """Wait until nothing is waiting or under way."""
        await self._idle.wait()

    async def forget(self, user_id: int) -> int:
        """Drop what waits about that user, after what is under way has arrived; how many alerts."""
        while any(alert_without_user(i.alert, user_id) != i.alert for i in self._under_way.values()):
            self._landed.clear()
            await self._landed.wait()
        for alert_id in [i for i in self._messages if f":{user_id}:" in i]:
            del self._messages[alert_id]
        count = 0
        for item in [i for i in self._room if i not in self._under_way.values()]:
            kept = alert_without_user(item.alert, user_id)
            count += kept != item.alert
            if kept is None:
                self._room.remove(item)
            elif kept != item.alert:
                item.alert = kept
        self._news.set()
        return count

    def _accept(self, alert: Alert) -> None:
        item = self._room.get(alert.id)
        if item is None:
            item = Pending(alert, self._now(), self._messages.get(alert.id))
            self._enter(item)
        item.alert = alert
        self._write(item)
        self._news.set()

    def _enter(self, item: Pending) -> None:
        gone = self._room.add(item, self._under_way.values())
        if gone is not None:
            self.stats.dropped += 1
            self._give_up(gone)
        self._idle.clear()

    def _begin(self, group: asyncio.TaskGroup) -> None:
        while len(self._under_way) < MAX_UNDER_WAY:
            item = self._room.next(self._clock(), self._under_way, fresh_only=self._closed)
            if item is None:
                return
            self._under_way[item.guild_id] = item
            group.create_task(self._attempt(item), name=f"alert {item.alert.reference}")

    async def _until_news_or_due(self) -> None:
        due = None if self._closed or len(self._under_way) >= MAX_UNDER_WAY else self._room.next_due(self._under_way)
        try:
            await asyncio.wait_for(self._news.wait(), None if due is None else max(due - self._clock(), 0.0))
        except TimeoutError:
            return

    async def _attempt(self, item: Pending) -> None:
        alert = item.alert
        try:
            message_id = await self._bring(item, alert)
        except ModerationError as error:
            self._put_off(item, error)
        except Exception as error:  # whatever it is, it must not end the bot; no traceback: it could quote somebody
            self._put_off(item, DeliveryFailed(type(error).__name__))
        else:
            self._delivered(item, alert, message_id)
        finally:
            del self._under_way[item.guild_id]
            self._landed.set()
            self._news.set()

    async def _bring(self, item: Pending, alert: Alert) -> int | None:
        settings = await self._settings(item.guild_id)
        self._clips.cut(item, alert, settings, self._room)
        if item.safe is not None and item.fresh:
            await asyncio.wait({item.safe}, timeout=ROW_SECONDS)
        if item.message_id is None and item.look:
            item.message_id = await self._delivery.find(alert, settings)
            self.stats.found += item.message_id is not None
        item.look = True
        if item.message_id is not None:
            await self._delivery.edit(alert, settings, item.message_id, item.clip)
            self.stats.edited += 1
            return item.message_id
        message_id = await self._delivery.post(alert, settings, item.clip, late=item.late or item.attempts > 0)
        if message_id is None:
            self.stats.nowhere += 1
        else:
            self.stats.posted += 1
            self.stats.last_delay = self._clock() - alert.raised_at if not item.late else 0.0
        return message_id

    def _delivered(self, item: Pending, alert: Alert, message_id: int | None) -> None:
        self._remember(alert.id, message_id)
        item.message_id, item.attempts, item.due, item.look = message_id, 0, 0.0, False
        if item.alert is alert:
            self._room.remove(item)
            self._records.submit(AlertSettled(alert, message_id, Outcome.DELIVERED))
        elif self._room.get(alert.id) is item:
            self._write(item)  # a newer revision came meanwhile

    def _put_off(self, item: Pending, error: ModerationError) -> None:
        item.attempts += 1
        final = not error.retryable and not isinstance(error, StorageError)
        extra = {"alert": item.alert.reference, "guild_id": item.guild_id, "code": error.code, "attempt": item.attempts}
        if final or item.attempts >= MAX_ATTEMPTS or self._now() - item.since > MAX_AGE:
            log.error("alert is undeliverable", extra=extra | {"reason": str(error)})
            self._room.remove(item)
            self._give_up(item)
            return
        pause = max(min(FIRST_PAUSE * 2 ** min(item.attempts - 1, 16), LONGEST_PAUSE), getattr(error, "retry_after", 0.0))
        log.warning("alert not delivered, trying again", extra=extra | {"seconds": round(pause, 1), "reason": str(error)})
        item.due = self._clock() + pause
        self.stats.retried += 1
        self._write(item, pause)

    def _give_up(self, item: Pending) -> None:
        self.stats.undeliverable += 1
        self._records.submit(AlertSettled(item.alert, item.message_id, Outcome.UNDELIVERABLE))

    def _write(self, item: Pending, pause: float = 0.0) -> None:
        after = self._now() + timedelta(seconds=pause) if pause else None
        item.safe = self._records.submit(AlertWaiting(item.alert, item.since, item.message_id, item.attempts, after))

    def _remember(self, alert_id: str, message_id: int | None) -> None:
        if message_id is None:
            return
        self._messages[alert_id] = message_id
        self._messages.move_to_end(alert_id)
        while len(self._messages) > MAX_REMEMBERED:
            self._messages.popitem(last=False)
