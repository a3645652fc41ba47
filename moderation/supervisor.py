"""Keeps sessions alive: joins again when one ended and nobody decided so, and tells moderators what they did not hear.

SessionEnded ─▶ comes_back(reason)? ─▶ Return: 1, 2, 4 … 60 s between attempts ─▶ SessionResumed | SessionAbandoned
every second ─▶ Outages of each running session ─▶ SpeakerUnheard, SpeakerHeardAgain, one message to moderators
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from moderation import notices
from moderation.endings import DECIDED, comes_back, pause_before
from moderation.errors import ConsentRequired, ModerationError, NotAllowed, VoiceUnavailable
from moderation.events import Event, SessionAbandoned, SessionEnded, SessionInterrupted, SessionResumed
from moderation.models import Session
from moderation.notices import Notice
from moderation.outages import Outages
from moderation.ports import NoticeBoard, Sink
from moderation.sessions import Running, SessionManager
from moderation.shedding import Shed
from moderation.standing import StandingMessage

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at the running sessions."""
GIVE_UP_SECONDS = 1800.0
"""After so long no further attempt is made, and moderators are told."""
TELL_ATTEMPTS = 3
"""Failed attempts (7 s) before moderators are told that the call is lost: most losses end sooner."""

EDIT_SECONDS = 5.0
"""How long a deletion waits for notices to be edited; later ones are edited all the same."""


@dataclass(slots=True)
class Return:
    """An attempt to come back that is under way."""

    session: Session
    """The one that was lost."""
    since: datetime
    """UTC."""
    reason: str
    attempts: int = 0
    why: str = ""
    """Why the last attempt failed, where that is known."""
    hopeless: bool = False
    """No further attempt is made."""
    task: asyncio.Task[None] | None = None


class Supervisor:
    """A `Sink` for `SessionEnded`; `run` does the rest. At most one return a guild."""

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
        self._board = board
        self._sink = sink
        self._now = now
        self._sleep = sleep
        self._group = asyncio.TaskGroup()
        self._open = False
        self._returns: dict[int, Return] = {}
        self._outages: dict[str, Outages] = {}
        self._messages: dict[str, StandingMessage] = {}
        self.away_seconds: dict[int, float] = {}
        """Guild → seconds in which a lost call was not listened to, since the start."""

    def returning(self, guild_id: int) -> Return | None:
        """What is being tried there now."""
        return self._returns.get(guild_id)

    async def stop(self, guild_id: int) -> Session | None:
        """A moderator wants no return; the session that was lost, None when no return was under way."""
        found = self._returns.get(guild_id)
        if found is None:
            return None
        if found.task is not None:
            found.task.cancel()
            await asyncio.wait({found.task})
        self._returns.pop(guild_id, None)
        await self._abandon(found, "stopped", "A moderator stopped it.")
        return found.session

    async def forget(self, user_id: int) -> int:
        """Name that member in no standing notice; how many did. Those of ended sessions are another place's affair."""
        changed = [notice for outages in self._outages.values() for notice in outages.forget(user_id)]
        for notice in changed:
            self.tell(notice)
        if changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EDIT_SECONDS):
                    await asyncio.gather(*(self._messages[notice.key].delivered() for notice in changed))
        return len(changed)

    def tell(self, notice: Notice) -> None:
        """Post it, or edit the message of the same key; never waits. `run` must be under way."""
        if not self._open:
            return
        if notice.key not in self._messages:
            self._messages[notice.key] = StandingMessage(self._board, self._group)
        self._messages[notice.key].show(notice)

    async def run(self) -> None:
        """Look after sessions until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self._open = True
            for lost in self._returns.values():  # of a run before
                lost.task = self._group.create_task(self._return(lost), name=f"return {lost.session.id}")
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
            self._begin(session, event.reason)
        elif event.reason in DECIDED:
            self.tell(notices.ended(session, DECIDED[event.reason], self._now(), f"{session.id} ended"))
        self._tidy()

    def restore(self, guild_id: int, channel_id: int, channel_name: str) -> None:
        """The process was restarted: return to where it listened. `run` must be under way."""
        self._begin(Session(uuid4().hex, guild_id, channel_id, self._now(), channel_name), "restarted")

    # Coming back.

    def _begin(self, session: Session, reason: str) -> None:
        found = self._returns[session.guild_id] = Return(session, self._now(), reason)
        found.task = self._group.create_task(self._return(found), name=f"return {session.id}")

    async def _return(self, lost: Return) -> None:
        while not lost.hopeless and (self._now() - lost.since).total_seconds() < GIVE_UP_SECONDS:
            await self._sleep(pause_before(lost.attempts))
            lost.attempts += 1
            if await self._attempt(lost):
                await self._resumed(lost, self._sessions.running(lost.session.guild_id))
                return
            if lost.attempts >= TELL_ATTEMPTS and not lost.hopeless:
                self.tell(notices.lost(lost.session, lost.since, lost.attempts, lost.why, _key(lost)))
        await self._abandon(lost, lost.reason, lost.why)
        self._returns.pop(lost.session.guild_id, None)

    async def _attempt(self, lost: Return) -> bool:
        """Whether somebody listens in that server now. Whatever goes wrong, it must not end the other calls."""
        extra = {"session_id": lost.session.id, "attempt": lost.attempts}
        try:
            await self._sessions.start(lost.session.guild_id, lost.session.channel_id, lost.session.channel_name)
        except NotAllowed:  # a moderator called the bot into a channel meanwhile; that may fail yet
            lost.why = ""
            return self._sessions.running(lost.session.guild_id) is not None
        except ConsentRequired as error:
            lost.why, lost.hopeless = str(error), True
        except ModerationError as error:
            log.warning("could not return", extra=extra | {"code": error.code})
            lost.why = str(error) if isinstance(error, VoiceUnavailable) else ""
        except Exception:
            log.exception("could not return", extra=extra)
            lost.why = ""
        else:
            return True
        return False

    async def _resumed(self, lost: Return, running: Running | None) -> None:
        self._returns.pop(lost.session.guild_id, None)
        message = self._messages.get(_key(lost))
        session, until = (running.session if running else lost.session), self._now()
        seconds = self._count(lost, until)
        log.info("returned", extra={"session_id": session.id, "before": lost.session.id, "seconds": seconds})
        await self._sink.emit(SessionResumed(session, lost.session, seconds))
        if message is not None:
            message.show(notices.back(session, lost.since, until, _key(lost)))

    async def _abandon(self, lost: Return, reason: str, why: str) -> None:
        self.tell(notices.gave_up(lost.session, lost.since, why, _key(lost)))
        await self._sink.emit(SessionAbandoned(lost.session, reason, self._count(lost, self._now())))

    def _count(self, lost: Return, until: datetime) -> float:
        seconds = (until - lost.since).total_seconds()
        guild_id = lost.session.guild_id
        self.away_seconds[guild_id] = self.away_seconds.get(guild_id, 0.0) + seconds
        return seconds

    # Hearing.

    async def _look(self) -> None:
        for running in self._sessions.all():
            try:
                await self._look_at(running)
            except Exception:  # a call that cannot be looked at must not end the others
                log.exception("a call could not be looked at", extra={"session_id": running.session.id})
        self._tidy()

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

    def _tidy(self) -> None:
        """Messages of sessions that are neither running nor awaited are edited no more."""
        running, lost = self._sessions.all(), self._returns.values()
        live = {notices.WATCH, *(each.session.id for each in running), *(each.session.id for each in lost)}
        self._messages = {key: message for key, message in self._messages.items() if key.split()[0] in live}


def _key(lost: Return) -> str:
    return f"{lost.session.id} lost"
