"""The lexicon as a detector and as a scorer: one shared lexicon, each guild's own terms laid over it, the file watched for changes."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from moderation.detectors.matching import Lexicon, Match
from moderation.errors import LexiconInvalid, StorageError
from moderation.lexicon_files import load
from moderation.models import Flag, Score, Session, Span, TranscriptSegment, Word
from moderation.terms import Term

log = logging.getLogger(__name__)

MAX_GUILDS = 256
"""Guilds whose terms are kept compiled. When full, the one not asked for longest goes; it is compiled anew when it speaks again."""

TermsOf = Callable[[int], Awaitable[Sequence[Term]]]
"""Guild id → the guild's own terms."""


@dataclass(slots=True)
class _Guild:
    """A guild's own terms, compiled."""

    own: Lexicon
    stale: bool = False
    """The terms have changed since."""
    failed: bool = False
    """They could not be read the last time; what is here serves until the next `refresh`."""


class LexiconDetector:
    """Flags the terms of the shared lexicon and of the guild's own. Live: a partial costs microseconds."""

    name = "lexicon"
    live = True

    def __init__(self, lexicon: Lexicon, terms_of: TermsOf | None = None, *, path: Path | None = None) -> None:
        """Start with a lexicon.

        Args:
            lexicon: the shared terms.
            terms_of: reads a guild's own terms; may raise `StorageError`, then the shared ones (or the guild's last known) serve.
            path: the file that `refresh` watches; taken as being what `lexicon` was made of.
        """
        self._shared = lexicon
        self._terms_of = terms_of
        self._guilds: OrderedDict[int, _Guild] = OrderedDict()
        self._changes = 0
        self.path = path
        self._stamp = _stamp(path)
        self.parse_ok = True
        """Whether the file, as it was last looked at, could be used."""
        self.evicted = 0
        """Guilds that `MAX_GUILDS` made give way."""

    @classmethod
    async def from_file(cls, path: Path, terms_of: TermsOf | None = None) -> "LexiconDetector":
        """Load and compile a lexicon file. Raises `LexiconInvalid` with line numbers."""
        stamp = _stamp(path)  # before it is read: a change meanwhile is noticed
        detector = cls(await asyncio.to_thread(_compile_file, path), terms_of, path=path)
        detector._stamp = stamp
        return detector

    @property
    def lexicon(self) -> Lexicon:
        """The shared lexicon in force."""
        return self._shared

    @property
    def compiled(self) -> int:
        """Guilds whose terms are kept compiled."""
        return len(self._guilds)

    async def reload(self, path: Path | None = None) -> None:
        """Read the file (another one, where given) and swap it in at once; raises `LexiconInvalid` and keeps the lexicon in force."""
        path = path or self.path
        if path is None:
            raise ValueError("no lexicon file to reload")
        stamp = _stamp(path)
        try:
            lexicon = await asyncio.to_thread(_compile_file, path)
        except LexiconInvalid:
            if path == self.path:
                self._stamp, self.parse_ok = stamp, False
            raise
        self.path, self._stamp, self.parse_ok, self._shared = path, stamp, True, lexicon

    async def refresh(self) -> bool:
        """Call this every few seconds: reloads the file when its time or size changed; whether it did.

        Raises `LexiconInvalid` once for each state of the file that cannot be used; the lexicon in force stays.
        """
        for guild in self._guilds.values():
            guild.failed = False
        if self.path is None or _stamp(self.path) == self._stamp:
            return False
        await self.reload()
        return True

    def invalidate(self, guild_id: int) -> None:
        """The guild's terms changed: they are read again before its next segment."""
        self._changes += 1
        if guild := self._guilds.get(guild_id):
            guild.stale, guild.failed = True, False

    async def lexicon_of(self, guild_id: int) -> Lexicon:
        """The shared lexicon with the guild's own terms over it."""
        if self._terms_of is None or not guild_id:
            return self._shared
        guild = self._guilds.get(guild_id)
        if guild is None or (guild.stale and not guild.failed):
            guild = await self._read(guild_id, self._terms_of)
        if guild_id in self._guilds:
            self._guilds.move_to_end(guild_id)
        return self._shared.overlaid(guild.own) if len(guild.own) else self._shared

    async def detect(self, session: Session, segment: TranscriptSegment) -> Sequence[Flag]:
        """One flag a match. Score: severity / 10. Confidence: the lowest of the words it lies on, 1.0 without words (partials)."""
        matches = (await self.lexicon_of(session.guild_id)).match(segment.text)
        if not matches:
            return ()
        places = _places(segment)
        return [_flag(self.name, match, segment, places) for match in matches]

    async def _read(self, guild_id: int, terms_of: TermsOf) -> _Guild:
        while True:
            changes = self._changes
            try:
                guild = _Guild(await asyncio.to_thread(Lexicon, tuple(await terms_of(guild_id))))
            except StorageError as error:
                log.warning("a guild's terms could not be read", extra={"guild_id": guild_id, "code": error.code})
                known = self._guilds.get(guild_id)
                guild = _Guild(known.own if known else Lexicon(), stale=True, failed=True)
            if changes == self._changes:  # else they may have changed while they were read
                break
        self._guilds[guild_id] = guild
        while len(self._guilds) > MAX_GUILDS:
            self._guilds.popitem(last=False)
            self.evicted += 1
        return guild


class LexiconScorer:
    """Scores texts with the shared lexicon: the scorer that is always there."""

    name = "lexicon"

    def __init__(self, lexicon: Callable[[], Lexicon]) -> None:
        """`lexicon`: gives the one in force, such as `lambda: detector.lexicon`."""
        self._lexicon = lexicon

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        """One score a text, in order."""
        lexicon = self._lexicon()
        return [lexicon.score(text) for text in texts]


def _compile_file(path: Path) -> Lexicon:
    return Lexicon(load(path))


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What tells one state of a file from the next: modification time in nanoseconds and size; None where there is no file."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _places(segment: TranscriptSegment) -> list[tuple[int, int, Word]]:
    """(start, end, word) of every word in the segment's text; empty where the words are not those of the text."""
    places = []
    at = 0
    for word in segment.words:
        start = segment.text.find(word.text, at)
        if start < 0:
            return []
        at = start + len(word.text)
        places.append((start, at, word))
    return places


def _flag(detector: str, match: Match, segment: TranscriptSegment, places: Sequence[tuple[int, int, Word]]) -> Flag:
    words = [word for start, end, word in places if start < match.end and match.start < end]
    if words:
        start, end, confidence = words[0].start, words[-1].end, min(w.confidence for w in words)
    else:  # no word times: as if every character took the same time
        pace = (segment.end - segment.start) / len(segment.text)
        start, end, confidence = segment.start + pace * match.start, segment.start + pace * match.end, 1.0
    return Flag(
        detector=detector,
        category=match.category,
        severity=match.severity,
        score=match.severity / 10,
        confidence=confidence,
        span=Span(match.start, match.end, start, end),
    )
