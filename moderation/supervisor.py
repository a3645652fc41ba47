"""Keeps sessions alive: joins again when one ended and nobody decided so, and tells moderators what they did not hear.

SessionEnded ─▶ comes_back(reason)? ─▶ Returns: 1, 2, 4 … 60 s between attempts ─▶ SessionResumed | SessionAbandoned
every second ─▶ Outages of each running session ─▶ SpeakerUnheard, SpeakerHeardAgain, one message to moderators
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

from moderation import notices
from moderation.endings import DECIDED, SWITCHED, comes_back
from moderation.events import Event, SessionEnded, SessionInterrupted
from moderation.models import Session
from moderation.notices import Notice
from moderation.outages import Outages
from moderation.ports import NoticeBoard, Sink
from moderation.returning import Return, Returns
from moderation.sessions import Running, SessionManager
from moderation.shedding import Shed
from moderation.standing import StandingMessages

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at the running sessions."""
EDIT_SECONDS = 5.0
"""How long a deletion waits for notices to be edited; later ones are edited all the same."""


class Supervisor:
    """A `Sink` for `SessionEnded`; `run` does the rest."""

    def __init__(
        self,
        sessions: SessionManager,
        board: NoticeBoard,
        sink: Sink,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`now` is wall time; `sleep` pauses between attempts and looks."""
        self._sessions = sessions
        self._sink = sink
        self._now = now
        self._sleep = sleep
        self._group = asyncio.TaskGroup()
        self._open = False
        self._returns = Returns(sessions, sink, self.tell, now, sleep)
        self._outages: dict[str, Outages] = {}
        self.messages = StandingMessages(board)

    @property
    def away_seconds(self) -> dict[int, float]:
        """Guild → seconds in which a lost call was not listened to, since the start."""
        return self._returns.away_seconds

    def returning(self, guild_id: int) -> Return | None:
        """What is being tried there now."""
        return self._returns.of(guild_id)

    async def stop(self, guild_id: int) -> Session | None:
        """A moderator wants no return; the session that was lost, None when no return was under way."""
        return await self._returns.stop(guild_id)

    async def give_way(self, guild_id: int) -> None:
        """Return no more: another watched channel has people."""
        why = "I go to another watched channel that has people, and come here again when I can."
        await self._returns.stop(guild_id, SWITCHED, why)

    async def forget(self, user_id: int) -> int:
        """Name that member in no notice that is to be posted or edited; how many did. Those that stand are another place's affair."""
        if not self._open:
            return 0
        changed = [notice for outages in self._outages.values() for notice in outages.forget(user_id)]
        for notice in changed:
            self.tell(notice)
        keys = {notice.key for notice in changed} | set(self.messages.forget(user_id, self._group))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EDIT_SECONDS):
                await self.messages.delivered(sorted(keys))
        return len(keys)

    def tell(self, notice: Notice) -> None:
        """Post it, or edit the message of the same key; never waits. Unless `run` is under way, nobody is told."""
        if self._open:
            self.messages.show(notice, self._group)

    async def run(self) -> None:
        """Look after sessions until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self._open = True
            self._returns.resume(self._group)  # of a run before
            self.messages.resume(self._group)
            try:
                while True:
                    await self._look()
                    await self._sleep(LOOK_SECONDS)
            finally:
                self._open = False

    async def emit(self, event: Event) -> None:
        """Take one event; never waits for Discord."""
        if not isinstance(event, SessionEnded) or not self._open:
            return
        session = event.session
        outages = self._outages.pop(session.id, None)
        for notice in outages.end(self._now()) if outages is not None else ():
            self.tell(notice)
        if comes_back(event.reason):
            await self._sink.emit(SessionInterrupted(session, event.reason))
            self._returns.begin(session, event.reason, self._group)
        elif event.reason in DECIDED:
            self.tell(notices.ended(session, DECIDED[event.reason], self._now(), f"{session.id} ended"))

    def restore(self, guild_id: int, channel_id: int, channel_name: str) -> None:
        """The process was restarted: return to where it listened. `run` must be under way."""
        session = Session(uuid4().hex, guild_id, channel_id, self._now(), channel_name)
        self._returns.begin(session, "restarted", self._group)

    async def _look(self) -> None:
        for running in self._sessions.all():
            try:
                await self._look_at(running)
            except Exception:  # a call that cannot be looked at must not end the others
                log.exception("a call could not be looked at", extra={"session_id": running.session.id})

    async def _look_at(self, running: Running) -> None:
        health = running.source.health()
        if health.channel_id:  # moved while joining, else the gateway has told
            await self._sessions.moved(running.session.guild_id, health.channel_id, health.channel_name)
        outages = self._outages.setdefault(running.session.id, Outages(running.session))
        outages.session = running.session
        for each in health.unheard:
            if each.speaker.id:
                running.pipeline.missed(each.speaker.id)
        for news in outages.look(health, self._now(), left_out=running.shed is Shed.CHANNEL):
            if isinstance(news, Notice):
                self.tell(news)
            else:
                await self._sink.emit(news)
