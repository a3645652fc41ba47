"""Joining by itself: watched channels in their order, the one seat a bot has per server, and returning to it after a restart.

every second ─▶ who is where? ─▶ choose() ─▶ start, switch, or leave when alone; minutes nobody covered are counted
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from moderation.endings import SWITCHED, comes_back
from moderation.errors import NotAllowed, NotFound, StorageError
from moderation.events import Event, SessionAbandoned, SessionEnded, SessionMoved, SessionStarted
from moderation.minutes import MinuteBook
from moderation.ports import Presence, WatchStore
from moderation.seating import SeatBook
from moderation.seats import Seat, WatchedReport
from moderation.sessions import SessionManager
from moderation.supervisor import Supervisor
from moderation.watched_server import Shared, WatchedServer

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks."""
READY_SECONDS = 0.1
"""Between two questions whether the servers are known yet."""
MAX_WATCHED = 25
"""Channels a server may have watched."""


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
        self._servers: dict[int, WatchedServer] = {}
        self._loaded = False
        self._minutes = MinuteBook(store, now())
        self._seats = SeatBook(store)
        self._shared = Shared(sessions, supervisor, presence, self._minutes, self._seats, now)
        self._group = asyncio.TaskGroup()
        self._acting: dict[int, asyncio.Task[None]] = {}
        """By server: at most one at a time."""
        self._awaited: list[Seat] = []

    # What moderators ask for.

    async def watch(self, guild_id: int, channel_id: int, priority: int | None = None) -> Sequence[int]:
        """Watch it at that place (1 is first; None: last, or where it is); the channels in their order. Raises `NotAllowed`."""
        self._check_loaded()
        if (obstacle := self._presence.obstacle(guild_id, channel_id)) is not None and obstacle.lasting:
            raise NotAllowed(obstacle.why)
        server = self._server(guild_id)
        async with server.changing:
            return await self._insert(server, channel_id, priority)

    async def _insert(self, server: WatchedServer, channel_id: int, priority: int | None) -> Sequence[int]:
        order = [channel for channel in server.order if channel != channel_id]
        if len(order) >= MAX_WATCHED:
            raise NotAllowed(f"{MAX_WATCHED} channels are watched already, the most there can be. `/voice unwatch` one first.")
        before = server.order.index(channel_id) if channel_id in server.order else len(order)
        order.insert(before if priority is None else priority - 1, channel_id)
        await self._store.set_watched(server.id, order)
        server.set_order(order)
        server.held.discard(channel_id)
        self._minutes.of(server.id, channel_id, self._now())
        return server.order

    async def unwatch(self, guild_id: int, channel_id: int) -> None:
        """No longer join it by itself; a session there goes on. Raises `NotFound`."""
        self._check_loaded()
        server = self._server(guild_id)
        async with server.changing:
            if channel_id not in server.order:
                raise NotFound(f"<#{channel_id}> is not watched. `/voice status` lists what is.")
            order = [channel for channel in server.order if channel != channel_id]
            await self._store.set_watched(guild_id, order)
            server.set_order(order)

    @property
    def ready(self) -> bool:
        """Whether it is known what is watched."""
        return self._loaded

    def report(self, guild_id: int) -> Sequence[WatchedReport]:
        """The watched channels in their order, how long people were there without being heard, and what stands in the way."""
        return self._server(guild_id).report()

    # What happens.

    async def emit(self, event: Event) -> None:
        """Take one event; never waits."""
        match event:
            case SessionStarted(session) | SessionMoved(session):
                self._seats.follow(session)
                self._server(session.guild_id)  # looked at from now on
            case SessionEnded(session, _, reason) if reason != "shutdown" and not comes_back(reason):
                self._seats.give_up(session.guild_id)
                if reason in ("stopped", "voice-removed"):
                    self._server(session.guild_id).held.add(session.channel_id)
            case SessionAbandoned(session, reason) if reason == SWITCHED:
                self._seats.give_up(session.guild_id)
            case SessionAbandoned(session):
                self._seats.give_up(session.guild_id)
                self._server(session.guild_id).held.add(session.channel_id)
            case _:
                pass

    async def run(self) -> None:
        """Take the seats of before the restart again, then look until cancelled."""
        try:
            while not (self._loaded or (self._presence.ready() and await self._load())):
                await self._sleep(READY_SECONDS)
            async with asyncio.TaskGroup() as self._group:
                before = self._now()
                while True:
                    await self._sleep(LOOK_SECONDS)
                    now = self._now()
                    self._restore()
                    for server in list(self._servers.values()):
                        self._look(server, now, (now - before).total_seconds())
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
            server = self._server(each.guild_id)
            server.set_order([*server.order, each.channel_id])
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

    def _look(self, server: WatchedServer, now: datetime, seconds: float) -> None:
        """Count, and act unless that still goes on. One server's trouble must neither end nor hold up the other calls."""
        try:
            server.count(now, seconds)
        except Exception:
            log.exception("a server could not be looked at", extra={"guild_id": server.id})
        if server.id not in self._acting:
            self._acting[server.id] = self._group.create_task(self._act(server), name=f"watch {server.id}")

    async def _act(self, server: WatchedServer) -> None:
        try:
            await self._drop_deleted(server)
            await server.act()
        except Exception:
            log.exception("a server could not be looked after", extra={"guild_id": server.id})
        finally:
            del self._acting[server.id]

    async def _drop_deleted(self, server: WatchedServer) -> None:
        """Channels that were deleted, now or while the bot was away, are watched no more."""
        if not server.deleted():
            return
        async with server.changing:
            deleted = server.deleted()
            server.set_order([channel for channel in server.order if channel not in deleted])
            log.info("watched channels were deleted", extra={"guild_id": server.id, "channels": len(deleted)})
            try:
                await self._store.set_watched(server.id, server.order)
            except StorageError as error:  # the next start finds them deleted again
                log.error("that watched channels were deleted was not saved", extra={"guild_id": server.id, "code": error.code})

    def _check_loaded(self) -> None:
        if not self._loaded:
            raise NotAllowed("I have just started and do not know yet what is watched. Try again in a few seconds.")

    def _server(self, guild_id: int) -> WatchedServer:
        if guild_id not in self._servers:
            self._servers[guild_id] = WatchedServer(guild_id, self._shared)
        return self._servers[guild_id]
