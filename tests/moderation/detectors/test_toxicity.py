"""Toxicity as a detector: what of a score becomes a flag."""

from dataclasses import replace

import pytest

from moderation.detectors.toxicity import ToxicityDetector, severity, strongest
from moderation.errors import DetectorError, ScorerUnavailable
from moderation.models import Score, TranscriptSegment, Word
from tests.fakes import FakeScorer
from tests.moderation.detectors.sessions import SESSION

pytestmark = pytest.mark.unit

SEGMENT = TranscriptSegment("s", 1, 0, 1.0, 3.0, "how ugly", final=True, words=(Word("how", 1.0, 2.0, 0.4), Word("ugly", 2.0, 3.0, 0.8)))


async def test_a_sentence_over_the_threshold_is_one_flag_on_all_of_it() -> None:
    (flag,) = await ToxicityDetector(FakeScorer("ugly", categories={"insult": 0.9, "threat": 0.2}), 0.7).detect(SESSION, SEGMENT)
    assert (flag.detector, flag.category, flag.score, flag.severity) == ("fake-scorer", "insult", 0.95, 9)
    assert (flag.span.start_char, flag.span.end_char, flag.span.start, flag.span.end) == (0, 8, 1.0, 3.0)
    assert flag.confidence == pytest.approx(0.6)


async def test_below_the_threshold_there_is_none() -> None:
    assert not await ToxicityDetector(FakeScorer("never"), 0.7).detect(SESSION, SEGMENT)
    assert not await ToxicityDetector(FakeScorer("ugly"), 0.96).detect(SESSION, SEGMENT)


@pytest.mark.parametrize("segment", [replace(SEGMENT, final=False), replace(SEGMENT, text="", words=())])
async def test_partials_and_silence_are_not_scored(segment: TranscriptSegment) -> None:
    scorer = FakeScorer()
    assert not await ToxicityDetector(scorer, 0.7).detect(SESSION, segment)
    assert scorer.asked == []


async def test_the_stand_in_answers_under_its_own_name_and_only_when_needed() -> None:
    scorer, other = FakeScorer("ugly"), FakeScorer("ugly", name="stand-in")
    detector = ToxicityDetector(scorer, 0.7, other)
    await detector.detect(SESSION, SEGMENT)
    assert other.asked == []
    scorer.error = ScorerUnavailable("away")
    (flag,) = await detector.detect(SESSION, SEGMENT)
    assert (detector.name, flag.detector) == ("fake-scorer", "stand-in")
    other.error = DetectorError("away, too")
    with pytest.raises(DetectorError):
        await detector.detect(SESSION, SEGMENT)


@pytest.mark.parametrize(("score", "threshold", "expected"), [(0.7, 0.7, 4), (0.85, 0.7, 7), (1.0, 0.7, 10), (1.0, 1.0, 10), (0.0, 0.0, 4)])
def test_severity_grows_from_the_threshold_on(score: float, threshold: float, expected: int) -> None:
    assert severity(score, threshold) == expected


def test_without_a_category_it_is_toxicity() -> None:
    assert strongest(Score(0.9, "flag")) == "toxicity"
    assert strongest(Score(0.9, "flag", {"threat": 0.0})) == "toxicity"
