"""The demo with assertions: the real bot, a loopback Discord, four recorded voices, alerts in the moderators' channel."""

import asyncio
import io
import json
import logging
import sqlite3
import urllib.request
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import pytest

from bot.delivery import nonce
from bot.sources.files import decode
from bot.speech.vosk import VoskTranscriber
from config.logs import JsonFormatter
from moderation.models import AlertState
from tests.loopback.state import Message
from tests.scenario import EXPECTED_ALERTS, MODEL, Watcher, conversation, open_stage
from tests.wer import wer

pytestmark = pytest.mark.integration

EARLY = "kill yourself you worthless clown nobody wants you here"
THREAT = "i hate you go and kill yourself"


@dataclass
class Evening:
    """What is left when the demo is over."""

    watcher: Watcher
    cards: list[Message]
    spoken: dict[str, float]
    status_before: str | None
    status_during: str | None
    status_after: str | None
    asked: set[str]
    health: dict[str, Any]
    ready: dict[str, Any]
    database: Path
    latencies: dict[str, float]
    logs: list[str] = field(default_factory=list)


class LogKeeper(logging.Handler):
    """Keeps every record as an operator would read it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


async def play(folder: Path) -> Evening:
    async with open_stage(folder) as stage:
        before = stage.lobby.status
        await stage.begin()
        during = stage.lobby.status
        await stage.play(conversation())
        await stage.settle()
        health = await asyncio.to_thread(get, stage.app.api_port, "/health")
        ready = await asyncio.to_thread(get, stage.app.api_port, "/ready")
        spoken = {name: stage.spoken(member.id) for name, member in stage.members.items()}
        await stage.finish()
        return Evening(
            watcher=stage.watcher,
            cards=stage.cards(),
            spoken=spoken,
            status_before=before,
            status_during=during,
            status_after=stage.lobby.status,
            asked=set(stage.discord.resolver.asked),
            health=health,
            ready=ready,
            database=folder / "earshot.db",
            latencies=stage.latencies(),
        )


def get(port: int, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        body: dict[str, Any] = json.load(answer)
        return body


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    keeper, root = LogKeeper(), logging.getLogger()
    level = root.level
    root.addHandler(keeper)
    root.setLevel(logging.INFO)
    try:
        played = asyncio.run(play(tmp_path_factory.mktemp("evening")))
    finally:
        root.removeHandler(keeper)
        root.setLevel(level)
    played.logs = keeper.lines
    return played


def card_of(evening: Evening, text: str) -> Message:
    """The card about the segment with that text."""
    (alert,) = [a for a in evening.watcher.alerts.values() if a.segment.text == text]
    (card,) = [c for c in evening.cards if c.nonce == nonce(alert)]
    return card


def test_moderators_are_told_of_everything_they_should_be(evening: Evening) -> None:
    told = {f.segment.text for a in evening.watcher.alerts.values() if a.state is not AlertState.WITHDRAWN for f in a.findings}
    assert told == EXPECTED_ALERTS


def test_each_alert_is_one_message_that_pings_nobody(evening: Evening) -> None:
    assert len(evening.cards) == len(evening.watcher.alerts)
    assert len({c.nonce for c in evening.cards}) == len(evening.cards)
    assert all(c.allowed_mentions == {"parse": []} for c in evening.cards)


def test_a_severe_term_alerts_before_its_sentence_ends_and_the_final_confirms(evening: Evening) -> None:
    (worst,) = [a for a in evening.watcher.alerts.values() if a.segment.text == EARLY]
    assert worst.id in evening.watcher.early
    assert worst.state is AlertState.CONFIRMED


def test_the_flagged_words_are_behind_a_spoiler(evening: Evening) -> None:
    description = card_of(evening, THREAT).embeds[0]["description"]
    assert description == "> ||**i hate you**|| go and ||**kill yourself**||"


def test_the_card_names_speaker_channel_and_the_turns_around_it(evening: Evening) -> None:
    fields = {f["name"]: f["value"] for f in card_of(evening, "you are a stupid idiot and everybody knows it").embeds[0]["fields"]}
    assert "(Ben)" in fields["Who"]
    assert "please stop that is not nice" in fields["Around it"]
    assert "nice shot that was a great round" in fields["Around it"]
    assert fields["Detectors"] == "lexicon ran"


def test_the_evidence_clip_plays_and_says_it(evening: Evening) -> None:
    (clip,) = card_of(evening, THREAT).attachments
    with av.open(io.BytesIO(clip.data)) as container:
        assert container.format.name == "ogg"
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")

    async def hear() -> str:
        transcriber = VoskTranscriber.load(MODEL)
        recognizer = await transcriber.open()
        texts = [h.text for chunk in decode(io.BytesIO(clip.data), clip.filename) if (h := await recognizer.accept(chunk)) and h.final]
        last = await recognizer.finish()
        await recognizer.aclose()
        await transcriber.aclose()
        return " ".join([*texts, last.text if last else ""])

    assert THREAT in asyncio.run(hear())


def test_everybody_is_heard_in_full(evening: Evening) -> None:
    heard = {c.speaker.name: c.heard_seconds for c in evening.watcher.coverage}
    assert heard == pytest.approx(evening.spoken, abs=0.021)
    assert all(c.ratio == pytest.approx(1.0, abs=0.01) for c in evening.watcher.coverage)


def test_it_understood_what_was_said(evening: Evening) -> None:
    """Line by line; a machine that stood still in the middle of one cuts it in two."""
    lines = conversation()
    said = sorted(evening.watcher.segments, key=lambda item: item[1].start)
    turns = [(name, " ".join(s.text for _, s in turn)) for name, turn in groupby(said, key=lambda item: item[0])]
    assert [name for name, _ in turns] == [name for name, _ in groupby(line.speaker for line in lines)]
    wanted = [" ".join(line.text for line in turn) for _, turn in groupby(lines, key=lambda line: line.speaker)]
    assert wer(wanted, [text for _, text in turns]) <= 0.05


def test_the_channel_is_told_and_its_status_given_back(evening: Evening) -> None:
    assert evening.status_before in (None, "")
    assert evening.status_during
    assert evening.status_after in (None, "")


def test_http_says_that_all_is_well(evening: Evening) -> None:
    assert evening.health == {"status": "ok"}
    assert {name: evening.ready[name]["status"] for name in ("discord", "vosk", "lexicon", "database")} == dict.fromkeys(
        ("discord", "vosk", "lexicon", "database"), "ok"
    )
    assert {evening.ready[name]["status"] for name in ("databricks_sql", "databricks_serving")} == {"off"}


def test_rows_are_kept(evening: Evening) -> None:
    with sqlite3.connect(evening.database) as db:
        assert db.execute("SELECT count(*) FROM segments").fetchone() == (len(evening.watcher.segments),)
        assert db.execute("SELECT count(*) FROM alerts").fetchone() == (len(evening.watcher.alerts),)
        assert db.execute("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL").fetchone() == (1,)
    db.close()


def test_no_speech_and_no_names_in_the_logs(evening: Evening) -> None:
    assert evening.logs
    text = "\n".join(evening.logs).lower()
    for line in conversation():
        assert line.text not in text
        assert f'"{line.speaker}"' not in text
    for word in ("idiot", "pathetic", "kill yourself"):
        assert word not in text


def test_only_discord_was_asked_for(evening: Evening) -> None:
    assert all(host == "discord.com" or host.endswith((".discord.gg", ".discord.media")) for host in evening.asked)


def test_every_alert_has_a_measured_delay(evening: Evening) -> None:
    assert evening.latencies.keys() == evening.watcher.alerts.keys()
