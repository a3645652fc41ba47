"""The pipeline with the lexicon and a real serving endpoint: nothing that the endpoint does delays a lexicon alert."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from bot.scoring.databricks import DatabricksScorer
from moderation.detectors.toxicity import ToxicityDetector
from moderation.events import AlertRaised, AlertRevised, Event
from moderation.models import AlertState, Detection, SourceItem
from moderation.pipeline import Pipeline
from moderation.settings import GuildSettings
from tests.bot.scoring.support import refusing, scoring
from tests.fakes import FakeDetector, FakeSource, FakeTranscriber
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.workspace import LoopbackWorkspace
from tests.moderation.test_pipeline import SESSION, say

pytestmark = pytest.mark.integration
T = TypeVar("T", bound=AlertRaised | AlertRevised)


class Listener:
    """A sink that can be waited for."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    async def emit(self, event: Event) -> None:
        await self.events.put(event)

    async def next(self, kind: type[T]) -> T:
        async with asyncio.timeout(60):
            while not isinstance(event := await self.events.get(), kind):
                pass
            return event

    def left(self) -> list[Event]:
        return [self.events.get_nowait() for _ in range(self.events.qsize())]


class OpenSource(FakeSource):
    """Goes on until closed."""

    def __init__(self, items: list[SourceItem]) -> None:
        super().__init__(items)
        self.over = asyncio.Event()

    async def frames(self) -> AsyncIterator[SourceItem]:
        async for item in super().frames():
            yield item
        await self.over.wait()


def pipeline(scorer: DatabricksScorer, sink: Listener) -> Pipeline:
    settings = GuildSettings(7)
    return Pipeline(
        SESSION, FakeTranscriber(), (FakeDetector("idiot", 5), ToxicityDetector(scorer, 0.7)), sink, lambda: settings, lossless=True
    )


async def test_a_lexicon_alert_does_not_wait_for_an_endpoint_that_hangs_and_is_upgraded_when_it_answers() -> None:
    workspace, sink = LoopbackWorkspace(ServingPart()), Listener()
    workspace.faults.append(Fault("/invocations", hang=True))
    async with scoring(workspace, deadline=30.0) as scorer:
        source = OpenSource(say("you worthless useless idiot", 0.0))
        run = asyncio.create_task(pipeline(scorer, sink).run(source))
        raised = (await sink.next(AlertRaised)).alert
        assert (raised.severity, dict(raised.verdict.detectors)) == (5, {"fake": Detection.RAN, "databricks": Detection.PENDING})
        workspace.released.set()  # the connection is cut, and a retry answered
        upgraded = (await sink.next(AlertRevised)).alert
        assert (upgraded.id, upgraded.state) == (raised.id, AlertState.CONFIRMED)
        assert upgraded.severity > 5
        assert dict(upgraded.verdict.detectors) == {"fake": Detection.RAN, "databricks": Detection.RAN}
        assert upgraded.categories == ("insult", "toxicity")
        source.over.set()
        await run


async def test_what_the_lexicon_does_not_know_is_raised_by_the_endpoint() -> None:
    sink = Listener()
    async with scoring() as scorer:
        await pipeline(scorer, sink).run(FakeSource([*say("good evening", 0.0), *say("you worthless useless fool", 5.0)]))
    (raised,) = [e.alert for e in sink.left() if isinstance(e, AlertRaised)]
    assert raised.segment.text == "you worthless useless fool"
    assert raised.categories == ("toxicity",)


@pytest.mark.parametrize(
    ("fault", "deadline"),
    [
        (refusing(503, times=10_000), 0.2),
        (refusing(429, times=10_000, retry_after=60.0), 5.0),
        (Fault("/invocations", drop=True, times=10_000), 0.2),
        (refusing(401, times=10_000), 5.0),
        (Fault("/invocations", hang=True, times=10_000), 0.2),
    ],
    ids=["503", "429", "dropped", "refused", "hanging"],
)
async def test_whatever_the_endpoint_does_the_lexicon_goes_on_and_the_card_says_who_did_not_answer(fault: Fault, deadline: float) -> None:
    workspace, sink = LoopbackWorkspace(ServingPart()), Listener()
    workspace.faults.append(fault)
    async with scoring(workspace, deadline=deadline) as scorer:
        await pipeline(scorer, sink).run(FakeSource(say("you idiot", 0.0)))
        assert scorer.trouble
        assert scorer.waiting == 0
    raised, revised = [e.alert for e in sink.left() if isinstance(e, AlertRaised | AlertRevised)]
    assert (raised.severity, dict(raised.verdict.detectors)["databricks"]) == (5, Detection.PENDING)
    assert (revised.severity, dict(revised.verdict.detectors)["databricks"]) == (5, Detection.FAILED)
