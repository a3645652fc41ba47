"""What the front desks (slash commands, HTTP) may ask for. The same objects serve both doors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from moderation.errors import LexiconInvalid, LexiconProblem
from moderation.models import Session, TranscriptSegment, Verdict
from moderation.policy import judge
from moderation.ports import AlertDelivery, AlertStore, Detector, GuildStore
from moderation.sessions import SessionManager
from moderation.supervisor import Supervisor
from moderation.terms import Term, TermType
from moderation.watching import Watch

MAX_GUILD_TERMS = 5_000
"""Terms a guild may add on top of the shared lexicon."""
MAX_TERM_LENGTH = 200
"""Characters."""


class GuildLexicons(Protocol):
    """The compiled lexicons of guilds."""

    def invalidate(self, guild_id: int) -> None:
        """The guild's terms changed: compile anew at next use."""
        ...


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a text would come to, without anybody being told."""

    segment: TranscriptSegment
    verdict: Verdict


class LexiconService:
    """A guild's own terms: change, list, try."""

    def __init__(self, guilds: GuildStore, lexicons: GuildLexicons, detectors: Sequence[Detector]) -> None:
        self._guilds = guilds
        self._lexicons = lexicons
        self._detectors = detectors

    async def add(self, guild_id: int, term: Term) -> None:
        """Add or replace. Raises `LexiconInvalid` saying what is wrong with the term."""
        problems = [LexiconProblem(0, p) for p in _problems(term)]
        terms = await self._guilds.terms(guild_id)
        if len(terms) >= MAX_GUILD_TERMS and not any(t.term == term.term for t in terms):
            problems.append(LexiconProblem(0, f"this server has {len(terms)} terms already, the most there can be; remove some first"))
        if problems:
            raise LexiconInvalid(problems)
        await self._guilds.set_term(guild_id, term)
        self._lexicons.invalidate(guild_id)

    async def remove(self, guild_id: int, term: str) -> bool:
        """Whether it was there."""
        removed = await self._guilds.remove_term(guild_id, term)
        self._lexicons.invalidate(guild_id)
        return removed

    async def terms(self, guild_id: int) -> Sequence[Term]:
        """The guild's own terms, by name."""
        return sorted(await self._guilds.terms(guild_id), key=lambda t: t.term)

    async def test(self, session: Session, text: str) -> DryRun:
        """What `text` would come to if somebody said it in that session's guild."""
        segment = TranscriptSegment(session.id, 0, 0, 0.0, 0.0, text, final=True)
        flags = [f for d in self._detectors if d.live for f in await d.detect(session, segment)]
        verdict = judge(flags, {}, await self._guilds.settings(session.guild_id))
        return DryRun(segment, verdict)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a front desk may use."""

    sessions: SessionManager
    supervisor: Supervisor
    watch: Watch
    guilds: GuildStore
    alerts: AlertStore
    delivery: AlertDelivery
    lexicon: LexiconService


def _problems(term: Term) -> list[str]:
    problems = []
    if not any(c.isalnum() for c in term.term):
        problems.append("a term needs at least one letter or digit")
    if len(term.term) > MAX_TERM_LENGTH:
        problems.append(f"a term has at most {MAX_TERM_LENGTH} characters, this one has {len(term.term)}")
    if term.type is not TermType.ALLOW and not term.category.strip():
        problems.append("a term needs a category, such as insult or threat")
    if not 1 <= term.severity <= 10:
        problems.append(f"severity is 1 (mild) to 10 (worst), not {term.severity}")
    return problems
