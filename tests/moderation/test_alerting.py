"""Early alerts, grouping, cooldown, revision: what moderators are told, and how often."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from moderation.alerting import MAX_EARLIER, MAX_GROUPED, AlertEvent, Alerting
from moderation.events import AlertRaised, AlertRevised
from moderation.models import AlertState, Detection, Flag, Session, Span, Speaker, TranscriptSegment, Verdict
from moderation.policy import judge
from moderation.settings import GuildSettings

pytestmark = pytest.mark.unit

SETTINGS = GuildSettings(7, alert_severity=4, early_severity=7, cooldown_seconds=20.0, context_seconds=30.0)
SESSION = Session("s", 7, 8, datetime(2026, 1, 1, tzinfo=UTC))


def alerting(settings: GuildSettings = SETTINGS) -> Alerting:
    return Alerting(SESSION, lambda: settings, lambda i: Speaker(i, f"name {i}"), lambda: 123.0)


def segment(text: str, start: float, *, speaker: int = 1, utterance: int = 0, final: bool = True) -> TranscriptSegment:
    return TranscriptSegment("s", speaker, utterance, start, start + 2.0, text, final)


def verdict(text: str, word: str | None = None, severity: int = 5, confidence: float = 0.9) -> Verdict:
    flags = []
    if word is not None:
        at = text.index(word)
        flags = [Flag("lexicon", "insult", severity, severity / 10, confidence, Span(at, at + len(word), 0.0, 1.0))]
    return judge(flags, {}, SETTINGS)


def say(
    desk: Alerting, text: str, start: float, word: str | None = None, *, severity: int = 5, speaker: int = 1, utterance: int = 0
) -> list[AlertEvent]:
    return desk.final(segment(text, start, speaker=speaker, utterance=utterance), verdict(text, word, severity))


def partial(desk: Alerting, text: str, word: str | None, severity: int = 9, utterance: int = 0) -> AlertEvent | None:
    return desk.partial(segment(text, 10.0, final=False, utterance=utterance), verdict(text, word, severity))


def test_a_final_alerts_once() -> None:
    desk = alerting()
    (event,) = say(desk, "you idiot", 1.0, "idiot")
    assert isinstance(event, AlertRaised)
    assert event.alert.state is AlertState.CONFIRMED
    assert event.alert.raised_at == 123.0
    assert say(desk, "fine", 5.0, utterance=1) == []


def test_a_review_does_not_alert() -> None:
    assert say(alerting(), "you clown", 1.0, "clown", severity=2) == []


def test_early_needs_two_partials_with_the_same_term() -> None:
    desk = alerting()
    assert partial(desk, "go kill", None) is None
    assert partial(desk, "go kill yourself", "kill yourself") is None
    event = partial(desk, "oh go kill yourself now", "kill yourself")
    assert isinstance(event, AlertRaised)
    assert event.alert.state is AlertState.EARLY
    assert partial(desk, "oh go kill yourself now", "kill yourself") is None


def test_early_is_not_raised_by_a_term_that_flickers_or_is_mild() -> None:
    desk = alerting()
    partial(desk, "you scum", "scum")
    partial(desk, "you skim", None)
    assert partial(desk, "you scum", "scum") is None
    mild = alerting()
    partial(mild, "you idiot", "idiot", severity=5)
    assert partial(mild, "you idiot", "idiot", severity=5) is None


def test_early_does_not_carry_over_to_the_next_utterance() -> None:
    desk = alerting()
    partial(desk, "you scum", "scum", utterance=0)
    assert partial(desk, "you scum", "scum", utterance=1) is None


@pytest.mark.parametrize(
    ("text", "word", "severity", "state"),
    [
        ("go kill yourself", "kill yourself", 9, AlertState.CONFIRMED),
        ("go kill your elf", "kill", 2, AlertState.REVISED),
        ("go fill your shelf", None, 0, AlertState.WITHDRAWN),
        ("", None, 0, AlertState.WITHDRAWN),
    ],
)
def test_the_final_answers_the_early_alert(text: str, word: str | None, severity: int, state: AlertState) -> None:
    desk = alerting()
    partial(desk, "go kill yourself", "kill yourself")
    raised = partial(desk, "go kill yourself", "kill yourself")
    (revised,) = say(desk, text, 10.0, word, severity=severity)
    assert isinstance(raised, AlertRaised)
    assert isinstance(revised, AlertRevised)
    assert (revised.alert.id, revised.alert.state) == (raised.alert.id, state)
    assert revised.alert.segment.text == (text or "go kill yourself")


def test_further_segments_in_the_cooldown_grow_the_card() -> None:
    desk = alerting()
    (first,) = say(desk, "you idiot", 1.0, "idiot")
    (second,) = say(desk, "such an idiot", 10.0, "idiot", utterance=1)
    assert isinstance(second, AlertRevised)
    assert second.alert.id == first.alert.id
    assert [f.segment.text for f in second.alert.findings] == ["you idiot", "such an idiot"]
    assert second.alert.evidence_span == (1.0, 12.0)
    (late,) = say(desk, "idiot", 40.0, "idiot", utterance=2)
    assert isinstance(late, AlertRaised)


def test_something_worse_is_a_new_alert_even_in_the_cooldown() -> None:
    desk = alerting()
    say(desk, "you idiot", 1.0, "idiot", severity=5)
    (worse,) = say(desk, "kill yourself", 4.0, "kill yourself", severity=10, utterance=1)
    assert isinstance(worse, AlertRaised)


def test_speakers_do_not_share_a_cooldown() -> None:
    desk = alerting()
    say(desk, "you idiot", 1.0, "idiot", speaker=1)
    events = say(desk, "idiot", 2.0, "idiot", speaker=2)
    assert any(isinstance(e, AlertRaised) and e.alert.speaker.id == 2 for e in events)


def test_grouped_segments_are_bounded_and_counted() -> None:
    desk = alerting()
    for n in range(12):
        events = say(desk, f"idiot {n}", float(n), "idiot", utterance=n)
    alert = events[-1].alert
    assert len(alert.grouped) == MAX_GROUPED
    assert alert.grouped_dropped == 11 - MAX_GROUPED


def test_the_same_segment_judged_again_is_the_same_finding() -> None:
    desk = alerting()
    say(desk, "you idiot", 1.0, "idiot")
    say(desk, "idiot again", 5.0, "idiot", utterance=1)
    (event,) = say(desk, "idiot again", 5.0, "idiot", utterance=1)
    assert len(event.alert.grouped) == 1


def test_a_late_verdict_finds_the_card_that_shows_its_segment() -> None:
    desk = alerting()
    (first,) = say(desk, "you idiot", 1.0, "idiot", severity=5)
    say(desk, "kill yourself", 4.0, "kill yourself", severity=10, utterance=1)
    (late,) = say(desk, "you idiot", 1.0, "you idiot", severity=6)
    assert isinstance(late, AlertRevised)
    assert (late.alert.id, late.alert.severity) == (first.alert.id, 6)
    (grown,) = say(desk, "idiot again", 5.0, "idiot", utterance=2)
    assert grown.alert.segment.text == "kill yourself", "new findings still go to the latest card"


def test_a_late_verdict_worse_than_its_card_is_news() -> None:
    desk = alerting()
    say(desk, "you idiot", 1.0, "idiot", severity=5)
    say(desk, "such an idiot", 5.0, "idiot", severity=5, utterance=1)
    (late,) = say(desk, "such an idiot", 5.0, "such an", severity=9, utterance=1)
    assert isinstance(late, AlertRaised)


def test_a_late_verdict_takes_back_a_withdrawal() -> None:
    desk = alerting()
    partial(desk, "go kill yourself", "kill yourself")
    raised = partial(desk, "go kill yourself", "kill yourself")
    say(desk, "go fill your shelf", 10.0)
    (late,) = say(desk, "go fill your shelf", 10.0, "fill your shelf", severity=7)
    assert isinstance(raised, AlertRaised)
    assert (late.alert.id, late.alert.state) == (raised.alert.id, AlertState.CONFIRMED)


def test_a_card_says_that_a_slower_detector_is_done_even_when_it_found_nothing() -> None:
    desk = alerting()
    say(desk, "you idiot", 1.0, "idiot")
    say(desk, "such an idiot", 5.0, "idiot", utterance=1)
    ran = replace(verdict("you idiot", "idiot"), detectors=(("slow", Detection.RAN),))
    own = desk.settled(segment("you idiot", 1.0), ran)
    grouped = desk.settled(segment("such an idiot", 5.0, utterance=1), ran)
    assert own is not None
    assert grouped is not None
    assert [dict(f.verdict.detectors) for f in grouped.alert.findings] == [{"slow": Detection.RAN}] * 2
    assert desk.settled(segment("never mind", 9.0, utterance=2), ran) is None


def test_a_turn_in_the_context_gets_its_late_verdict() -> None:
    desk = alerting()
    say(desk, "how ugly", 1.0, speaker=2)
    say(desk, "how ugly", 1.0, "ugly", severity=2, speaker=2)
    (raised,) = say(desk, "you idiot", 4.0, "idiot")
    assert [len(t.verdict.flags) for t in raised.alert.context] == [1]


def test_alerts_that_late_verdicts_can_reach_are_bounded_and_forgotten_with_their_speaker() -> None:
    desk = alerting(replace(SETTINGS, cooldown_seconds=-1.0))
    for n in range(2 * MAX_EARLIER):
        say(desk, "you idiot", 10.0 * n, "idiot", utterance=n)
    ran = replace(verdict("you idiot", "idiot"), detectors=(("slow", Detection.RAN),))
    reached = [n for n in range(2 * MAX_EARLIER) if desk.settled(segment("you idiot", 10.0 * n, utterance=n), ran)]
    assert reached == list(range(MAX_EARLIER - 1, 2 * MAX_EARLIER))
    assert desk.forget(1) == 2 * MAX_EARLIER + 1 + MAX_EARLIER
    assert desk.settled(segment("you idiot", 310.0, utterance=31), ran) is None


def test_context_has_the_turns_around_it_in_order() -> None:
    desk = alerting()
    say(desk, "long ago", 1.0, speaker=2)
    say(desk, "you started it", 50.0, speaker=2, utterance=1)
    (raised,) = say(desk, "you idiot", 53.0, "idiot")
    assert [t.segment.text for t in raised.alert.context] == ["you started it"]
    assert raised.alert.speakers == (Speaker(2, "name 2"),)
    (answer,) = say(desk, "not nice", 57.0, speaker=3)
    assert [t.segment.text for t in answer.alert.context] == ["you started it", "not nice"]


def test_answers_are_bounded() -> None:
    desk = alerting()
    say(desk, "you idiot", 1.0, "idiot")
    edits = [say(desk, f"answer {n}", 4.0 + n / 10, speaker=2, utterance=n) for n in range(5)]
    assert [len(e) for e in edits] == [1, 1, 0, 0, 0]


def test_a_cooldown_of_zero_groups_nothing() -> None:
    desk = alerting(replace(SETTINGS, cooldown_seconds=-1.0))
    say(desk, "you idiot", 1.0, "idiot")
    (event,) = say(desk, "idiot", 3.5, "idiot", utterance=1)
    assert isinstance(event, AlertRaised)
