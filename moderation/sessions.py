"""The session manager: sole owner of running pipelines, at most one per guild (a bot has one voice seat in a guild)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import uuid4

from moderation.context import REQUEST_ID, SESSION_ID, bound
from moderation.errors import JoinStopped, ModerationError, NotAllowed, SourceError
from moderation.events import SessionEnded, SessionMoved, SessionStarted
from moderation.models import Coverage, Session
from moderation.pipeline import Pipeline
from moderation.ports import AudioSource, LiveSource, Sink, VoiceGateway
from moderation.shedding import Shed

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0
"""Seconds a stopping session has to finish the last words; then it is cancelled."""


@dataclass(slots=True)
class Running:
    """A session that is going on."""

    session: Session
    source: LiveSource
    pipeline: Pipeline
    task: asyncio.Task[None]
    reason: str = "source-ended"

    @property
    def shed(self) -> Shed:
        """What is left out now because the machine is overloaded."""
        return self.pipeline.shed

    @property
    def hearing(self) -> bool:
        """Whether what is said there is heard now."""
        health = self.source.health()
        return health.connected and health.listening and not health.server_deafened and self.shed is not Shed.CHANNEL

    def coverage(self) -> tuple[Coverage, ...]:
        """So far."""
        return self.pipeline.coverage()


class SessionManager:
    """Starts and stops sessions. Used as an async context manager: leaving it stops them all."""

    def __init__(
        self,
        gateway: VoiceGateway,
        pipeline: Callable[[Session], Awaitable[Pipeline]],
        sink: Sink,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`pipeline` makes one for a session; `now` is wall time, for rows."""
        self._gateway = gateway
        self._pipeline = pipeline
        self._sink = sink
        self._now = now
        self._running: dict[int, Running] = {}
        self._joining: dict[int, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stops = (self.stop(guild_id, reason="shutdown") for guild_id in {*self._running, *self._joining})
        for outcome in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("a session did not stop cleanly", extra={"error": type(outcome).__name__})
        await self._group.__aexit__(kind, error, trace)

    def running(self, guild_id: int) -> Running | None:
        """The guild's session, if one is going on."""
        return self._running.get(guild_id)

    def joining(self, guild_id: int) -> bool:
        """Whether a channel of the guild is being joined."""
        return guild_id in self._joining

    def all(self) -> tuple[Running, ...]:
        """Every session that is going on."""
        return tuple(self._running.values())

    def __len__(self) -> int:
        return len(self._running)

    async def start(self, guild_id: int, channel_id: int, channel_name: str = "") -> Session:
        """Join, tell the channel, listen.

        Raises `NotAllowed` when the guild already has a session, `JoinStopped` when `stop` came before it was there, `VoiceUnavailable` and
        `ConsentRequired` from joining.
        """
        running, joining = self._running.get(guild_id), self._joining.get(guild_id)
        if running or joining:
            place = f"in <#{running.session.channel_id}>" if running else "joining a channel"
            raise NotAllowed(f"I am already {place}: a bot can be in one voice channel of a server at a time. Use `/voice leave` first.")
        session = Session(uuid4().hex, guild_id, channel_id, self._now(), channel_name)
        joining = self._joining[guild_id] = asyncio.create_task(self._join(session), name=f"join {session.id}")
        try:
            await asyncio.wait({joining})
        finally:
            if not joining.done():  # nobody waits for it any more
                joining.cancel()
                await asyncio.wait({joining})
                _ = joining.cancelled() or joining.exception()
            del self._joining[guild_id]
        if joining.cancelled():
            raise JoinStopped(f"I was sent away while I joined <#{channel_id}>.")
        joining.result()
        log.info("session started", extra={"session_id": session.id, "guild_id": guild_id, "channel_id": channel_id})
        return session

    async def _join(self, session: Session) -> None:
        pipeline = await self._pipeline(session)
        with bound(SESSION_ID, session.id), bound(REQUEST_ID, ""):  # tasks that start here outlive the request
            source = await self._gateway.join(session)
            task = self._group.create_task(self._run(session.guild_id, session, source, pipeline), name=f"session {session.id}")
        self._running[session.guild_id] = Running(session, source, pipeline, task)

    async def stop(self, guild_id: int, reason: str = "stopped") -> tuple[Coverage, ...] | None:
        """Leave, after the last words are finished, or give up joining; what was heard, or None when there was no session."""
        joining = self._joining.get(guild_id)
        if joining is not None:
            joining.cancel()
            await asyncio.wait({joining})
        running = self._running.get(guild_id)
        if running is None:
            return None
        running.reason = reason
        await _close(running.source, running.session)
        done, _ = await asyncio.wait({running.task}, timeout=STOP_SECONDS)
        if not done:
            log.warning("session did not finish in time", extra={"session_id": running.session.id})
            running.task.cancel()
            await asyncio.wait({running.task})
        return running.coverage()

    async def moved(self, guild_id: int, channel_id: int, channel_name: str) -> None:
        """Somebody moved the bot: the session goes on and names its new channel. Again: nothing."""
        running = self._running.get(guild_id)
        if running is None or running.session.channel_id == channel_id:
            return
        running.session = replace(running.session, channel_id=channel_id, channel_name=channel_name)
        running.pipeline.moved(running.session)
        log.info("session moved", extra={"session_id": running.session.id, "channel_id": channel_id})
        await self._sink.emit(SessionMoved(running.session))

    def forget(self, user_id: int) -> int:
        """Drop what running sessions hold about that user; how much."""
        return sum(running.pipeline.forget(user_id) for running in self._running.values())

    async def _run(self, guild_id: int, session: Session, source: AudioSource, pipeline: Pipeline) -> None:
        reason = None
        await self._sink.emit(SessionStarted(session))
        try:
            await pipeline.run(source)
        except SourceError as error:
            reason = error.code
            log.warning("session lost its source", extra={"session_id": session.id, "code": reason})
        except Exception as error:  # one broken session must not end the others
            reason = _code(error)
            log.exception("session failed", extra={"session_id": session.id, "code": reason})
        finally:
            await _close(source, session)
            running = self._running.pop(guild_id, None)
            if reason is None:
                reason = running.reason if running else "source-ended"
            session = running.session if running else session
            await self._sink.emit(SessionEnded(session, pipeline.coverage(), reason))
            log.info("session ended", extra={"session_id": session.id, "reason": reason})


async def _close(source: AudioSource, session: Session) -> None:
    """What goes wrong in leaving is logged, and ends nothing else."""
    try:
        await source.aclose()
    except Exception:
        log.exception("a source did not close cleanly", extra={"session_id": session.id})


def _code(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):  # from the pipeline's TaskGroup
        error = error.exceptions[0]
    return error.code if isinstance(error, ModerationError) else "internal-error"
