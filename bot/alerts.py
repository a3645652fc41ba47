"""Brings alerts from the pipeline to the moderators, each once, whatever happens in between.

AlertRaised / AlertRevised ─▶ waiting (one slot per alert: a newer revision replaces an older one) ─▶ row ─▶ clip ─▶ post or edit ─▶ done
                                                    ▲                                                             │ refused, no answer
                                                    └───────── later: look for the card first, then go on ◀───────┘

The row is written before the first attempt, so another process can take over; a database that does not answer at once does not hold
an alert up. What one attempt does, and when the next follows, is in `bot/attempts.py`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

from bot.attempts import Courier, PostedCards, hopeless, pause_after
from bot.clips import Clips
from bot.pending import DispatchStats, Pending, WaitingRoom
from bot.records import AlertLog, AlertSettled, AlertWaiting, Lane, Outcome, alert_without_user
from moderation.errors import DeliveryFailed, ModerationError
from moderation.events import AlertRaised, AlertRevised, Event, SessionEnded
from moderation.models import Alert
from moderation.ports import AlertDelivery, Evidence
from moderation.settings import GuildSettings

log = logging.getLogger(__name__)

MAX_UNDER_WAY = 8
"""Servers whose alerts are under way at once."""


class AlertDispatcher:
    """A `Sink` that posts alerts and keeps their cards up to date."""

    def __init__(
        self,
        delivery: AlertDelivery,
        evidence: Evidence,
        settings: Callable[[int], Awaitable[GuildSettings]],
        records: AlertLog,
        *,
        lane: Lane = Lane.CARD,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`settings`: a guild's, even while the database is away; `clock`: monotonic seconds; `now`: wall time, for rows."""
        self._lane = lane
        self.stats = DispatchStats()
        self._clips = Clips(evidence)
        self._courier = Courier(delivery, self._clips, settings, self.stats, clock)
        self._records = records
        self._clock = clock
        self._now = now
        self._room = WaitingRoom()
        self._under_way: dict[int, Pending] = {}
        self._cards = PostedCards()
        self._news = asyncio.Event()
        self._landed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Alerts, or revisions of them, that the moderators do not have yet."""
        return len(self._room)

    def delayed(self) -> tuple[int, float]:
        """How many were tried in vain or come from an earlier process, and the seconds since the oldest of them was raised."""
        return self._room.delayed(self._now())

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
        self._cards.forget(user_id)
        count = self._room.forget(user_id, self._under_way.values())
        self._news.set()
        return count

    def _accept(self, alert: Alert) -> None:
        item = self._room.get(alert.id)
        if item is None:
            item = Pending(alert, self._now(), self._cards.get(alert.id))
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
            message_id = await self._courier.bring(item, alert, self._room)
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

    def _delivered(self, item: Pending, alert: Alert, message_id: int | None) -> None:
        self._cards.remember(alert.id, message_id)
        item.message_id, item.attempts, item.due, item.look = message_id, 0, 0.0, False
        if item.alert is alert:
            self._room.remove(item)
            self._records.submit(AlertSettled(alert, message_id, Outcome.DELIVERED, self._lane))
        elif self._room.get(alert.id) is item:
            self._write(item)  # a newer revision came meanwhile

    def _put_off(self, item: Pending, error: ModerationError) -> None:
        item.attempts += 1
        extra = {"alert": item.alert.reference, "guild_id": item.guild_id, "code": error.code, "attempt": item.attempts}
        if hopeless(item, error, self._now()):
            log.error("alert is undeliverable", extra=extra | {"reason": str(error)})
            self._room.remove(item)
            self._give_up(item)
            return
        pause = pause_after(item, error)
        log.warning("alert not delivered, trying again", extra=extra | {"seconds": round(pause, 1), "reason": str(error)})
        item.due = self._clock() + pause
        self.stats.retried += 1
        self._write(item, pause)

    def _give_up(self, item: Pending) -> None:
        self.stats.undeliverable += 1
        self._records.submit(AlertSettled(item.alert, item.message_id, Outcome.UNDELIVERABLE, self._lane))

    def _write(self, item: Pending, pause: float = 0.0) -> None:
        after = self._now() + timedelta(seconds=pause) if pause else None
        item.safe = self._records.submit(AlertWaiting(item.alert, item.since, item.message_id, item.attempts, after, self._lane))
