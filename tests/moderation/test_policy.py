"""The verdict on a segment: thresholds, word confidence, and an algebra that does not care for order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.models import Detection, Flag, Level, Span, Verdict
from moderation.policy import judge, merge
from moderation.settings import GuildSettings

pytestmark = pytest.mark.unit

SETTINGS = GuildSettings(1, alert_severity=4, minimum_confidence=0.5)


def flag(severity: int = 5, confidence: float = 0.9, *, at: int = 0, detector: str = "lexicon", category: str = "insult") -> Flag:
    return Flag(detector, category, severity, severity / 10, confidence, Span(at, at + 3, 0.0, 1.0))


def test_no_flags_no_verdict() -> None:
    verdict = judge([], {"lexicon": Detection.RAN}, SETTINGS)
    assert (verdict.level, verdict.severity, verdict.score) == (Level.NONE, 0, 0.0)
    assert verdict.detectors == (("lexicon", Detection.RAN),)


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ([flag(4)], Level.ALERT),
        ([flag(3)], Level.REVIEW),
        ([flag(10, confidence=0.49)], Level.REVIEW),
        ([flag(10, confidence=0.5)], Level.ALERT),
        ([flag(3, at=0), flag(3, at=5), flag(2, at=9)], Level.ALERT),
        ([flag(3, at=0), flag(3, at=5, confidence=0.1), flag(2, at=9)], Level.REVIEW),
    ],
)
def test_level(flags: list[Flag], level: Level) -> None:
    assert judge(flags, {}, SETTINGS).level is level


def test_a_weak_severe_flag_does_not_lend_its_severity_to_a_clear_mild_alert() -> None:
    verdict = judge([flag(5, at=0), flag(10, confidence=0.1, at=5)], {}, SETTINGS)
    assert (verdict.level, verdict.severity, verdict.confidence) == (Level.ALERT, 5, 0.9)


def test_score_adds_up_within_a_detector_and_is_capped() -> None:
    assert judge([flag(3, at=0), flag(4, at=5)], {}, SETTINGS).score == pytest.approx(0.7)
    assert judge([flag(8, at=0), flag(8, at=5)], {}, SETTINGS).score == 1.0
    assert judge([flag(3), flag(4, detector="toxicity")], {}, SETTINGS).score == pytest.approx(0.4)


FLAGS = st.builds(
    flag,
    severity=st.integers(1, 10),
    confidence=st.floats(0, 1),
    at=st.integers(0, 20),
    detector=st.sampled_from(["lexicon", "toxicity"]),
    category=st.sampled_from(["insult", "threat"]),
)
STATES = st.dictionaries(st.sampled_from(["lexicon", "toxicity"]), st.sampled_from(list(Detection)))
VERDICTS = st.builds(lambda flags, states: judge(flags, states, SETTINGS), st.lists(FLAGS, max_size=5), STATES)


@given(VERDICTS, VERDICTS, VERDICTS)
def test_merging_is_associative_commutative_idempotent(a: Verdict, b: Verdict, c: Verdict) -> None:
    assert merge(a, b, SETTINGS) == merge(b, a, SETTINGS)
    assert merge(merge(a, b, SETTINGS), c, SETTINGS) == merge(a, merge(b, c, SETTINGS), SETTINGS)
    assert merge(a, a, SETTINGS) == a


@given(VERDICTS, VERDICTS)
def test_merging_never_lowers_the_level(a: Verdict, b: Verdict) -> None:
    assert merge(a, b, SETTINGS).level >= max(a.level, b.level)


def test_a_detector_that_ran_stays_ran() -> None:
    ran, pending = judge([], {"x": Detection.RAN}, SETTINGS), judge([], {"x": Detection.PENDING}, SETTINGS)
    assert merge(pending, ran, SETTINGS).detectors == (("x", Detection.RAN),)


def test_settings_decide() -> None:
    assert judge([flag(4)], {}, replace(SETTINGS, alert_severity=5)).level is Level.REVIEW
