"""One server's watched channels: which of them gets the seat, what is done when it cannot be entered, and when the bot leaves."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from moderation import notices
from moderation.endings import EMPTIED, SWITCHED
from moderation.errors import JoinStopped, ModerationError
from moderation.minutes import MinuteBook
from moderation.ports import Presence
from moderation.refusals import Refusal, Refusals
from moderation.returning import TELL_ATTEMPTS, Return
from moderation.seating import SeatBook
from moderation.seats import Seat, WatchedReport, choose
from moderation.sessions import Running, SessionManager
from moderation.supervisor import Supervisor

log = logging.getLogger(__name__)

MAX_AT_ONCE = 16
"""Servers in which the bot enters or leaves a channel at the same time; the others wait their turn."""
ALONE_SECONDS = 120.0
"""With nobody but bots in the channel for so long, the bot leaves."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all servers use."""

    sessions: SessionManager
    supervisor: Supervisor
    presence: Presence
    minutes: MinuteBook
    seats: SeatBook
    now: Callable[[], datetime]
    """Wall time, UTC."""
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_AT_ONCE))


class WatchedServer:
    """What is known of one server, and what is done in it."""

    def __init__(self, guild_id: int, shared: Shared) -> None:
        self.id = guild_id
        self.order: tuple[int, ...] = ()
        self.held: set[int] = set()
        """A moderator sent the bot away from there: not entered again before everybody has left."""
        self.changing = asyncio.Lock()
        """Held while `order` is changed and saved."""
        self._shared = shared
        self._refusals = Refusals()
        self._alone_since: datetime | None = None

    def deleted(self) -> set[int]:
        """Watched channels that are no more."""
        presence = self._shared.presence
        return {channel for channel in self.order if not presence.name(self.id, channel)} if presence.knows(self.id) else set()

    def set_order(self, order: Sequence[int]) -> None:
        """These are watched from now on."""
        for channel in set(self.order) - set(order):
            self._over(channel)
            self._shared.minutes.drop(self.id, channel)
        self.order = tuple(order)
        self._refusals.keep(order)

    def report(self) -> list[WatchedReport]:
        """The watched channels in their order, and how each fared."""
        return [self._report(channel) for channel in self.order]

    def _report(self, channel_id: int) -> WatchedReport:
        counted = self._shared.minutes.of(self.id, channel_id, self._shared.now())
        people, refusal = self._shared.presence.people(self.id, channel_id), self._refusals.of(channel_id)
        return WatchedReport(
            channel_id=channel_id,
            people=people,
            uncovered_seconds=counted.uncovered,
            down_seconds=counted.down,
            since=counted.since,
            held=channel_id in self.held,
            refused_since=refusal.since if refusal else None,
            refused_why=refusal.why if refusal else "",
        )

    def count(self, now: datetime, seconds: float) -> None:
        """So many seconds have passed."""
        running = self._running()
        current = running.session.channel_id if running is not None else None
        for channel in self.order:
            if not self._shared.presence.people(self.id, channel):
                self.held.discard(channel)
                self._over(channel)
                continue
            if channel == current:
                self._entered(channel)
            if channel != current or running is None or not running.hearing:
                self._shared.minutes.of(self.id, channel, now).uncovered += seconds

    async def act(self) -> None:
        """Enter the channel that is to be entered now, or leave. Not to be called again before it has returned."""
        shared, running = self._shared, self._running()
        lost = shared.supervisor.returning(self.id)
        if lost is not None:
            await self._give_way(lost)
            return
        if running is None or shared.seats.by_watch(self.id):
            wanted = self._wanted(running)
            if wanted is not None:
                await self._enter(wanted, running)
                return
        if running is None:
            self._alone_since = None
        else:
            await self._leave_when_alone(running)

    async def _give_way(self, lost: Return) -> None:
        """A watched channel that cannot be returned to keeps the bot from no other."""
        if lost.attempts < TELL_ATTEMPTS or not self._shared.seats.by_watch(self.id):
            return
        channel_id = lost.session.channel_id
        if self._wanted(None, but=channel_id) is None:
            return
        await self._shared.supervisor.give_way(self.id)
        if self._running() is None:
            self._refusals.add(channel_id, lost.why, self._shared.now(), tried=True, failures=lost.attempts)

    def _running(self) -> Running | None:
        return self._shared.sessions.running(self.id)

    # Entering.

    def _wanted(self, running: Running | None, *, but: int = 0) -> int | None:
        """The channel to go to; None: stay. What is seen to stand in the way of a channel is noted, and the next one looked at."""
        shared, now = self._shared, self._shared.now()
        current = running.session.channel_id if running is not None else None
        people = {channel: shared.presence.people(self.id, channel) for channel in {*self.order, *([current] if current else [])}}
        while True:
            out = self.held | {but} | self._refusals.waiting(now, in_call=running is not None)
            wanted = choose(self.order, people, out, current)
            if wanted is None or wanted == current:
                return None
            obstacle = shared.presence.obstacle(self.id, wanted)
            if obstacle is None:
                return wanted
            self._refused(wanted, obstacle.why)

    async def _enter(self, channel_id: int, running: Running | None) -> None:
        async with self._shared.room:
            if self._running() is not running:  # a moderator was quicker
                return
            if running is not None:
                await self._shared.sessions.stop(self.id, SWITCHED)
            if await self._join(channel_id, left=running is not None) or running is None:
                return
            log.warning("going back to the channel before", extra={"channel_id": running.session.channel_id})
            await self._join(running.session.channel_id)

    async def _join(self, channel_id: int, *, left: bool = False) -> bool:
        """Whether nothing more is to be done: the bot is there, or where a moderator wants it. `left`: another call was left for this."""
        shared = self._shared
        if self._running() is not None or shared.sessions.joining(self.id):
            return True
        name = shared.presence.name(self.id, channel_id)
        shared.seats.take(Seat(self.id, channel_id, name, by_watch=True))
        why = ""
        try:
            await shared.sessions.start(self.id, channel_id, name)
            return True
        except JoinStopped:
            self.held.add(channel_id)
            shared.seats.give_up(self.id)
            return True
        except ModerationError as error:
            log.warning("a watched channel could not be entered", extra={"channel_id": channel_id, "code": error.code})
            why = str(error)
        except Exception:  # whatever it is, it must not end the other calls
            log.exception("a watched channel could not be entered", extra={"channel_id": channel_id})
        if self._running() is not None:  # a moderator was quicker
            return True
        shared.seats.give_up(self.id)
        self._refused(channel_id, why, tried=True, at_once=left)
        return False

    def _refused(self, channel_id: int, why: str, *, tried: bool = False, at_once: bool = False) -> None:
        refusal = self._refusals.add(channel_id, why, self._shared.now(), tried=tried)
        if (refusal.failures >= TELL_ATTEMPTS or at_once) and refusal.told != why:
            refusal.told = why
            self._shared.supervisor.tell(notices.not_entered(self.id, channel_id, refusal.since, why))

    def _entered(self, channel_id: int) -> None:
        refusal = self._refusals.drop(channel_id, entered=True)
        if refusal is not None and refusal.told is not None:
            self._shared.supervisor.tell(notices.entered(self.id, channel_id, refusal.since, self._shared.now()))

    def _over(self, channel_id: int) -> None:
        """Nobody is there any more, or it is watched no more."""
        refusal: Refusal | None = self._refusals.drop(channel_id)
        if refusal is not None and refusal.told is not None:
            now = self._shared.now()
            self._shared.supervisor.tell(notices.not_entered(self.id, channel_id, refusal.since, refusal.why, until=now))

    # Leaving.

    async def _leave_when_alone(self, running: Running) -> None:
        now = self._shared.now()
        if self._shared.presence.people(self.id, running.session.channel_id):
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif (now - self._alone_since).total_seconds() >= ALONE_SECONDS:
            self._alone_since = None
            async with self._shared.room:
                if self._running() is running:
                    await self._shared.sessions.stop(self.id, EMPTIED if running.session.channel_id in self.order else "alone")
