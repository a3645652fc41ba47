"""The lexicon detector: flags with places and times, guilds' own terms, reloading; and the scorer."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from moderation.detectors import lexicon as module
from moderation.detectors.lexicon import LexiconDetector, LexiconScorer
from moderation.detectors.matching import Lexicon
from moderation.errors import LexiconInvalid, StorageError
from moderation.lexicon_files import dump
from moderation.models import Flag, Session, Span, TranscriptSegment, Word
from moderation.ports import Detector, Scorer
from moderation.terms import Term, TermType
from tests.moderation.detectors.sessions import SESSION

pytestmark = pytest.mark.unit

IDIOT = Term("idiot", TermType.WORD, "insult", 4)
SHUT_UP = Term("shut up", TermType.PHRASE, "insult", 3)
LOSER = Term("loser", TermType.WORD, "insult", 2)
LEXICON = Lexicon([IDIOT, SHUT_UP])


class FakeGuilds:
    """Guild terms that can change, fail, or change while they are read."""

    def __init__(self, terms: dict[int, Sequence[Term]] | None = None) -> None:
        self.terms, self.reads, self.failing = terms or {}, 0, False
        self.started, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def terms_of(self, guild_id: int) -> Sequence[Term]:
        self.reads += 1
        if self.failing:
            raise StorageError("made to fail")
        terms = self.terms.get(guild_id, ())
        self.started.set()
        await self.gate.wait()
        return terms


def final(text: str, *, confidences: Sequence[float] = (), start: float = 10.0) -> TranscriptSegment:
    """A final of one second a word."""
    words = text.split()
    made = tuple(Word(w, start + n, start + n + 1, (*confidences, *[0.9] * len(words))[n]) for n, w in enumerate(words))
    return TranscriptSegment("s", 1, 0, start, start + len(words), text, final=True, words=made)


def partial(text: str) -> TranscriptSegment:
    return TranscriptSegment("s", 1, 0, 10.0, 20.0, text, final=False)


async def categories(detector: LexiconDetector, text: str, session: Session = SESSION) -> list[tuple[str, int]]:
    return [(f.category, f.severity) for f in await detector.detect(session, partial(text))]


def test_they_are_what_the_core_asks_for() -> None:
    detector: Detector = LexiconDetector(LEXICON)
    scorer: Scorer = LexiconScorer(lambda: LEXICON)
    assert (detector.name, detector.live, scorer.name) == ("lexicon", True, "lexicon")


async def test_a_final_gives_the_words_times_and_the_lowest_confidence() -> None:
    segment = final("please shut up you idiot", confidences=[0.1, 0.8, 0.6, 0.2, 0.7])
    assert await LexiconDetector(LEXICON).detect(SESSION, segment) == [
        Flag("lexicon", "insult", 3, 0.3, 0.6, Span(7, 14, 11.0, 13.0)),
        Flag("lexicon", "insult", 4, 0.4, 0.7, Span(19, 24, 14.0, 15.0)),
    ]


async def test_a_split_word_is_as_sure_as_its_least_sure_piece() -> None:
    (flag,) = await LexiconDetector(LEXICON).detect(SESSION, final("an id iot", confidences=[0.9, 0.8, 0.3]))
    assert (flag.confidence, flag.span) == (0.3, Span(3, 9, 11.0, 13.0))


async def test_a_partial_is_interpolated_and_its_confidence_unknown() -> None:
    (flag,) = await LexiconDetector(LEXICON).detect(SESSION, partial("ok, idiot!"))
    assert (flag.confidence, flag.span.start_char, flag.span.end_char) == (1.0, 4, 9)
    assert [flag.span.start, flag.span.end] == pytest.approx([14.0, 19.0])


async def test_words_that_are_not_the_texts_are_not_used() -> None:
    segment = TranscriptSegment("s", 1, 0, 0.0, 1.0, "an idiot", final=True, words=(Word("something", 0.0, 1.0, 0.1),))
    (flag,) = await LexiconDetector(LEXICON).detect(SESSION, segment)
    assert flag.confidence == 1.0


async def test_a_word_that_stands_twice_has_each_time() -> None:
    flags = await LexiconDetector(LEXICON).detect(SESSION, final("idiot oh idiot", confidences=[0.5, 0.6, 0.7]))
    assert [(f.span.start, f.confidence) for f in flags] == [(10.0, 0.5), (12.0, 0.7)]


async def test_nothing_found_is_no_flag() -> None:
    assert not await LexiconDetector(LEXICON).detect(SESSION, final("nice shot"))
    assert not await LexiconDetector(LEXICON).detect(SESSION, final(""))


async def test_each_guild_has_its_own_terms_over_the_shared_ones() -> None:
    guilds = FakeGuilds({7: [LOSER, Term("shut up", TermType.ALLOW)], 8: [Term("idiot", TermType.WORD, "mild", 1)]})
    detector = LexiconDetector(LEXICON, guilds.terms_of)
    other = Session("t", 8, 9, SESSION.started_at)
    nowhere = Session("u", 0, 0, SESSION.started_at)
    text = "shut up idiot loser"
    assert await categories(detector, text) == [("insult", 4), ("insult", 2)]
    assert await categories(detector, text, other) == [("insult", 3), ("mild", 1)]
    assert await categories(detector, text, nowhere) == [("insult", 3), ("insult", 4)]
    await categories(detector, text)
    assert guilds.reads == 2


async def test_a_change_is_read_when_the_guild_is_invalidated() -> None:
    guilds = FakeGuilds()
    detector = LexiconDetector(LEXICON, guilds.terms_of)
    assert await categories(detector, "loser") == []
    guilds.terms[7] = [LOSER]
    assert await categories(detector, "loser") == []
    detector.invalidate(7)
    assert await categories(detector, "loser") == [("insult", 2)]


async def test_a_change_while_the_terms_are_read_is_not_lost() -> None:
    guilds = FakeGuilds()
    guilds.gate.clear()
    detector = LexiconDetector(LEXICON, guilds.terms_of)
    reading = asyncio.create_task(categories(detector, "loser"))
    await guilds.started.wait()
    guilds.terms[7] = [LOSER]
    detector.invalidate(7)
    guilds.gate.set()
    assert await reading == [("insult", 2)]
    assert await categories(detector, "loser") == [("insult", 2)]


async def test_without_the_store_the_last_known_terms_serve_until_it_is_back() -> None:
    guilds = FakeGuilds({7: [LOSER]})
    detector = LexiconDetector(LEXICON, guilds.terms_of)
    await categories(detector, "loser")
    guilds.failing = True
    detector.invalidate(7)
    assert await categories(detector, "loser idiot") == [("insult", 2), ("insult", 4)]
    reads = guilds.reads
    await categories(detector, "loser")
    assert guilds.reads == reads, "a store that is down is not asked on every partial"
    guilds.failing, guilds.terms[7] = False, []
    await detector.refresh()
    assert await categories(detector, "loser idiot") == [("insult", 4)]


async def test_without_the_store_from_the_start_the_shared_terms_serve() -> None:
    guilds = FakeGuilds({7: [LOSER]})
    guilds.failing = True
    detector = LexiconDetector(LEXICON, guilds.terms_of)
    assert await categories(detector, "loser idiot") == [("insult", 4)]
    guilds.failing = False
    await detector.refresh()
    assert await categories(detector, "loser idiot") == [("insult", 2), ("insult", 4)]


async def test_the_guild_that_spoke_longest_ago_makes_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GUILDS", 2)
    guilds = FakeGuilds()
    detector = LexiconDetector(LEXICON, guilds.terms_of)
    for guild in (1, 2, 1, 3, 1, 2):
        await detector.lexicon_of(guild)
    assert (guilds.reads, detector.evicted) == (4, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lexicon.json"
    path.write_text(dump([IDIOT]))
    return path


def change(path: Path, content: str, at: int) -> None:
    """Write the file with a modification time of its own."""
    path.write_text(content, encoding="utf-8")
    os.utime(path, ns=(at, at))


async def test_a_changed_file_is_swapped_in_and_guilds_keep_their_own(path: Path) -> None:
    detector = await LexiconDetector.from_file(path, FakeGuilds({7: [LOSER]}).terms_of)
    assert await categories(detector, "idiot loser shut up") == [("insult", 4), ("insult", 2)]
    assert await detector.refresh() is False
    change(path, dump([SHUT_UP]), 1)
    assert await detector.refresh() is True
    assert await categories(detector, "idiot loser shut up") == [("insult", 2), ("insult", 3)]
    assert (await detector.refresh(), detector.parse_ok, detector.path) == (False, True, path)


async def test_a_change_of_the_same_size_is_noticed_by_its_time(path: Path) -> None:
    detector = await LexiconDetector.from_file(path)
    change(path, dump([IDIOT]).replace("idiot", "loser"), 1)
    assert await detector.refresh()
    assert await categories(detector, "idiot loser") == [("insult", 4)]


async def test_a_bad_lexicon_is_refused_with_lines_and_the_old_one_stays(path: Path) -> None:
    detector = await LexiconDetector.from_file(path)
    change(path, '[\n  {"term": "secret", "type": "word", "category": "x", "severity": 11}\n]', 1)
    with pytest.raises(LexiconInvalid, match="line 2: severity") as caught:
        await detector.refresh()
    assert "secret" not in str(caught.value)
    assert await categories(detector, "idiot") == [("insult", 4)]
    assert (await detector.refresh(), detector.parse_ok) == (False, False), "told once"
    change(path, dump([LOSER]), 2)
    assert await detector.refresh()
    assert (await categories(detector, "loser"), detector.parse_ok) == ([("insult", 2)], True)


async def test_a_file_that_vanishes_leaves_the_lexicon_and_one_that_comes_back_is_read(path: Path) -> None:
    detector = await LexiconDetector.from_file(path)
    await asyncio.to_thread(path.unlink)
    with pytest.raises(LexiconInvalid, match="cannot be read"):
        await detector.refresh()
    assert await categories(detector, "idiot") == [("insult", 4)]
    assert await detector.refresh() is False
    change(path, dump([LOSER]), 1)
    assert await detector.refresh()


async def test_reload_takes_another_file(path: Path, tmp_path: Path) -> None:
    detector = await LexiconDetector.from_file(path)
    other = tmp_path / "other.json"
    with pytest.raises(LexiconInvalid):
        await detector.reload(other)
    assert (detector.path, detector.parse_ok) == (path, True)
    change(other, dump([LOSER]), 1)
    await detector.reload(other)
    assert (await categories(detector, "idiot loser"), detector.path) == ([("insult", 2)], other)


async def test_reload_without_a_file_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no lexicon file"):
        await LexiconDetector(LEXICON).reload()


async def test_the_scorer_uses_the_lexicon_in_force(path: Path) -> None:
    detector = await LexiconDetector.from_file(path)
    scorer = LexiconScorer(lambda: detector.lexicon)
    assert [(s.score, s.label) for s in await scorer.score(["an idiot", "nothing"])] == [(0.4, "flag"), (0.0, "ok")]
    change(path, dump([LOSER]), 1)
    await detector.refresh()
    assert [s.score for s in await scorer.score(["an idiot", "a loser"])] == [0.0, 0.2]
