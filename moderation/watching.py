"""Joining by itself: watched channels in their order, the one seat a bot has per server, and returning to it after a restart.

every second ─▶ who is where? ─▶ choose() ─▶ start, switch, or leave when alone; minutes nobody covered are counted
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moderation.errors import ModerationError, NotAllowed, NotFound, StorageError
from moderation.events import Event, SessionAbandoned, SessionEnded, SessionMoved, SessionStarted
from moderation.minutes import MinuteBook
from moderation.ports import Presence, WatchStore
from moderation.seating import SeatBook
from moderation.seats import Seat, WatchedReport, choose
from moderation.sessions import SessionManager
from moderation.supervisor import Supervisor, comes_back, pause_before

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks."""
READY_SECONDS = 0.1
"""Between two questions whether the servers are known yet."""
ALONE_SECONDS = 120.0
"""With nobody but bots in the channel for so long, the bot leaves."""
MAX_WATCHED = 25
"""Channels a server may have watched."""
SWITCHED = "switched"
"""Why a session ended that gave its seat to a more important channel."""


@dataclass(slots=True)
class _Guild:
    """What is known of one server."""

    order: list[int] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    """A moderator sent the bot away from there: not entered again before everybody has left."""
    alone_since: datetime | None = None
    failures: int = 0
    next_try: datetime | None = None


class Watch:
    """A `Sink` that follows sessions; `run` does the rest."""

    def __init__(
        self,
        sessions: SessionManager,
        supervisor: Supervisor,
        presence: Presence,
        store: WatchStore,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`now` is wall time; `sleep` pauses between looks."""
        self._sessions = sessions
        self._supervisor = supervisor
        self._presence = presence
        self._store = store
        self._now = now
        self._sleep = sleep
        self._guilds: dict[int, _Guild] = {}
        self._loaded = False
        self._minutes = MinuteBook(store, now())
        self._seats = SeatBook(store)
        self._awaited: list[Seat] = []

    # What moderators ask for.

    async def watch(self, guild_id: int, channel_id: int, priority: int | None = None) -> Sequence[int]:
        """Watch it at that place (1 is first; None: last, or where it is); the channels in their order. Raises `NotAllowed`."""
        self._check_loaded()
        guild = self._guild(guild_id)
        order = [channel for channel in guild.order if channel != channel_id]
        if len(order) >= MAX_WATCHED:
            raise NotAllowed(f"{MAX_WATCHED} channels are watched already, the most there can be. `/voice unwatch` one first.")
        before = guild.order.index(channel_id) if channel_id in guild.order else len(order)
        order.insert(before if priority is None else priority - 1, channel_id)
        await self._store.set_watched(guild_id, order)
        guild.order = order
        guild.held.discard(channel_id)
        self._minutes.of(guild_id, channel_id, self._now())
        return tuple(order)

    async def unwatch(self, guild_id: int, channel_id: int) -> None:
        """No longer join it by itself; a session there goes on. Raises `NotFound`."""
        self._check_loaded()
        guild = self._guild(guild_id)
        if channel_id not in guild.order:
            raise NotFound(f"<#{channel_id}> is not watched. `/voice status` lists what is.")
        order = [channel for channel in guild.order if channel != channel_id]
        await self._store.set_watched(guild_id, order)
        guild.order = order
        self._minutes.drop(guild_id, channel_id)

    @property
    def ready(self) -> bool:
        """Whether it is known what is watched."""
        return self._loaded

    def report(self, guild_id: int) -> Sequence[WatchedReport]:
        """The watched channels in their order, and how long people were there without being heard."""
        guild, now = self._guild(guild_id), self._now()
        counted = [(channel, self._minutes.of(guild_id, channel, now)) for channel in guild.order]
        people = self._presence.people
        return [WatchedReport(c, people(guild_id, c), m.uncovered, m.down, m.since, c in guild.held) for c, m in counted]

    # What happens.

    async def emit(self, event: Event) -> None:
        """Take one event; never waits."""
        match event:
            case SessionStarted(session) | SessionMoved(session):
                self._seats.follow(session)
                self._guild(session.guild_id)  # looked at from now on
            case SessionEnded(session, _, reason) if reason != "shutdown" and not comes_back(reason):
                self._seats.give_up(session.guild_id)
                if reason in ("stopped", "voice-removed"):
                    self._guild(session.guild_id).held.add(session.channel_id)
            case SessionAbandoned(session):
                self._seats.give_up(session.guild_id)
                self._guild(session.guild_id).held.add(session.channel_id)
            case _:
                pass

    async def run(self) -> None:
        """Take the seats of before the restart again, then look until cancelled."""
        try:
            while not (self._loaded or (self._presence.ready() and await self._load())):
                await self._sleep(READY_SECONDS)
            before = self._now()
            while True:
                await self._sleep(LOOK_SECONDS)
                now = self._now()
                self._restore()
                for guild_id in list(self._guilds):
                    try:
                        await self._look(guild_id, now, (now - before).total_seconds())
                    except Exception:  # one server's trouble must not end the other calls
                        log.exception("a server could not be looked at", extra={"guild_id": guild_id})
                before = now
                await self._seats.save()
                if self._minutes.due(now):
                    await self._minutes.save(now)
        finally:
            await self._seats.save()
            await self._minutes.save(self._now())

    async def _load(self) -> bool:
        try:
            watched, seats = await self._store.watched(), await self._seats.load()
        except StorageError as error:
            log.error("watched channels could not be read, trying again", extra={"code": error.code})
            return False
        for each in watched:
            self._guild(each.guild_id).order.append(each.channel_id)
        self._minutes.load(watched, self._now())
        for seat in seats:
            if self._sessions.running(seat.guild_id) is None:
                self._seats.take(seat)
                self._awaited.append(seat)
        self._loaded = True
        self._restore()
        return True

    def _restore(self) -> None:
        """Return to the seats of servers that are known by now: shards come one after another, or later."""
        for seat in [seat for seat in self._awaited if self._presence.knows(seat.guild_id)]:
            self._awaited.remove(seat)
            if self._seats.of(seat.guild_id) == seat and self._sessions.running(seat.guild_id) is None:
                self._supervisor.restore(seat.guild_id, seat.channel_id, seat.channel_name)

    def _check_loaded(self) -> None:
        if not self._loaded:
            raise NotAllowed("I have just started and do not know yet what is watched. Try again in a few seconds.")

    # Looking.

    async def _look(self, guild_id: int, now: datetime, seconds: float) -> None:
        guild, running = self._guild(guild_id), self._sessions.running(guild_id)
        current = running.session.channel_id if running is not None else None
        people = {channel: self._presence.people(guild_id, channel) for channel in {*guild.order, *([current] if current else [])}}
        for channel in guild.order:
            if not people[channel]:
                guild.held.discard(channel)
            elif channel != current:
                self._minutes.of(guild_id, channel, now).uncovered += seconds
        if self._supervisor.returning(guild_id) is not None:
            return
        mine = current is None or self._seats.by_watch(guild_id)
        wanted = choose(guild.order, people, guild.held, current) if mine else current
        if wanted is not None and wanted != current:
            await self._enter(guild_id, guild, wanted, now, leaving=current is not None)
        elif current is not None:
            await self._leave_when_alone(guild_id, guild, people[current], now)

    async def _enter(self, guild_id: int, guild: _Guild, channel_id: int, now: datetime, *, leaving: bool) -> None:
        if guild.next_try is not None and now < guild.next_try:
            return
        if leaving:
            await self._sessions.stop(guild_id, SWITCHED)
        name = self._presence.name(guild_id, channel_id)
        self._seats.take(Seat(guild_id, channel_id, name, by_watch=True))
        try:
            await self._sessions.start(guild_id, channel_id, name)
            guild.failures, guild.next_try, guild.alone_since = 0, None, None
        except ModerationError as error:
            log.warning("a watched channel could not be entered", extra={"channel_id": channel_id, "code": error.code})
            guild.next_try = datetime.fromtimestamp(now.timestamp() + pause_before(guild.failures), UTC)
            guild.failures += 1
            if self._sessions.running(guild_id) is None:  # else a moderator was quicker
                self._seats.give_up(guild_id)

    async def _leave_when_alone(self, guild_id: int, guild: _Guild, people: int, now: datetime) -> None:
        if people:
            guild.alone_since = None
        elif guild.alone_since is None:
            guild.alone_since = now
        elif (now - guild.alone_since).total_seconds() >= ALONE_SECONDS:
            guild.alone_since = None
            await self._sessions.stop(guild_id, "alone")

    def _guild(self, guild_id: int) -> _Guild:
        return self._guilds.setdefault(guild_id, _Guild())
