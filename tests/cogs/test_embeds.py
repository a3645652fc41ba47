"""The alert card as a moderator reads it."""

from dataclasses import replace
from datetime import UTC, datetime

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogs.embeds import alert_card, masked, status_panel
from moderation.models import (
    Alert,
    AlertState,
    Coverage,
    Detection,
    Finding,
    Flag,
    Level,
    Session,
    Span,
    Speaker,
    TranscriptSegment,
    Verdict,
)
from moderation.shedding import Shed

pytestmark = pytest.mark.unit

SESSION = Session("0123456789abcdef", 7, 8, datetime(2026, 1, 1, 20, 0, tzinfo=UTC), "General")


def flag(start: int, end: int, severity: int = 10) -> Flag:
    return Flag("lexicon", "self_harm", severity, 1.0, 0.93, Span(start, end, 61.0, 62.0))


def card(text: str = "i hate you go and kill yourself", **changes: object) -> Alert:
    segment = TranscriptSegment(SESSION.id, 42, 3, 60.0, 63.0, text, final=True)
    flags = (flag(18, 31),)
    verdict = Verdict(Level.ALERT, 10, 1.0, 0.93, ("self_harm",), flags, (("lexicon", Detection.RAN), ("toxicity", Detection.PENDING)))
    before = TranscriptSegment(SESSION.id, 43, 0, 55.0, 57.0, "please *stop* @everyone", final=True)
    alert = Alert(
        segment.id,
        SESSION,
        Speaker(42, "ben_"),
        segment,
        verdict,
        AlertState.CONFIRMED,
        context=(Finding(before, Verdict()),),
        speakers=(Speaker(43, "cleo"),),
    )
    return replace(alert, **changes)  # type: ignore[arg-type]


def field(alert: Alert, name: str) -> str:
    (value,) = [f.value for f in alert_card(alert).fields if f.name == name]
    return value or ""


def test_a_flag_on_the_whole_sentence_hides_it_only_where_nothing_is_marked_in_it() -> None:
    segment = TranscriptSegment("s", 1, 0, 0.0, 1.0, "such a word", final=True)
    assert masked(segment, [flag(0, 11)]) == "||**such a word**||"
    assert masked(segment, [flag(0, 11), flag(7, 11)]) == "such a ||**word**||"


def test_what_was_heard_is_masked() -> None:
    assert alert_card(card()).description == "> i hate you go and ||**kill yourself**||"


def test_who_where_when_how_bad_how_sure() -> None:
    assert field(card(), "Who") == "<@42> (ben\\_)\nID 42"
    assert field(card(), "Where") == "<#8>"
    assert field(card(), "When").startswith("<t:1767297660:T> (<t:1767297660:R>)\n1:00")
    assert field(card(), "Severity") == "10/10"
    assert field(card(), "Confidence").startswith("93%")
    assert field(card(), "Category") == "self harm"
    assert field(card(), "Detectors") == "lexicon ran, toxicity still at work"
    assert alert_card(card()).title == "Self harm"


def test_the_turns_around_it_neither_format_nor_ping() -> None:
    context = field(card(), "Around it")
    assert context.startswith("`  -5 s` **cleo**: please \\*stop\\* @")
    assert "@everyone" not in context


@pytest.mark.parametrize(
    ("state", "title"),
    [(AlertState.EARLY, "Early alert: self harm"), (AlertState.WITHDRAWN, "Withdrawn alert"), (AlertState.REVISED, "Self harm")],
)
def test_the_state_is_said(state: AlertState, title: str) -> None:
    embed = alert_card(card(state=state))
    assert embed.title == title
    assert state.value in (embed.footer.text or "").lower()


def test_grouped_findings_are_each_a_line() -> None:
    later = TranscriptSegment(SESSION.id, 42, 4, 65.0, 66.0, "idiot", final=True)
    verdict = Verdict(Level.ALERT, 5, 0.5, 0.8, ("insult",), (flag(0, 5, 5),))
    embed = alert_card(card(grouped=(Finding(later, verdict),), grouped_dropped=2))
    assert (embed.description or "").splitlines()[1:] == ["… and 2 more in between", "> ||**idiot**||"]


@given(st.text(max_size=3000), st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 60)), max_size=30), st.text(max_size=300))
def test_any_speech_makes_a_card_that_discord_takes(text: str, spans: list[tuple[int, int]], name: str) -> None:
    text = text or "x"
    flags = tuple(flag(s % len(text), min(s % len(text) + n, len(text))) for s, n in spans)
    segment = TranscriptSegment(SESSION.id, 42, 3, 60.0, 63.0, text, final=True)
    verdict = Verdict(Level.ALERT, 10, 1.0, 0.9, ("insult",), flags)
    embed = alert_card(card(segment=segment, verdict=verdict, context=(Finding(segment, verdict),) * 8, speaker=Speaker(42, name[:32])))
    assert len(embed) <= 6000
    assert len(embed.description or "") <= 4096
    assert all(0 < len(f.value or "") <= 1024 and 0 < len(f.name or "") <= 256 for f in embed.fields)
    assert (embed.description or "").count("||") % 2 == 0 or "||" in text.replace("\\", "")


def test_overlapping_flags_mask_once() -> None:
    segment = TranscriptSegment("s", 1, 0, 0.0, 1.0, "shut up idiot", final=True)
    assert masked(segment, [flag(0, 7), flag(5, 13)]) == "||**shut up idiot**||"


def test_status_panel() -> None:
    coverage = (Coverage(Speaker(1, "ada"), 100.0, 60.0, 5, 1, 1), Coverage(Speaker(2, ""), 0.0, 0.0))
    embed = status_panel(SESSION, coverage)
    assert "**60%**" in (embed.description or "")
    assert [f.name for f in embed.fields] == ["ada", "2"]
    assert embed.fields[0].value == "heard 60% of 100 s\n5 segments, 1 flags, 1 alerts"


def test_status_panel_says_what_overload_costs() -> None:
    coverage = (Coverage(Speaker(1, "ada"), 100.0, 60.0, 5, 1, 1, shed_seconds=40.0),)
    embed = status_panel(SESSION, coverage, Shed.CHANNEL)
    assert embed.title == "Not listening for now"
    assert "**This channel is not heard for now**" in (embed.description or "")
    assert str(embed.fields[0].value).endswith("40 s left out: the machine was overloaded")
    partials = status_panel(SESSION, (Coverage(Speaker(1, "ada"), 100.0, 100.0),), Shed.PARTIALS)
    assert "end of a sentence" in (partials.description or "")
    assert partials.colour == discord.Colour.orange()
    assert "overloaded" not in str(partials.fields[0].value)
