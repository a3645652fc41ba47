"""Coming back to calls that ended without anybody's decision: 1, 2, 4 … 60 s between attempts, for half an hour."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from moderation import notices
from moderation.endings import pause_before
from moderation.errors import ConsentRequired, ModerationError, NotAllowed, VoiceUnavailable
from moderation.events import SessionAbandoned, SessionResumed
from moderation.models import Session
from moderation.notices import Notice
from moderation.ports import Sink
from moderation.sessions import SessionManager

log = logging.getLogger(__name__)

GIVE_UP_SECONDS = 1800.0
"""After so long no further attempt is made, and moderators are told."""
TELL_ATTEMPTS = 3
"""Failed attempts (7 s) before moderators are told that the call is lost: most losses end sooner."""


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
    told: bool = False
    """Moderators know that the call is lost."""
    task: asyncio.Task[None] | None = None

    @property
    def key(self) -> str:
        """Of the notice."""
        return f"{self.session.id} lost"


class Returns:
    """At most one a guild."""

    def __init__(
        self,
        sessions: SessionManager,
        sink: Sink,
        tell: Callable[[Notice], None],
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`now` is wall time; `sleep` pauses between attempts."""
        self._sessions = sessions
        self._sink = sink
        self._tell = tell
        self._now = now
        self._sleep = sleep
        self._under_way: dict[int, Return] = {}
        self.away_seconds: dict[int, float] = {}
        """Guild → seconds in which a lost call was not listened to, since the start."""

    def of(self, guild_id: int) -> Return | None:
        """What is being tried there now."""
        return self._under_way.get(guild_id)

    def begin(self, session: Session, reason: str, group: asyncio.TaskGroup) -> None:
        """That session was lost."""
        found = self._under_way[session.guild_id] = Return(session, self._now(), reason)
        self._start(found, group)

    def resume(self, group: asyncio.TaskGroup) -> None:
        """Go on with all of them, in another group."""
        for found in self._under_way.values():
            self._start(found, group)

    async def stop(self, guild_id: int, reason: str = "stopped", why: str = "A moderator stopped it.") -> Session | None:
        """No return is wanted; the session that was lost, None when no return was under way."""
        found = self._under_way.get(guild_id)
        if found is None:
            return None
        if found.task is not None:
            found.task.cancel()
            await asyncio.wait({found.task})
        self._under_way.pop(guild_id, None)
        await self._abandon(found, reason, why)
        return found.session

    def _start(self, found: Return, group: asyncio.TaskGroup) -> None:
        found.task = group.create_task(self._return(found), name=f"return {found.session.id}")

    async def _return(self, lost: Return) -> None:
        while not lost.hopeless and (self._now() - lost.since).total_seconds() < GIVE_UP_SECONDS:
            await self._sleep(pause_before(lost.attempts))
            lost.attempts += 1
            if await self._attempt(lost):
                await self._resumed(lost)
                return
            if lost.attempts >= TELL_ATTEMPTS and not lost.hopeless:
                lost.told = True
                self._tell(notices.lost(lost.session, lost.since, lost.attempts, lost.why, lost.key))
        await self._abandon(lost, lost.reason, lost.why)
        self._under_way.pop(lost.session.guild_id, None)

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

    async def _resumed(self, lost: Return) -> None:
        self._under_way.pop(lost.session.guild_id, None)
        running = self._sessions.running(lost.session.guild_id)
        session, until = (running.session if running else lost.session), self._now()
        seconds = self._count(lost, until)
        log.info("returned", extra={"session_id": session.id, "before": lost.session.id, "seconds": seconds})
        await self._sink.emit(SessionResumed(session, lost.session, seconds))
        if lost.told:
            self._tell(notices.back(session, lost.since, until, lost.key))

    async def _abandon(self, lost: Return, reason: str, why: str) -> None:
        self._tell(notices.gave_up(lost.session, lost.since, why, lost.key))
        await self._sink.emit(SessionAbandoned(lost.session, reason, self._count(lost, self._now())))

    def _count(self, lost: Return, until: datetime) -> float:
        seconds = (until - lost.since).total_seconds()
        guild_id = lost.session.guild_id
        self.away_seconds[guild_id] = self.away_seconds.get(guild_id, 0.0) + seconds
        return seconds
