"""Frames in, events out: tracks, utterances, failures, coverage."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from moderation.detectors.toxicity import ToxicityDetector
from moderation.errors import ScorerUnavailable, VoiceDisconnected
from moderation.events import AlertRaised, AlertRevised, SegmentFlagged, SegmentTranscribed, SpeakerHeard, TrackFailed
from moderation.models import (
    AlertState,
    AudioFrame,
    Coverage,
    Detection,
    EndOfSpeech,
    Score,
    Session,
    SourceItem,
    SpeakerLeft,
    TranscriptSegment,
)
from moderation.pipeline import MAX_ASIDE, Pipeline
from moderation.ports import Detector
from moderation.settings import GuildSettings
from tests.fakes import FakeDetector, FakeScorer, FakeSink, FakeSource, FakeTranscriber

pytestmark = pytest.mark.unit

SESSION = Session("s", 7, 8, datetime(2026, 1, 1, tzinfo=UTC))
MOVED = replace(SESSION, channel_id=9)
T = TypeVar("T")
FRAME = 640


def say(text: str, start: float, speaker: int = 1) -> list[SourceItem]:
    """A letter a frame, then the pause."""
    frames: list[SourceItem] = [
        AudioFrame(speaker, start + n * 0.02, letter.encode() * FRAME, 1000.0 + start + n * 0.02) for n, letter in enumerate(text)
    ]
    return [*frames, EndOfSpeech(speaker, start + len(text) * 0.02)]


class Run:
    """One pipeline run over fakes."""

    def __init__(self, *detectors: Detector) -> None:
        self.sink, self.transcriber = FakeSink(), FakeTranscriber()
        settings = GuildSettings(7)
        self.pipeline = Pipeline(SESSION, self.transcriber, detectors, self.sink, lambda: settings, lossless=True)

    async def over(self, items: list[SourceItem], failure: VoiceDisconnected | None = None) -> tuple[Coverage, ...]:
        return await self.pipeline.run(FakeSource(items, failure))

    def finals(self, speaker: int = 1) -> list[TranscriptSegment]:
        return [
            e.segment for e in self.sink.events if isinstance(e, SegmentTranscribed) and e.segment.final and e.segment.speaker_id == speaker
        ]

    def of(self, kind: type[T]) -> list[T]:
        return [e for e in self.sink.events if isinstance(e, kind)]


async def test_each_pause_makes_a_segment_in_media_time() -> None:
    run = Run()
    await run.over([*say("hello there", 2.0), *say("again", 30.0)])
    first, second = run.finals()
    assert (first.text, first.utterance, second.text, second.utterance) == ("hello there", 0, "again", 1)
    assert [first.start, first.end] == pytest.approx([2.0, 2.22])
    assert [second.start, second.end] == pytest.approx([30.0, 30.1])
    assert second.received_at == pytest.approx(1030.1, abs=0.11)


class MovedSource(FakeSource):
    """Somebody moves the bot when a sentence has begun."""

    def __init__(self, run: Run, before: list[SourceItem], after: list[SourceItem]) -> None:
        super().__init__(before)
        self.run, self.after = run, after

    async def frames(self) -> AsyncIterator[SourceItem]:
        for item in self.items:
            yield item
        while not self.run.of(SegmentTranscribed):  # noqa: ASYNC110 - the fake sink has no event
            await asyncio.sleep(0)
        self.run.pipeline.moved(MOVED)
        for item in self.after:
            yield item


async def test_a_sentence_belongs_to_the_channel_in_which_it_began() -> None:
    run = Run(FakeDetector("idiot", 6))
    first, second = say("you idiot", 0.0), say("idiot again", 2.0)
    await run.pipeline.run(MovedSource(run, first[:4], [*first[4:], *second]))
    assert [(e.segment.text, e.session.channel_id) for e in run.of(SegmentFlagged)] == [("you idiot", 8), ("idiot again", 9)]
    alerts = [e.alert for e in run.of(AlertRaised)]
    assert [(a.segment.text, a.session.channel_id, a.grouped) for a in alerts] == [("you idiot", 8, ()), ("idiot again", 9, ())]


async def test_the_last_words_are_finished_when_the_source_ends() -> None:
    run = Run()
    await run.over(say("cut off", 0.0)[:-1])
    assert [s.text for s in run.finals()] == ["cut off"]


async def test_one_recogniser_a_speaker_whatever_the_number_of_utterances() -> None:
    run = Run()
    items = [i for n in range(50) for i in (*say("one", n * 2.0, 1), *say("two", n * 2.0 + 1, 2))]
    await run.over(items)
    assert len(run.transcriber.opened) == 2
    assert all(r.closed for r in run.transcriber.opened)
    assert [len(run.finals(s)) for s in (1, 2)] == [50, 50]
    assert len(run.of(SpeakerHeard)) == 2


async def test_a_speaker_who_leaves_and_returns_keeps_counting() -> None:
    run = Run()
    (coverage,) = await run.over([*say("bye", 0.0), SpeakerLeft(1), *say("back", 9.0)])
    assert sorted(s.utterance for s in run.finals()) == [0, 1]
    assert coverage.heard_seconds == pytest.approx(7 * 0.02)
    assert coverage.ratio == pytest.approx(1.0)
    assert len(run.transcriber.opened) == 2


async def test_a_failing_recogniser_is_replaced_and_the_call_goes_on() -> None:
    run = Run()
    (coverage,) = await run.over([*say("ab!!!cd", 0.0), *say("fine", 5.0)])
    assert len(run.of(TrackFailed)) == 1
    assert run.finals()[-1].text == "fine"
    assert coverage.ratio < 1.0


@pytest.mark.parametrize("text", ["broken", "crash"])
async def test_a_failing_detector_is_noted_and_the_call_goes_on(text: str, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(FakeDetector("idiot", 5, name="one"), FakeDetector("scum", 5, name="two"))
    await run.over(say(text, 0.0))
    assert text not in caplog.text
    (event,) = [e for e in run.of(SegmentTranscribed) if e.segment.final]
    assert dict(event.verdict.detectors) == {"one": Detection.FAILED, "two": Detection.FAILED}


async def test_a_flagged_segment_raises_an_alert() -> None:
    run = Run(FakeDetector("idiot", 5))
    (coverage,) = await run.over(say("you idiot", 0.0))
    (flagged,), (raised,) = run.of(SegmentFlagged), run.of(AlertRaised)
    assert flagged.segment.text == "you idiot"
    assert raised.alert.speaker.name == "speaker 1"
    assert (coverage.segments, coverage.flags, coverage.alerts) == (1, 1, 1)


async def test_a_severe_term_alerts_before_the_sentence_ends_and_the_final_confirms() -> None:
    run = Run(FakeDetector("scum", 9))
    await run.over(say("you scum of the earth", 0.0))
    kinds = [type(e) for e in run.sink.events if isinstance(e, AlertRaised | AlertRevised | SegmentFlagged)]
    assert kinds == [AlertRaised, SegmentFlagged, AlertRevised]
    assert run.of(AlertRaised)[0].alert.state is AlertState.EARLY
    assert run.of(AlertRevised)[0].alert.state is AlertState.CONFIRMED


async def test_a_partial_that_stands_unchanged_counts_as_seen_twice() -> None:
    run = Run(FakeDetector("scum", 9))
    await run.over(say("scum" + "\0" * 20, 0.0)[:-1])
    assert run.of(AlertRaised)[0].alert.state is AlertState.EARLY
    quick = Run(FakeDetector("scum", 9))
    await quick.over(say("scum" + "\0" * 5, 0.0))
    assert quick.of(AlertRaised)[0].alert.state is AlertState.CONFIRMED


async def test_an_early_alert_whose_utterance_has_no_final_is_withdrawn() -> None:
    run = Run(FakeDetector("scum", 9))
    await run.over([*say("scum    !", 0.0), *say("ok", 5.0)])
    assert run.of(AlertRevised)[0].alert.state is AlertState.WITHDRAWN


async def test_a_slow_detector_adds_to_the_alert_and_never_delays_it() -> None:
    run = Run(FakeDetector("idiot", 5), FakeDetector("ugly", 6, name="slow", live=False))
    await run.over(say("ugly idiot", 0.0))
    assert dict(run.of(AlertRaised)[0].alert.verdict.detectors)["slow"] is Detection.PENDING
    last = run.of(AlertRevised)[-1].alert
    assert dict(last.verdict.detectors)["slow"] is Detection.RAN
    assert last.severity == 6


async def test_a_slow_detector_may_raise_what_the_lexicon_missed() -> None:
    run = Run(FakeDetector("ugly", 6, name="slow", live=False))
    await run.over(say("how ugly", 0.0))
    assert len(run.of(AlertRaised)) == 1


async def test_a_card_does_not_say_for_ever_that_a_slow_detector_is_at_work() -> None:
    run = Run(FakeDetector("idiot", 5), FakeDetector("ugly", 6, name="slow", live=False))
    await run.over(say("you idiot", 0.0))
    assert dict(run.of(AlertRevised)[-1].alert.verdict.detectors) == {"fake": Detection.RAN, "slow": Detection.RAN}
    assert len(run.of(SegmentFlagged)) == 1, "nothing was added"


async def test_who_stands_in_for_a_slow_detector_is_named() -> None:
    scorer, other = FakeScorer("ugly", name="away"), FakeScorer("ugly", name="stand-in")
    scorer.error = ScorerUnavailable("away")
    run = Run(ToxicityDetector(scorer, 0.7, other))
    await run.over(say("how ugly", 0.0))
    (raised,) = run.of(AlertRaised)
    assert dict(raised.alert.verdict.detectors) == {"away": Detection.FAILED, "stand-in": Detection.RAN}


async def test_what_can_wait_waits_for_slow_detectors() -> None:
    scorer = FakeScorer("ugly")
    run = Run(ToxicityDetector(scorer, 0.7))
    await run.over([i for n in range(2 * MAX_ASIDE) for i in say("a", n * 2.0)])
    assert (len(scorer.asked), run.pipeline.refused_aside) == (2 * MAX_ASIDE, 0)


async def test_a_call_refuses_slow_detections_when_too_many_are_in_flight_and_the_card_says_so() -> None:
    held = asyncio.Event()

    class Stuck(FakeScorer):
        async def score(self, texts: Sequence[str]) -> Sequence[Score]:
            await held.wait()
            return await super().score(texts)

    sink, settings = FakeSink(), GuildSettings(7)
    pipeline = Pipeline(SESSION, FakeTranscriber(), (FakeDetector("z", 5), ToxicityDetector(Stuck("q"), 0.7)), sink, lambda: settings)
    run = asyncio.create_task(pipeline.run(FakeSource([i for n in range(MAX_ASIDE + 3) for i in say("z", n * 40.0)])))
    async with asyncio.timeout(60):
        while pipeline.refused_aside < 3:  # noqa: ASYNC110 - it gets there by itself
            await asyncio.sleep(0)
        held.set()
        await run
    fates = [dict(e.alert.verdict.detectors)["fake-scorer"] for e in sink.events if isinstance(e, AlertRevised)]
    assert fates.count(Detection.FAILED) == 3


async def test_a_source_that_dies_is_told_after_the_last_words() -> None:
    run = Run()
    with pytest.raises(VoiceDisconnected):
        await run.over(say("hello", 0.0)[:-1], VoiceDisconnected("gone"))
    assert [s.text for s in run.finals()] == ["hello"]


async def test_a_live_source_that_outruns_the_track_loses_the_oldest_and_counts_it() -> None:
    sink, settings = FakeSink(), GuildSettings(7)
    pipeline = Pipeline(SESSION, FakeTranscriber(), (), sink, lambda: settings)
    (coverage,) = await pipeline.run(FakeSource(say("x" * 2_000, 0.0)))
    assert coverage.heard_seconds < coverage.spoken_seconds
    assert coverage.heard_seconds > 0
