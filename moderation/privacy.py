"""Members' control over what is heard and kept of them. What protects takes effect at once; what exposes is saved and told first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from moderation.consent import Choice, ConsentMode, ConsentRegister, ConsentStore
from moderation.errors import NotAllowed
from moderation.forgetting import Forgetting, Forgotten
from moderation.ports import Evidence
from moderation.sessions import SessionManager


class Announcer(Protocol):
    """Tells a voice channel's members on what terms they are heard."""

    async def renew(self, guild_id: int, change: Callable[[], None]) -> None:
        """Stop hearing, make the change, tell the members, hear again. Without a session: only the change."""
        ...


@dataclass(frozen=True, slots=True)
class Export:
    """One page of what is stored about a member."""

    data: Mapping[str, Sequence[Mapping[str, object]]]
    """Kind → rows, of values that JSON knows."""
    more: bool
    """Whether there is another page."""


class Exporter(Protocol):
    """Reads what is stored about a member."""

    async def export(self, user_id: int, page: int) -> Export:
        """That page, from 1. Raises `StorageError`."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands in a server."""

    heard: bool
    """Whether they may be heard."""
    chosen: bool | None
    """What they chose; None: nothing, the server's mode decides."""
    mode: ConsentMode


class PrivacyService:
    """Who may be heard: choices and modes, kept in step with the store."""

    def __init__(
        self,
        register: ConsentRegister,
        store: ConsentStore,
        sessions: SessionManager,
        evidence: Evidence,
        announcer: Announcer,
        *,
        forgetting: Forgetting,
        exporter: Exporter,
        keep_days: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`keep_days`: the operator's limit for transcripts and alerts; `now`: wall time, for rows."""
        self._register = register
        self._store = store
        self._sessions = sessions
        self._evidence = evidence
        self._announcer = announcer
        self._forgetting = forgetting
        self._now = now
        self._exporter = exporter
        self.keep_days = keep_days

    def standing(self, guild_id: int, user_id: int) -> Standing:
        """How that member stands there."""
        register = self._register
        return Standing(register.accept(guild_id, user_id), register.chosen(guild_id, user_id), register.mode(guild_id))

    def unheard(self, guild_id: int, user_ids: Iterable[int]) -> list[int]:
        """Those of them who are not heard, by their own choice or because they did not opt in."""
        return [user_id for user_id in user_ids if not self._register.accept(guild_id, user_id)]

    async def opt_out(self, guild_id: int, user_id: int) -> None:
        """Hear that member no more, and drop the sentence and the audio that are held.

        Raises `StorageError` when it could not be saved: it is in force all the same, until the process ends.
        """
        self._register.choose(guild_id, user_id, heard=False)
        self._silence(guild_id, [user_id])
        await self._store.save_choice(Choice(guild_id, user_id, heard=False, chosen_at=self._now()))

    async def opt_in(self, guild_id: int, user_id: int) -> None:
        """Hear that member again. Raises `StorageError`; then nothing has changed."""
        await self._store.save_choice(Choice(guild_id, user_id, heard=True, chosen_at=self._now()))
        self._register.choose(guild_id, user_id, heard=True)

    async def set_mode(self, guild_id: int, mode: ConsentMode) -> None:
        """Change who is heard of those who chose nothing; the channel is told before anybody is heard on the new terms."""
        if mode is ConsentMode.OPT_IN:
            self._register.set_mode(guild_id, mode)
            running = self._sessions.running(guild_id)
            heard = [c.speaker.id for c in running.coverage()] if running is not None else []
            self._silence(guild_id, self.unheard(guild_id, heard))
        await self._store.save_guild(replace(await self._store.guild(guild_id), mode=mode))
        await self._announcer.renew(guild_id, lambda: self._register.set_mode(guild_id, mode))

    async def keep(self, guild_id: int, transcript_days: int, alert_days: int) -> None:
        """How many days that server's transcripts and alerts are kept. Raises `NotAllowed` above the operator's limit."""
        if max(transcript_days, alert_days) > self.keep_days:
            raise NotAllowed(f"Whoever runs this bot keeps nothing longer than {self.keep_days} days: choose at most that.")
        chosen = await self._store.guild(guild_id)
        await self._store.save_guild(replace(chosen, transcript_days=transcript_days, alert_days=alert_days))

    async def export(self, user_id: int, page: int) -> Export:
        """What is stored about that user, a page at a time from 1. Raises `StorageError`."""
        return await self._exporter.export(user_id, page)

    async def delete(self, user_id: int) -> Forgotten:
        """Delete everything about that user, in all servers. A refusal to be heard stays."""
        return await self._forgetting.forget(user_id)

    def _silence(self, guild_id: int, user_ids: Iterable[int]) -> None:
        running = self._sessions.running(guild_id)
        if running is None:
            return
        for user_id in user_ids:
            running.pipeline.silence(user_id)
            self._evidence.drop_speaker(running.session.id, user_id)
