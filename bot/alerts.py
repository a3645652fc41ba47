"""Brings alerts from the pipeline to the moderators: one worker, so that a revision never overtakes its alert.

AlertRaised / AlertRevised ─▶ waiting (one slot per alert: a newer revision replaces an older one) ─▶ clip ─▶ post or edit ─▶ row
"""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from moderation.errors import ModerationError
from moderation.events import AlertRaised, AlertRevised, Event, SessionEnded
from moderation.models import Alert
from moderation.ports import AlertDelivery, AlertStore, Evidence, GuildStore
from moderation.settings import GuildSettings

log = logging.getLogger(__name__)

MAX_WAITING = 256
"""Alerts waiting to be posted or edited. When full, the oldest waiting goes (and is counted): the newest matter to people."""
MAX_REMEMBERED = 2048
"""Alerts whose message can still be edited; the least recently touched goes first."""
ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
"""First pause between attempts; doubles each time."""
LEAD_IN_SECONDS = 5.0
"""Audio before the flagged segment that the evidence clip includes: what led up to it."""


@dataclass(slots=True)
class DispatchStats:
    """What became of the alerts."""

    posted: int = 0
    edited: int = 0
    dropped: int = 0
    failed: int = 0
    nowhere: int = 0
    """Alerts of guilds that set no alert channel."""
    last_delay: float = 0.0
    """Seconds from raising the last alert to Discord's answer."""


class AlertDispatcher:
    """A `Sink` that posts alerts and keeps their cards up to date."""

    def __init__(
        self,
        delivery: AlertDelivery,
        evidence: Evidence,
        guilds: GuildStore,
        store: AlertStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._delivery = delivery
        self._evidence = evidence
        self._guilds = guilds
        self._store = store
        self._clock = clock
        self._waiting: OrderedDict[str, Alert] = OrderedDict()
        self._messages: OrderedDict[str, int] = OrderedDict()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._ended: deque[str] = deque()
        self.stats = DispatchStats()

    async def emit(self, event: Event) -> None:
        """Queue an alert; never waits. An ended session's audio is dropped once its alerts are out."""
        if isinstance(event, SessionEnded):
            self._ended.append(event.session.id)
            self._news.set()
        if not isinstance(event, AlertRaised | AlertRevised):
            return
        alert = event.alert
        if alert.id not in self._waiting and len(self._waiting) >= MAX_WAITING:
            self._waiting.popitem(last=False)
            self.stats.dropped += 1
        self._waiting[alert.id] = alert
        self._idle.clear()
        self._news.set()

    @property
    def waiting(self) -> int:
        """Alerts that wait to be posted or edited."""
        return len(self._waiting)

    def close(self) -> None:
        """No more alerts; `run` returns when all are delivered."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Deliver until closed."""
        while not self._closed:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                _, alert = self._waiting.popitem(last=False)
                await self._deliver(alert)
            while self._ended:
                self._evidence.drop_session(self._ended.popleft())
            self._idle.set()

    async def drained(self) -> None:
        """Wait until nothing is waiting or in flight."""
        await self._idle.wait()

    async def _deliver(self, alert: Alert) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._once(alert)
            except ModerationError as error:
                extra = {"session_id": alert.session.id, "guild_id": alert.session.guild_id, "code": error.code, "attempt": attempt + 1}
                log.warning("alert not delivered", extra=extra)
                if attempt + 1 < ATTEMPTS and error.retryable:
                    await asyncio.sleep(BACKOFF_SECONDS * 2**attempt)
                    continue
                self.stats.failed += 1
            return

    async def _once(self, alert: Alert) -> None:
        settings = await self._guilds.settings(alert.session.guild_id)
        clip = self._clip(alert, settings)
        message_id = self._messages.get(alert.id)
        if message_id is None:
            message_id = await self._delivery.post(alert, settings, clip)
            if message_id is None:
                self.stats.nowhere += 1
            else:
                self.stats.posted += 1
                self.stats.last_delay = self._clock() - alert.raised_at
        else:
            await self._delivery.edit(alert, settings, message_id, clip)
            self.stats.edited += 1
        self._remember(alert.id, message_id)
        await self._store.save_alert(alert, message_id)

    def _clip(self, alert: Alert, settings: GuildSettings) -> bytes | None:
        if not settings.keep_evidence:
            return None
        start, end = alert.evidence_span
        return self._evidence.clip(alert.session.id, alert.speaker.id, start - LEAD_IN_SECONDS, end)

    def _remember(self, alert_id: str, message_id: int | None) -> None:
        if message_id is None:
            return
        self._messages[alert_id] = message_id
        self._messages.move_to_end(alert_id)
        while len(self._messages) > MAX_REMEMBERED:
            self._messages.popitem(last=False)
