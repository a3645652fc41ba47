"""What was said last in the calls that go on, for whoever opens the live page in mid-call. In memory alone, and not for long."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from bot.api.feed_messages import Message, session_json
from moderation.events import AlertRaised, AlertRevised, Event, SegmentFlagged, SegmentTranscribed
from moderation.models import Session

MAX_LINES = 100
"""Finished sentences of one call; the oldest goes first."""
MAX_ALERTS = 30
"""Alerts of one call; the oldest goes first."""
MAX_CALLS = 200
"""Calls; the one that began first goes first."""
KEPT_SECONDS = 3600.0
"""Nothing older is told."""


@dataclass(frozen=True, slots=True)
class _Told:
    at: float
    user_id: int
    message: Message


@dataclass(frozen=True, slots=True)
class _Call:
    guild_id: int
    lines: OrderedDict[str, _Told] = field(default_factory=OrderedDict)
    alerts: OrderedDict[str, _Told] = field(default_factory=OrderedDict)

    def clear(self, doomed: Callable[[_Told], bool]) -> int:
        """Drop what is doomed; how much."""
        gone = 0
        for kept in (self.lines, self.alerts):
            for key in [key for key, told in kept.items() if doomed(told)]:
                del kept[key]
                gone += 1
        return gone


class Recent:
    """Sentences and alerts by call. Who is no longer to be heard, or asked for deletion, is not in it."""

    def __init__(
        self, heard: Callable[[int, int], bool] = lambda guild, user: True, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`heard`: whether that server hears that user; `clock`: monotonic seconds."""
        self._heard = heard
        self._clock = clock
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self.dropped = 0
        """Sentences and alerts that made room for newer ones, since the start."""

    def __len__(self) -> int:
        return sum(len(call.lines) + len(call.alerts) for call in self._calls.values())

    def take(self, event: Event, told: Message) -> None:
        """Remember the event's message, in place of an earlier one about the same sentence or alert."""
        match event:
            case AlertRaised(alert) | AlertRevised(alert):
                kept, key, user_id, most = self._call(alert.session).alerts, alert.id, alert.speaker.id, MAX_ALERTS
            case SegmentTranscribed(session, speaker, segment, _) | SegmentFlagged(session, speaker, segment, _) if segment.final:
                kept, key, user_id, most = self._call(session).lines, segment.id, speaker.id, MAX_LINES
            case _:
                return
        kept[key] = _Told(kept[key].at if key in kept else self._clock(), user_id, told)
        if len(kept) > most:
            kept.popitem(last=False)
            self.dropped += 1

    def tidy(self, running: Collection[str]) -> None:
        """Drop calls other than those, what is too old, and who is not to be heard any more."""
        for session_id in [session_id for session_id in self._calls if session_id not in running]:
            del self._calls[session_id]
        oldest = self._clock() - KEPT_SECONDS
        for call in self._calls.values():
            guild_id = call.guild_id
            call.clear(lambda told, guild_id=guild_id: told.at < oldest or not self._heard(guild_id, told.user_id))  # type: ignore[misc]

    def of(self, session: Session) -> Message:
        """All of one call in one message: sentences first, then alerts, each oldest first."""
        call = self._calls.get(session.id)
        kept = (*call.lines.values(), *call.alerts.values()) if call is not None else ()
        return {"type": "recent", "session": session_json(session), "events": [told.message for told in kept]}

    def forget(self, user_id: int) -> int:
        """Drop everything about that user; how much."""
        return sum(call.clear(lambda told: told.user_id == user_id) for call in self._calls.values())

    def _call(self, session: Session) -> _Call:
        if session.id not in self._calls:
            self._calls[session.id] = _Call(session.guild_id)
            if len(self._calls) > MAX_CALLS:
                _, gone = self._calls.popitem(last=False)
                self.dropped += len(gone.lines) + len(gone.alerts)
        return self._calls[session.id]
