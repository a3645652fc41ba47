"""The register of choices: who may be heard, by mode and choice, and its bound."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from moderation.consent import ConsentMode, ConsentRegister
from moderation.errors import NotAllowed
from moderation.events import AlertRaised, AlertRevised, SegmentTranscribed
from moderation.models import AlertState, AudioFrame, Session, SourceItem
from moderation.pipeline import Pipeline
from moderation.settings import GuildSettings
from tests.fakes import FakeDetector, FakeSink, FakeSource, FakeTranscriber

pytestmark = pytest.mark.unit

SESSION = Session("s", 7, 8, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("mode", "chosen", "heard"),
    [
        (ConsentMode.OPT_OUT, None, True),
        (ConsentMode.OPT_OUT, True, True),
        (ConsentMode.OPT_OUT, False, False),
        (ConsentMode.OPT_IN, None, False),
        (ConsentMode.OPT_IN, True, True),
        (ConsentMode.OPT_IN, False, False),
    ],
)
def test_who_is_heard(mode: ConsentMode, chosen: bool | None, heard: bool) -> None:
    register = ConsentRegister()
    register.set_mode(1, mode)
    if chosen is not None:
        register.choose(1, 5, heard=chosen)
    assert register.accept(1, 5) is heard
    assert register.accept(2, 5) is True, "another server has its own mode and choices"
    register.set_mode(1, ConsentMode.OPT_OUT)
    assert register.mode(1) is ConsentMode.OPT_OUT


def test_without_room_a_choice_is_refused_and_counted_and_a_changed_one_is_not() -> None:
    register = ConsentRegister(limit=1)
    register.choose(1, 5, heard=False)
    register.choose(1, 5, heard=True)
    with pytest.raises(NotAllowed, match="not in force"):
        register.choose(2, 6, heard=False)
    assert (len(register), register.refused, register.chosen(2, 6)) == (1, 1, None)


def test_a_deletion_ends_consent_but_no_refusal() -> None:
    register = ConsentRegister()
    register.set_mode(1, ConsentMode.OPT_IN)
    for guild_id, user_id, heard in ((1, 5, True), (2, 5, False), (1, 6, True)):
        register.choose(guild_id, user_id, heard=heard)
    assert register.forget(5) == 1
    assert [register.accept(guild_id, 5) for guild_id in (1, 2, 3)] == [False, False, True]
    assert register.accept(1, 6)
    assert (len(register), register.forget(5)) == (2, 0)


def frames(text: str, start: float = 0.0) -> list[SourceItem]:
    return [AudioFrame(1, start + n * 0.02, letter.encode() * 640, 0.0) for n, letter in enumerate(text)]


async def test_what_waits_of_a_silenced_speaker_is_dropped_and_does_not_count_as_unheard() -> None:
    sink = FakeSink()
    pipeline = Pipeline(SESSION, FakeTranscriber(), [], sink, lambda: GuildSettings(7))

    class OptsOut(FakeSource):
        async def frames(self) -> AsyncIterator[SourceItem]:
            for item in self.items:
                yield item
            pipeline.silence(1)

    coverage = await pipeline.run(OptsOut(frames("hello")))
    assert not [e for e in sink.events if isinstance(e, SegmentTranscribed)]
    assert [c.ratio for c in coverage] == [1.0]


async def test_an_early_alert_on_the_silenced_sentence_does_not_stand_unanswered() -> None:
    sink = FakeSink()
    detectors = [FakeDetector("bad", 9)]
    pipeline = Pipeline(SESSION, FakeTranscriber(), detectors, sink, lambda: GuildSettings(7), lossless=True)

    class OptsOut(FakeSource):
        async def frames(self) -> AsyncIterator[SourceItem]:
            for item in self.items:
                yield item
            pipeline.silence(1)
            for item in frames("fine", 9.0):
                yield item

    await pipeline.run(OptsOut(frames("bad " + "x" * 80)))
    alerts = [e.alert.state for e in sink.events if isinstance(e, AlertRaised | AlertRevised)]
    assert alerts == [AlertState.EARLY, AlertState.WITHDRAWN]
    said = [e.segment.text for e in sink.events if isinstance(e, SegmentTranscribed) and e.segment.final]
    assert said == ["fine"], "what is heard later is a sentence of its own"
