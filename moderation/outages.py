"""What one running session's health comes to, step by step: events and the notices of who was not heard. Pure: time is an argument."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from moderation import notices
from moderation.events import Event, SpeakerHeardAgain, SpeakerUnheard
from moderation.health import CallHealth
from moderation.models import Session
from moderation.notices import Missed, Notice

TELL_SECONDS = 10.0
"""An outage that new keys do not end by then is told to moderators; shorter ones show in the coverage."""
MAX_MISSED = 200
"""Outages remembered for one notice; beyond, the oldest are dropped from it."""


@dataclass(slots=True)
class Outages:
    """Of one session. At most one notice about speech at a time, one about deafening, one about overload, each edited as it changes."""

    session: Session
    tell_after: float = TELL_SECONDS
    """Seconds."""
    _deaf: dict[int, Missed] = field(default_factory=dict)
    _told: list[Missed] = field(default_factory=list)
    _deafened: datetime | None = None
    _left_out_since: datetime | None = None
    _left_out_told: bool = False
    _number: int = 0

    def look(self, health: CallHealth, now: datetime, *, left_out: bool = False) -> Iterator[Event | Notice]:
        """`now`: UTC. `left_out`: nothing of the channel is heard because the machine is overloaded. What is new since the last look."""
        unheard = {each.speaker.id: each for each in health.unheard}
        for speaker_id, each in unheard.items():
            if speaker_id not in self._deaf:
                missed = self._deaf[speaker_id] = Missed(each.speaker, now - timedelta(seconds=each.seconds), silent=each.silent)
                yield SpeakerUnheard(self.session, each.speaker, missed.since)
        recovered = [missed for speaker_id, missed in self._deaf.items() if speaker_id not in unheard]
        for missed in recovered:
            del self._deaf[missed.speaker.id]
            yield SpeakerHeardAgain(self.session, missed.speaker, missed.since, (now - missed.since).total_seconds())
        yield from self._notice(recovered, now)
        yield from self._deafening(health.server_deafened, now)
        yield from self._leaving_out(left_out, now)

    def end(self, now: datetime) -> Iterator[Notice]:
        """The session is over: what the standing notices say from now on."""
        yield from self._leaving_out(False, now)
        if any(missed.until is None for missed in self._told):
            yield notices.not_heard(self.session, self._told, self._key("unheard"), over=True)

    def forget(self, user_id: int) -> Iterator[Notice]:
        """Name that member no more: the standing notice as it is without them. Should they stay unheard, it begins anew."""
        self._deaf.pop(user_id, None)
        kept = [missed for missed in self._told if missed.speaker.id != user_id]
        if len(kept) == len(self._told):
            return
        key, self._told = self._key("unheard"), kept
        yield notices.not_heard(self.session, kept, key) if kept else notices.forgotten(self.session, key)
        if not any(missed.until is None for missed in kept):
            self._told, self._number = [], self._number + 1

    def _notice(self, recovered: list[Missed], now: datetime) -> Iterator[Notice]:
        before = list(self._told)
        for missed in self._deaf.values():
            if missed not in self._told and (now - missed.since).total_seconds() >= self.tell_after:
                self._told.append(missed)
        for missed in recovered:
            if missed in self._told:
                self._told[self._told.index(missed)] = replace(missed, until=now)
        del self._told[:-MAX_MISSED]
        if self._told != before:
            yield notices.not_heard(self.session, self._told, self._key("unheard"))
        if self._told and all(missed.until for missed in self._told):
            self._told, self._number = [], self._number + 1

    def _deafening(self, deafened: bool, now: datetime) -> Iterator[Notice]:
        if deafened and self._deafened is None:
            self._deafened = now
            yield notices.deafened(self.session, now, None, self._key("deafened"))
        elif not deafened and self._deafened is not None:
            since, self._deafened = self._deafened, None
            yield notices.deafened(self.session, since, now, self._key("deafened"))
            self._number += 1

    def _leaving_out(self, left_out: bool, now: datetime) -> Iterator[Notice]:
        """One message a session: overload comes and goes."""
        if left_out and self._left_out_since is None:
            self._left_out_since = now
        if self._left_out_since is None or (now - self._left_out_since).total_seconds() < self.tell_after:
            if not left_out:
                self._left_out_since = None
            return
        if left_out and not self._left_out_told:
            self._left_out_told = True
            yield notices.left_out(self.session, self._left_out_since, None, f"{self.session.id} left-out")
        elif not left_out:
            since, self._left_out_since, self._left_out_told = self._left_out_since, None, False
            yield notices.left_out(self.session, since, now, f"{self.session.id} left-out")

    def _key(self, what: str) -> str:
        return f"{self.session.id} {what} {self._number}"
