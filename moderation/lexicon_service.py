"""A guild's own terms: change, list, try, and what of them can be heard."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from moderation.errors import LexiconInvalid, LexiconProblem
from moderation.hearing import Heard, Hearing, HearingReport
from moderation.models import Session, TranscriptSegment, Verdict
from moderation.policy import judge
from moderation.ports import Detector, TermStore
from moderation.terms import Term, TermType

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

    def __init__(
        self,
        guilds: TermStore,
        lexicons: GuildLexicons,
        detectors: Sequence[Detector],
        hearing: Hearing,
        shared: Callable[[], Sequence[Term]],
    ) -> None:
        """`shared`: reads the terms of the shared lexicon; called in a thread."""
        self._guilds = guilds
        self._hearing = hearing
        self._shared = shared
        self._lexicons = lexicons
        self._detectors = detectors

    async def add(self, guild_id: int, *new: Term) -> None:
        """Add or replace, all or none. Raises `LexiconInvalid` saying what is wrong with the terms."""
        problems = [LexiconProblem(0, p) for term in new for p in term_problems(term)]
        there = {t.term for t in await self._guilds.terms(guild_id)}
        if len(there | {t.term for t in new}) > max(MAX_GUILD_TERMS, len(there)):
            problems.append(LexiconProblem(0, f"this server has {len(there):,} terms, {MAX_GUILD_TERMS:,} are the most; remove some first"))
        if problems:
            raise LexiconInvalid(problems)
        await self._guilds.change_terms(guild_id, new, ())
        self._lexicons.invalidate(guild_id)

    async def heard(self, guild_id: int, term: Term) -> Heard:
        """What becomes of a term when somebody says it, and the variants that could be added: those that nothing flags yet."""
        settings = await self._guilds.settings(guild_id)
        heard = await self._hearing.of(term, sounding_severity=settings.alert_severity - 1)
        if term.type is TermType.ALLOW:
            return heard
        session = Session("dry-run", guild_id, 0, datetime.now(UTC))
        flagged = {o.term.term for o in heard.offers if (await self.test(session, o.term.term)).verdict.flags}
        found_as = (*heard.found_as, *(o.term.term for o in heard.offers if o.term.term in flagged))
        return replace(heard, found_as=found_as, offers=tuple(o for o in heard.offers if o.term.term not in flagged))

    async def coverage(self, guild_id: int) -> HearingReport:
        """Which terms, the shared ones and the guild's own, the speech model cannot hear. Raises `LexiconInvalid`."""
        shared = await asyncio.to_thread(self._shared)
        return await self._hearing.report(shared, await self._guilds.terms(guild_id))

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


def term_problems(term: Term) -> list[str]:
    """What is wrong with a guild's own term; never the term itself."""
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
