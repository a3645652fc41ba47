"""A guild's own terms as files: import from lists of several formats, export, ready-made presets. Nothing changes before it was shown."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from moderation.detectors.normalise import fold
from moderation.errors import InvalidInput, LexiconInvalid, LexiconProblem, NotFound
from moderation.lexicon_files import Problems, decode, dump, load, parse
from moderation.lexicon_imports import FORMATS as FOREIGN
from moderation.lexicon_imports import import_text
from moderation.lexicon_service import MAX_GUILD_TERMS, GuildLexicons, term_problems
from moderation.ports import TermStore
from moderation.terms import Term, TermType

OWN_FORMAT = "json"
"""What `export` writes."""
FORMATS = (OWN_FORMAT, *FOREIGN)
"""What `read` reads."""
MAX_BYTES = 1_000_000
"""Size of a file that a guild may import: `MAX_GUILD_TERMS` terms of the greatest length."""
_BY_ENDING = {".json": OWN_FORMAT, ".csv": "csv", ".txt": "text"}


@dataclass(frozen=True, slots=True)
class Reading:
    """The terms of a file."""

    terms: tuple[Term, ...]
    left_out: int = 0
    """Entries that repeat another or are only digits."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an import would do to a guild's terms, or has done."""

    added: tuple[Term, ...] = ()
    replaced: tuple[tuple[Term, Term], ...] = ()
    """(as it is, as it becomes)."""
    unchanged: int = 0
    removed: tuple[str, ...] = ()
    """Other spellings that the replaced terms stood under; they match the same words."""

    @property
    def put(self) -> tuple[Term, ...]:
        """The terms that are written."""
        return (*self.added, *(new for _, new in self.replaced))


class TermExchange:
    """Reads, compares, applies and writes lists of terms."""

    def __init__(self, guilds: TermStore, lexicons: GuildLexicons, presets: Path) -> None:
        """`presets`: folder of lexicon files; the name of a preset is its file's."""
        self._guilds = guilds
        self._lexicons = lexicons
        self._presets = presets

    async def read(self, data: bytes, filename: str, format: str | None = None) -> Reading:
        """The terms of a file's content. `format`: one of `FORMATS`, None to go by the file's ending.

        Raises `LexiconInvalid` with everything wrong in it, with lines and without terms; `InvalidInput` where the format is not clear.
        """
        chosen = format or _BY_ENDING.get(Path(filename).suffix.lower())
        if chosen not in FORMATS:
            raise InvalidInput(f"The file's name does not say what kind of list it is. Choose the format: {', '.join(FORMATS)}.")
        if len(data) > MAX_BYTES:
            raise InvalidInput(f"The file is larger than {MAX_BYTES:,} bytes, the most that can be imported. Split it.")
        return await asyncio.to_thread(_read, data, chosen)

    async def presets(self) -> list[str]:
        """The names of the presets."""
        return await asyncio.to_thread(lambda: sorted(path.stem for path in self._presets.glob("*.json")))

    async def preset(self, name: str) -> Reading:
        """The terms of a preset. Raises `NotFound`."""
        names = await self.presets()
        if name not in names:
            raise NotFound(f"There is no such preset. There are: {', '.join(names) or 'none'}.")
        return Reading(tuple(await asyncio.to_thread(load, self._presets / f"{name}.json")))

    async def plan(self, guild_id: int, terms: Sequence[Term]) -> Change:
        """What `apply` would do. Raises `LexiconInvalid` where the terms cannot be a guild's own, or would be too many."""
        mine = await self._guilds.terms(guild_id)
        change = _compare(mine, terms)
        total = len(mine) - len(change.removed) + len(change.added)
        if total > max(MAX_GUILD_TERMS, len(mine)):
            message = f"this server would have {total:,} terms, {MAX_GUILD_TERMS:,} are the most; leave some out or remove others first"
            raise LexiconInvalid([LexiconProblem(0, message)])
        return change

    async def apply(self, guild_id: int, terms: Sequence[Term]) -> Change:
        """Do it in one transaction; what was done, which is what `plan` says at that moment."""
        change = await self.plan(guild_id, terms)
        if change.put or change.removed:
            await self._guilds.change_terms(guild_id, change.put, change.removed)
            self._lexicons.invalidate(guild_id)
        return change

    async def export(self, guild_id: int) -> bytes:
        """The guild's own terms as a JSON lexicon; `read` gives them back."""
        terms = sorted(await self._guilds.terms(guild_id), key=lambda t: t.term)
        return (await asyncio.to_thread(dump, terms)).encode()


def _read(data: bytes, format: str) -> Reading:
    text = decode(data)
    if format == OWN_FORMAT:
        reading = Reading(tuple(parse(text)))
    else:
        imported = import_text(text, format)
        reading = Reading(imported.terms, imported.repeated + imported.numbers)
    _check(reading.terms)
    return reading


def _check(terms: Iterable[Term]) -> None:
    problems = Problems()
    first: dict[str, int] = {}
    for term in terms:
        for problem in term_problems(term):
            problems.add(term.line, problem)
        if (line := first.setdefault(fold(term.term), term.line)) != term.line:
            problems.add(term.line, f"flagged here and allowed in line {line}, or the other way round; keep one")
    problems.raise_if_any()


def _compare(mine: Iterable[Term], terms: Iterable[Term]) -> Change:
    there: dict[str, list[Term]] = defaultdict(list)
    for term in mine:
        there[fold(term.term)].append(term)
    added, replaced, removed, unchanged = [], [], [], 0
    for term in terms:
        new = replace(term, line=0)
        olds = there.get(fold(new.term), [])
        if not olds:
            added.append(new)
        elif [_meaning(old) for old in olds] == [_meaning(new)]:
            unchanged += 1
        else:
            replaced.append((olds[0], new))
            removed += [old.term for old in olds if old.term != new.term]
    return Change(tuple(added), tuple(replaced), unchanged, tuple(removed))


def _meaning(term: Term) -> Term:
    """The term without what does not count: categories and severities of `allow` terms."""
    return Term(term.term, term.type) if term.type is TermType.ALLOW else term
