"""Known words, a known name and a known token go through everything; logs, metrics and /ready show none of them."""

import asyncio
import io
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.metrics.metrics import Metrics
from config.logs import ConsoleFormatter, ContextFilter, JsonFormatter
from moderation.broadcast import Broadcast
from moderation.context import FIELDS
from moderation.errors import RecognizerFailed
from moderation.events import Event
from moderation.models import AudioFrame, Flag, Session, SourceItem, TranscriptSegment
from moderation.pipeline import Pipeline
from moderation.settings import GuildSettings
from tests.fakes import FakeDetector, FakeSource, FakeTranscriber
from tests.loopback.faults import Fault
from tests.scenario import Stage, conversation, open_stage

pytestmark = pytest.mark.integration

INSULT = "you are a stupid idiot and everybody knows it"
WORDS = ("idiot", "everybody knows", "plonker")
"""Said, or written by a moderator."""
SECRETS = (*WORDS, "Quentin-Quibble")


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """Every line that either formatter would write, at the most talkative level that can be chosen."""
    text: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text.extend(formatter.format(record) for formatter in (JsonFormatter(), ConsoleFormatter()))

    keeper, root = Keeper(), logging.getLogger()
    keeper.addFilter(ContextFilter(FIELDS))
    names = (None, "bot", "cogs", "moderation", "config")
    levels = [(name, logging.getLogger(name).level) for name in names]
    root.addHandler(keeper)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG if name else logging.INFO)
    yield text
    root.removeHandler(keeper)
    for name, level in levels:
        logging.getLogger(name).setLevel(level)


class Quoting:
    """A reaction that fails and quotes what it was given."""

    async def emit(self, event: Event) -> None:
        raise ValueError(repr(event))


def ask(port: int, path: str, **headers: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return f"{answer.headers}{answer.read().decode()}"
    except urllib.error.HTTPError as refused:
        with refused:
            return str(refused.headers) + refused.read().decode()


async def through_everything(stage: Stage) -> dict[str, str]:
    """Speech, commands, HTTP, and a fault at every door; what HTTP then shows."""
    (line,) = [each for each in conversation() if each.text == INSULT]
    stage.app.events.subscribe(Quoting())
    stage.members[line.speaker].nick = "Quentin-Quibble"
    await stage.begin()
    await stage.discord.slash(stage.moderator, stage.alerts, "lexicon add", term="plonker", category="plonker", severity=5)
    await stage.discord.slash(stage.moderator, stage.alerts, "lexicon test", text="what a plonker and idiot")
    stage.discord.faults.append(Fault("POST", rf"^/channels/{stage.alerts.id}/messages$", times=2, status=500))
    await stage.play([replace(line, start=0.0)])
    await stage.settle()
    await stage.app.recorder.emit(stage_event(stage))
    await stage.discord.wait_for(lambda: stage.app.recorder.failed, what="the database to refuse")
    port = stage.app.api_port
    await asyncio.to_thread(ask, port, "/idiot?name=Quentin-Quibble", Authorization=f"Bearer {stage.discord.token}")
    shown = {path: await asyncio.to_thread(ask, port, path) for path in ("/metrics", "/ready", "/health")}
    await stage.finish()
    return shown


def stage_event(stage: Stage) -> Event:
    """A finding that the database must refuse: its number is out of range."""
    flagged = next(iter(stage.watcher.flagged.values()))
    return replace(flagged, segment=replace(flagged.segment, utterance=2**80))


async def test_nothing_said_nobody_and_no_token_shows_anywhere(tmp_path: Path, logs: list[str]) -> None:
    async with open_stage(tmp_path) as stage:
        shown = await through_everything(stage)
        token = stage.discord.token
        people = [str(m.id) for m in stage.members.values()]
        assert stage.app.recorder.failed == 1
        assert stage.alerted() == {INSULT}
    assert any("a reaction to an event failed" in line for line in logs)
    assert any("an event was not recorded" in line for line in logs)
    assert any("session started" in line and '"session_id"' in line and '"request_id"' in line for line in logs), "of the slash command"
    assert any("session ended" in line and "request_id" not in line for line in logs)
    for text in ("\n".join(logs), *shown.values()):
        assert not [secret for secret in (*SECRETS, token) if secret in text]
    for guild_or_person in (*people, str(stage.guild.id), str(stage.lobby.id)):
        assert guild_or_person not in shown["/metrics"]
    assert_complete(shown["/metrics"])


def assert_complete(metrics: str) -> None:
    """Every stage has figures, and those of this evening are right."""
    figures = dict(line.rsplit(" ", 1) for line in metrics.split("\n") if line.startswith(("earshot_", "process_")))
    assert float(figures['earshot_packets_total{outcome="decoded"}']) > 50
    assert float(figures["earshot_heard_seconds_total"]) == pytest.approx(float(figures["earshot_spoken_seconds_total"]), rel=0.05)
    assert float(figures["earshot_decoded_seconds_total"]) > 1
    assert float(figures["earshot_decode_seconds_count"]) > 5
    assert figures["earshot_shedding_level"] == figures["earshot_shed_seconds_total"] == "0.0"
    assert figures["earshot_sessions"] == "1.0"
    assert figures['earshot_segments_total{kind="final"}'] == "1.0"
    assert figures['earshot_flags_total{category="insult",severity="medium"}'] in {"1.0", "2.0"}
    assert figures['earshot_alert_deliveries_total{lane="card",outcome="posted"}'] == "1.0"
    assert figures['earshot_latency_seconds_count{stage="card"}'] == "1.0"
    assert float(figures["earshot_reaction_failures_total"]) > 2
    assert float(figures['earshot_database_seconds_count{operation="write"}']) > 2
    assert figures['earshot_http_requests_total{method="GET",route="unknown",status="404"}'] == "1.0"
    assert float(figures["earshot_event_loop_lag_seconds_count"]) >= 1
    assert float(figures["process_resident_memory_bytes"]) > 1e7


async def test_what_detectors_and_recognisers_quote_in_their_errors_stays_out(logs: list[str]) -> None:
    class Quotes(FakeDetector):
        async def detect(self, session: Session, segment: TranscriptSegment) -> Sequence[Flag]:
            raise RuntimeError(f"cannot read {segment}")

    frames: list[SourceItem] = [AudioFrame(1, n * 0.02, letter.encode() * 640) for n, letter in enumerate("you idiot!")]
    session = Session("s", 7, 8, datetime.now(UTC), "Quentin-Quibble")
    pipeline = Pipeline(session, FakeTranscriber(), (Quotes("x", 1),), Broadcast(Quoting()), lambda: GuildSettings(7), lossless=True)
    await pipeline.run(FakeSource(frames))
    try:
        try:
            raise RecognizerFailed(WORDS[0])
        except RecognizerFailed as error:
            raise ExceptionGroup(WORDS[1], [error, OSError(5, WORDS[2])]) from error
    except ExceptionGroup:
        logging.getLogger("bot").exception("it broke")
    text = "\n".join(logs)
    assert "detector failed" in text
    assert "recogniser failed" in text
    assert "RecognizerFailed (" in text
    assert not [secret for secret in SECRETS if secret in text]


def test_metrics_of_a_process_that_did_nothing_can_be_read() -> None:
    content_type, body = Metrics(lambda: ()).render()
    assert content_type.startswith("text/plain")
    assert b"process_cpu_seconds_total" in io.BytesIO(body).read()
