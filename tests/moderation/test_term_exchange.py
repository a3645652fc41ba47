"""Lists of terms: what they would change, what they do, and that a list that went out comes back as it was."""

import json
from collections.abc import Sequence

import pytest

from config.settings import LEXICON_PRESETS
from moderation.errors import InvalidInput, LexiconInvalid, NotFound
from moderation.lexicon_service import MAX_GUILD_TERMS
from moderation.term_exchange import MAX_BYTES, TermExchange
from moderation.terms import Term, TermType

pytestmark = pytest.mark.unit

GUILD = 7


class FakeTerms:
    """A guild's terms in memory; counts transactions and invalidations."""

    def __init__(self, *terms: Term) -> None:
        self.held, self.changes, self.invalidated = {t.term: t for t in terms}, 0, 0

    async def terms(self, guild_id: int) -> Sequence[Term]:
        return list(self.held.values())

    async def change_terms(self, guild_id: int, put: Sequence[Term], remove: Sequence[str]) -> None:
        self.changes += 1
        for term in remove:
            del self.held[term]
        self.held |= {t.term: t for t in put}

    def invalidate(self, guild_id: int) -> None:
        self.invalidated += 1


def exchange(*terms: Term) -> tuple[TermExchange, FakeTerms]:
    held = FakeTerms(*terms)
    return TermExchange(held, held, LEXICON_PRESETS), held  # type: ignore[arg-type]


def word(text: str, severity: int = 4) -> Term:
    return Term(text, TermType.WORD, "insult", severity)


async def test_terms_are_compared_as_they_match() -> None:
    lists, held = exchange(word("Idiot"), word("moron"), Term("long term", TermType.ALLOW, "", 5))
    new = [word("idiot", 6), word("moron"), word("loser"), Term("long term", TermType.ALLOW)]
    change = await lists.plan(GUILD, new)
    assert (change.added, change.unchanged) == ((word("loser"),), 2)
    assert change.replaced == ((word("Idiot"), word("idiot", 6)),)
    assert (held.changes, held.invalidated) == (0, 0), "a plan changes nothing"
    assert await lists.apply(GUILD, new) == change
    assert sorted(held.held) == ["idiot", "long term", "loser", "moron"]
    assert (held.changes, held.invalidated) == (1, 1)
    assert not (await lists.apply(GUILD, new)).put
    assert held.changes == 1, "nothing to do is not done"


async def test_another_meaning_of_the_same_words_is_a_replacement() -> None:
    lists, _ = exchange(word("boss"))
    change = await lists.plan(GUILD, [Term("boss", TermType.ALLOW)])
    assert len(change.replaced) == 1


async def test_there_are_limits() -> None:
    lists, _ = exchange(*(word(f"w{n}x") for n in range(MAX_GUILD_TERMS)))
    assert (await lists.plan(GUILD, [word("w1x", 9)])).replaced
    with pytest.raises(LexiconInvalid, match="5,001 terms"):
        await lists.plan(GUILD, [word("one more")])
    with pytest.raises(InvalidInput, match="larger than"):
        await lists.read(bytes(MAX_BYTES + 1), "list.txt")


async def test_the_ending_says_the_format_unless_it_is_given() -> None:
    lists, _ = exchange()
    assert [t.term for t in (await lists.read(b"a nut\n", "LIST.TXT")).terms] == ["a nut"]
    assert [t.term for t in (await lists.read(b"term\nnut\n", "list.txt", "csv")).terms] == ["nut"]
    for name in ("list", "list.xml", ""):
        with pytest.raises(InvalidInput, match="Choose the format"):
            await lists.read(b"nut", name)


async def test_what_is_left_out_is_counted() -> None:
    lists, _ = exchange()
    reading = await lists.read(b"nut\nNUT\n1337\n", "list.txt")
    assert (len(reading.terms), reading.left_out) == (1, 2)


async def test_flagged_and_allowed_in_one_file_is_told_with_both_lines() -> None:
    lists, _ = exchange()
    with pytest.raises(LexiconInvalid) as caught:
        await lists.read(b"term,type\nnut,word\nnut,allow\n", "list.csv")
    assert [str(p) for p in caught.value.problems] == ["line 3: flagged here and allowed in line 2, or the other way round; keep one"]


async def test_what_goes_out_comes_back() -> None:
    lists, held = exchange(word("zebra", 9), Term('a "quote"', TermType.PHRASE, "x", 1), Term("naïve boss", TermType.ALLOW))
    data = await lists.export(GUILD)
    assert [e["term"] for e in json.loads(data)] == ['a "quote"', "naïve boss", "zebra"]
    other, others = exchange()
    await other.apply(GUILD, (await other.read(data, "mine.json")).terms)
    assert others.held == held.held


async def test_every_preset_is_a_lexicon_that_a_guild_can_take() -> None:
    lists, held = exchange()
    names = await lists.presets()
    assert names == ["game-talk-allow", "mild-insults", "severe-phrases", "threat-phrases"]
    for name in names:
        assert (await lists.apply(GUILD, (await lists.preset(name)).terms)).added
    assert len(held.held) == 32, "no two presets share a term"


@pytest.mark.parametrize("name", ["", "none", "../sample", "mild-insults.json"])
async def test_there_are_no_other_presets(name: str) -> None:
    lists, _ = exchange()
    with pytest.raises(NotFound, match="game-talk-allow, mild-insults"):
        await lists.preset(name)
