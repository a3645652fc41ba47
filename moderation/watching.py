"""Joining by itself: watched channels in their order, the one seat a bot has per server, and returning to it after a restart.

every second ─▶ who is where? ─▶ choose() ─▶ start, switch, or leave when alone; minutes nobody covered are counted
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moderation.errors import ModerationError, NotAllowed, NotFound, StorageError
from moderation.events import Event, SessionAbandoned, SessionEnded, SessionMoved, SessionStarted
from moderation.ports import Presence, WatchStore
from moderation.seats import Seat, WatchedReport
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


def choose(order: Sequence[int], people: Mapping[int, int], held: AbstractSet[int], current: int | None) -> int | None:
    """The channel to be in: the first in `order` with people that is not held; `current` (None: not in one) when nothing is better."""
    wanted = next((channel for channel in order if people.get(channel, 0) and channel not in held), None)
    if wanted is None or current is None:
        return wanted if current is None else current
    if people.get(current, 0) and (current not in order or order.index(current) <= order.index(wanted)):
        return current
    return wanted


@dataclass(slots=True)
class _Guild:
    """What is known of one server."""

    order: list[int] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    """A moderator sent the bot away from there: not entered again before everybody has left."""
    uncovered: dict[int, float] = field(default_factory=dict)
    alone_since: datetime | None = None
    failures: int = 0
    next_try: datetime | None = None
    seat: Seat | None = None
    saved: Seat | None = None
    """What the database has."""


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
        self.since = now()
        """Since when uncovered time is counted."""

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
        guild.uncovered.pop(channel_id, None)

    @property
    def ready(self) -> bool:
        """Whether it is known what is watched."""
        return self._loaded

    def report(self, guild_id: int) -> Sequence[WatchedReport]:
        """The watched channels in their order, and how long people were there without being heard."""
        guild = self._guild(guild_id)
        return [WatchedReport(c, self._presence.people(guild_id, c), guild.uncovered.get(c, 0.0), c in guild.held) for c in guild.order]

    # What happens.

    async def emit(self, event: Event) -> None:
        """Take one event; never waits."""
        match event:
            case SessionStarted(session) | SessionMoved(session):
                guild = self._guild(session.guild_id)
                by_watch = guild.seat is not None and guild.seat.by_watch and guild.seat.channel_id == session.channel_id
                guild.seat = Seat(session.guild_id, session.channel_id, session.channel_name, by_watch)
            case SessionEnded(session, _, reason) if reason != "shutdown" and not comes_back(reason):
                guild = self._guild(session.guild_id)
                guild.seat = None
                if reason in ("stopped", "voice-removed"):
                    guild.held.add(session.channel_id)
            case SessionAbandoned(session):
                guild = self._guild(session.guild_id)
                guild.seat = None
                guild.held.add(session.channel_id)
            case _:
                pass

    async def run(self) -> None:
        """Take the seats of before the restart again, then look until cancelled."""
        try:
            while not (self._presence.ready() and await self._load()):
                await self._sleep(READY_SECONDS)
            before = self._now()
            while True:
                await self._sleep(LOOK_SECONDS)
                now = self._now()
                for guild_id in list(self._guilds):
                    await self._look(guild_id, now, (now - before).total_seconds())
                before = now
                await self._save()
        finally:
            await self._save()

    async def _load(self) -> bool:
        try:
            watched, seats = await self._store.watched(), await self._store.seats()
        except StorageError as error:
            log.error("watched channels could not be read, trying again", extra={"code": error.code})
            return False
        for each in watched:
            self._guild(each.guild_id).order.append(each.channel_id)
        for seat in seats:
            guild = self._guild(seat.guild_id)
            guild.saved = seat
            if self._sessions.running(seat.guild_id) is None:
                guild.seat = seat
                self._supervisor.restore(seat.guild_id, seat.channel_id, seat.channel_name)
        self._loaded = True
        return True

    def _check_loaded(self) -> None:
        if not self._loaded:
            raise NotAllowed("I have just started and do not know yet what is watched. Try again in a few seconds.")

    async def _save(self) -> None:
        for guild_id, guild in self._guilds.items():
            seat = guild.seat
            if seat == guild.saved:
                continue
            try:
                await (self._store.take_seat(seat) if seat is not None else self._store.give_up_seat(guild_id))
                guild.saved = seat
            except StorageError as error:
                log.error("a seat was not saved, trying again", extra={"guild_id": guild_id, "code": error.code})

    # Looking.

    async def _look(self, guild_id: int, now: datetime, seconds: float) -> None:
        guild, running = self._guild(guild_id), self._sessions.running(guild_id)
        current = running.session.channel_id if running is not None else None
        people = {channel: self._presence.people(guild_id, channel) for channel in {*guild.order, *([current] if current else [])}}
        for channel in guild.order:
            if not people[channel]:
                guild.held.discard(channel)
            elif channel != current:
                guild.uncovered[channel] = guild.uncovered.get(channel, 0.0) + seconds
        if self._supervisor.returning(guild_id) is not None:
            return
        mine = current is None or (guild.seat is not None and guild.seat.by_watch)
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
        guild.seat = Seat(guild_id, channel_id, name, by_watch=True)
        try:
            await self._sessions.start(guild_id, channel_id, name)
            guild.failures, guild.next_try, guild.alone_since = 0, None, None
        except ModerationError as error:
            log.warning("a watched channel could not be entered", extra={"channel_id": channel_id, "code": error.code})
            guild.next_try = datetime.fromtimestamp(now.timestamp() + pause_before(guild.failures), UTC)
            guild.failures += 1
            if self._sessions.running(guild_id) is None:  # else a moderator was quicker
                guild.seat = None

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
