"""Overload: what is left out, in which order, and that it ends by itself. Time is the simulated world's; nothing sleeps."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from moderation.events import AlertRaised, Event, SegmentTranscribed
from moderation.intake import Intake, Tally
from moderation.models import AudioFrame, EndOfSpeech, Hypothesis, SourceItem, Speaker
from moderation.pipeline import Pipeline
from moderation.settings import GuildSettings
from moderation.shedding import CALM, PATIENCE, Shed, Shedding
from moderation.vad import VoiceGate
from tests.fakes import FakeDetector, FakeRecognizer, FakeSink
from tests.moderation.test_pipeline import SESSION
from tests.moderation.test_vad import NOISES, SAID, frames

pytestmark = pytest.mark.unit


class Watched(Shedding):
    def __init__(self) -> None:
        self.changes: list[Shed] = []
        super().__init__(lambda before, now: self.changes.append(now))


def reported(policy: Shedding, lag: float, seconds: float, session: str = "a") -> None:
    for _ in range(round(seconds / 0.02)):
        policy.report(session, 1, lag, 0.02)


def test_small_lags_change_nothing() -> None:
    policy = Watched()
    reported(policy, 0.9, 60)
    assert policy.changes == []


def test_levels_rise_one_after_another_however_large_the_lag() -> None:
    policy = Watched()
    reported(policy, 9.0, 0.02)
    assert policy.changes == [Shed.PARTIALS]
    reported(policy, 9.0, PATIENCE - 0.04)
    assert policy.changes == [Shed.PARTIALS], "it has a moment to take effect"
    reported(policy, 9.0, 2 * PATIENCE)
    assert policy.changes == [Shed.PARTIALS, Shed.SILENCE, Shed.CHANNEL]
    assert policy.entered == {Shed.PARTIALS: 1, Shed.SILENCE: 1, Shed.CHANNEL: 1}


def test_levels_are_given_up_one_after_another_after_a_calm() -> None:
    policy = Watched()
    reported(policy, 9.0, 2.0)
    policy.changes.clear()
    reported(policy, 1.5, CALM + 0.1)
    assert policy.changes == [Shed.SILENCE], "1.5 s is too much to give up the next"
    reported(policy, 0.0, 2 * CALM + 0.1)
    assert policy.changes == [Shed.SILENCE, Shed.PARTIALS, Shed.NOTHING]


def test_a_lag_that_swings_does_not_swing_the_level() -> None:
    policy = Watched()
    for _ in range(20):
        reported(policy, 1.1, 1.0)
        reported(policy, 0.2, CALM / 2)
    assert policy.changes == [Shed.PARTIALS]


def test_when_nobody_speaks_any_more_it_is_over() -> None:
    policy = Watched()
    policy.opened("a")
    reported(policy, 9.0, 2.0)
    policy.idle("a", 1)
    assert policy.level is Shed.NOTHING
    reported(policy, 9.0, 2.0)
    policy.closed("a")
    assert policy.level is Shed.NOTHING
    assert policy.lag == 0.0


def test_the_channel_with_the_least_findings_is_left_out_and_never_the_last() -> None:
    policy = Watched()
    for session in ("risky", "calm", "latest"):
        policy.opened(session)
    policy.found("risky", 9)
    policy.found("latest", 2)
    reported(policy, 9.0, 2.0, "risky")
    assert [policy.of(s) for s in ("risky", "calm", "latest")] == [Shed.SILENCE, Shed.CHANNEL, Shed.SILENCE]
    policy.closed("calm")
    assert [policy.of(s) for s in ("risky", "latest")] == [Shed.SILENCE, Shed.CHANNEL]
    policy.closed("latest")
    assert policy.of("risky") is Shed.SILENCE


class World:
    """A clock that the sources move on, and one processor that decodes for everybody."""

    def __init__(self) -> None:
        self.now = self.busy_until = 0.0
        self.cost = 0.2
        """Processor seconds for each second of audio."""
        self._moved = asyncio.Event()

    async def decode(self, seconds: float) -> None:
        self.busy_until = done = max(self.busy_until, self.now) + self.cost * seconds
        while self.now < done:
            await self._moved.wait()

    async def move(self, to: float) -> None:
        self.now = max(self.now, to)
        self._moved.set()
        self._moved = asyncio.Event()
        for _ in range(5):
            await asyncio.sleep(0)


class SlowRecognizer(FakeRecognizer):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    async def accept(self, pcm: bytes, *, partials: bool = True) -> Hypothesis | None:
        await self.world.decode(0.02)
        return await super().accept(pcm, partials=partials)


class SlowTranscriber:
    def __init__(self, world: World) -> None:
        self.world = world

    async def open(self) -> SlowRecognizer:
        return SlowRecognizer(self.world)

    def hears(self, word: str) -> bool:
        return True


class Channel:
    """Somebody says a sentence a second, without end, at the pace of the world's clock."""

    def __init__(self, world: World, sentence: str, seconds: float, costs: dict[float, float]) -> None:
        self.world, self.sentence, self.seconds, self.costs = world, sentence, seconds, costs

    async def frames(self) -> AsyncIterator[SourceItem]:
        for n in range(round(self.seconds / 0.02)):
            at = n * 0.02
            self.world.cost = max((begin, cost) for begin, cost in self.costs.items() if begin <= at)[1]
            place = n % 50
            if place < len(self.sentence):
                yield AudioFrame(1, at, self.sentence[place].encode() * 640, 100.0 + at)
            elif place == len(self.sentence):
                yield EndOfSpeech(1, at, 100.0 + at)
            await self.world.move(at + 0.02)
        self.world.cost = 0.0
        await self.world.move(1e9)

    def speaker(self, speaker_id: int) -> Speaker:
        return Speaker(speaker_id)

    def spoken_seconds(self, speaker_id: int) -> float:
        return self.seconds * len(self.sentence) / 50

    async def aclose(self) -> None:
        pass


class Timed(FakeSink):
    """Remembers at which second of the world's clock each event came."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.at = world, list[tuple[float, Event]]()

    async def emit(self, event: Event) -> None:
        self.at.append((self.world.now, event))


EVENING = 90.0
BUSY, CALM_AGAIN = 10.0, 40.0
RISKY, HARMLESS = "you are an idiot and everybody should know it", "nice weather is all we ever talk about in here"


async def evening(cost: float) -> tuple[Watched, list[Pipeline], list[Timed]]:
    """Two channels in a world whose processor is slow for half a minute."""
    world, policy = World(), Watched()
    sinks = [Timed(world), Timed(world)]
    settings = GuildSettings(7, cooldown_seconds=0.0)
    costs = {0.0: 0.2, BUSY: cost, CALM_AGAIN: 0.05}
    pipelines = [
        Pipeline(replace(SESSION, id=name), SlowTranscriber(world), (FakeDetector("idiot", 5),), sink, lambda: settings, shedding=policy)
        for name, sink in zip(("risky", "harmless"), sinks, strict=True)
    ]
    async with asyncio.TaskGroup() as group:
        for pipeline, sentence in zip(pipelines, (RISKY, HARMLESS), strict=True):
            group.create_task(pipeline.run(Channel(world, sentence, EVENING, costs)))
    return policy, pipelines, sinks


def times(sink: Timed, *, final: bool) -> list[float]:
    return [at for at, e in sink.at if isinstance(e, SegmentTranscribed) and e.segment.final is final]


async def test_a_machine_that_keeps_up_leaves_nothing_out() -> None:
    policy, pipelines, sinks = await evening(0.4)
    assert policy.changes == []
    assert [p.coverage()[0].shed_seconds for p in pipelines] == [0.0, 0.0]
    assert [len(times(s, final=True)) for s in sinks] == [90, 90]


async def test_overload_is_borne_in_order_and_ends_by_itself() -> None:
    policy, pipelines, _ = await evening(0.9)
    order = [Shed.PARTIALS, Shed.SILENCE, Shed.CHANNEL]
    assert policy.changes[:3] == order
    assert policy.level is Shed.NOTHING
    assert [p.shed for p in pipelines] == [Shed.NOTHING, Shed.NOTHING]
    risky, harmless = (p.coverage()[0] for p in pipelines)
    assert (risky.shed_seconds, risky.dropped, harmless.dropped) == (0.0, 0, 0)
    assert harmless.shed_seconds > 1.0
    assert risky.shed_partials > 0
    assert risky.ratio == pytest.approx(1.0, abs=0.02)
    assert harmless.ratio == pytest.approx(1.0 - harmless.shed_seconds / harmless.spoken_seconds, abs=0.02)


async def test_partials_stop_while_finals_and_alerts_go_on_and_partials_return() -> None:
    _, _, (risky, _) = await evening(0.9)
    alerts = [at for at, e in risky.at if isinstance(e, AlertRaised)]
    assert len(times(risky, final=True)) == len(alerts) == 90, "every sentence of the channel that is heard"
    quiet = max(b - a for a, b in pairwise(times(risky, final=False)))
    assert quiet > 5.0, "partials are left out for a while"
    during = [at for at in times(risky, final=True) if BUSY < at < CALM_AGAIN]
    assert max(b - a for a, b in pairwise(during)) < quiet
    assert max(times(risky, final=False)) > EVENING - 2.0, "and are back"


async def test_the_sentence_in_which_a_channel_is_left_out_is_finished() -> None:
    _, _, (_, harmless) = await evening(0.9)
    texts = [e.segment.text for _, e in harmless.at if isinstance(e, SegmentTranscribed) and e.segment.final]
    assert all(HARMLESS.startswith(t) or HARMLESS.endswith(t) for t in texts)
    assert 45 < len(texts) < 90


async def test_sound_made_up_for_lost_packets_is_the_second_to_go() -> None:
    policy = Watched()
    reported(policy, 3.0, 1.0)
    assert policy.level is Shed.SILENCE
    tally = Tally(Speaker(1))
    intake = Intake("a", tally, 500, None, policy)
    for n in range(100):
        intake.put(AudioFrame(1, n * 0.02, bytes(640), concealed=n % 2 == 0))
    intake.close()
    admitted = [i async for i in intake if isinstance(i, AudioFrame)]
    assert [i for i in admitted if i.concealed] == []
    assert len(admitted) == 50, "what was really said goes on"
    assert tally.shed_silence_seconds == pytest.approx(1.0)
    assert tally.shed_seconds == 0.0


async def test_pauses_are_decoded_for_a_shorter_while_under_overload() -> None:
    async def decoded(policy: Shedding | None) -> int:
        sound = frames(np.concatenate([SAID[0][0], NOISES["pink"] * 3]))
        intake = Intake("a", Tally(Speaker(1)), len(sound), VoiceGate, policy)
        for frame in sound:
            intake.put(frame)
        intake.close()
        return sum([isinstance(i, AudioFrame) async for i in intake])

    overloaded = Watched()
    reported(overloaded, 3.0, 1.0, "another")
    assert 0 < await decoded(overloaded) < await decoded(None)
