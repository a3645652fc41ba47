"""Alerts while Discord stumbles: the real dispatcher and discord.py against a loopback that refuses, limits, hangs and hangs up."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import bot.attempts
import bot.delivery
from bot.probes import backlog
from moderation.events import AlertRaised, AlertRevised
from moderation.models import Alert, AlertState, Level, Session, Speaker, TranscriptSegment, Verdict
from moderation.settings import GuildSettings
from tests.loopback.faults import Fault
from tests.loopback.permissions import Permission
from tests.loopback.state import Message
from tests.scenario import Stage, open_stage

pytestmark = pytest.mark.integration

POST, PATCH, LOOK = ("POST", r"/channels/\d+/messages$"), ("PATCH", r"/channels/\d+/messages/\d+$"), ("GET", r"/channels/\d+/messages$")


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(bot.attempts, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(bot.delivery, "REQUEST_SECONDS", 0.5)
    async with open_stage(tmp_path) as opened:
        await opened.app.services.guilds.save_settings(GuildSettings(opened.guild.id, alert_channel_id=opened.alerts.id))
        yield opened


def alert(stage: Stage, utterance: int = 0, state: AlertState = AlertState.EARLY) -> Alert:
    session = Session("0123", stage.guild.id, stage.lobby.id, datetime.now(UTC))
    segment = TranscriptSegment("0123", stage.members["Ben"].id, utterance, 1.0, 2.0, "you idiot", final=True)
    return Alert(segment.id, session, Speaker(segment.speaker_id, "Ben"), segment, Verdict(level=Level.ALERT), state)


async def deliver(stage: Stage, about: Alert) -> Message:
    """Raise it, confirm it once it is posted, and give back its one card."""
    await stage.app.events.emit(AlertRaised(about))
    await asyncio.wait_for(stage.app.dispatcher.drained(), 60)
    await stage.app.events.emit(AlertRevised(replace(about, state=AlertState.CONFIRMED)))
    await asyncio.wait_for(stage.app.dispatcher.drained(), 60)
    (card,) = stage.cards()
    return card


async def ready(stage: Stage) -> dict[str, Any]:
    def get() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{stage.app.api_port}/ready", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    return await asyncio.to_thread(get)


@pytest.mark.parametrize("request_", [POST, PATCH], ids=["post", "edit"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 502},
        {"status": 503, "times": 3},
        {"status": 429, "times": 2},
        {"status": 429, "everywhere": True},
        {"drop": True, "times": 3},
        {"drop": True, "when": "after"},
        {"status": 500, "when": "after"},
        {"delay": 1.0},
    ],
    ids=lambda f: "-".join(map(str, f.values())),
)
async def test_each_alert_is_one_card_that_ends_confirmed(stage: Stage, request_: tuple[str, str], fault: dict[str, Any]) -> None:
    stage.discord.faults.append(Fault(*request_, **fault))
    card = await deliver(stage, alert(stage))
    assert card.embeds[0]["footer"]["text"].startswith("Confirmed")
    assert stage.discord.faults[0].used == fault.get("times", 1)
    assert (stage.app.dispatcher.waiting, stage.app.dispatcher.stats.undeliverable) == (0, 0)


async def test_the_look_fails_too_and_discord_has_forgotten_the_nonce(stage: Stage) -> None:
    stage.discord.faults += [Fault(*POST, drop=True, when="after"), Fault(*LOOK, status=503, times=2)]
    about = alert(stage)
    await stage.app.events.emit(AlertRaised(about))
    await stage.discord.wait_for(lambda: stage.discord.faults[1].used == 2, what="two looks in vain")
    stage.discord.messages._nonces.clear()
    await asyncio.wait_for(stage.app.dispatcher.drained(), 60)
    assert len(stage.cards()) == 1
    assert stage.app.dispatcher.stats.found == 1


async def test_a_long_retry_after_is_honoured_and_ready_says_that_an_alert_waits(stage: Stage) -> None:
    stage.discord.faults.append(Fault(*POST, status=429, retry_after=3600.0))
    await stage.app.events.emit(AlertRaised(alert(stage)))
    await stage.discord.wait_for(lambda: stage.app.dispatcher.stats.retried, what="the refusal")
    (waiting,) = stage.app.dispatcher._room
    assert waiting.due - asyncio.get_running_loop().time() > 3500
    found = (await ready(stage))["alerts"]
    assert found["status"] == "degraded"
    assert found["detail"].startswith("1 alerts wait for Discord")
    stage.discord.faults.clear()
    await stage.app.dispatcher.hurry()
    await asyncio.wait_for(stage.app.dispatcher.drained(), 60)
    assert len(stage.cards()) == 1


async def test_a_permission_that_comes_back_brings_the_alert(stage: Stage) -> None:
    role = stage.discord.bot_role(stage.guild)
    stage.discord.overwrite(stage.alerts, role, deny=Permission.SEND_MESSAGES)
    await stage.app.events.emit(AlertRaised(alert(stage)))
    await stage.discord.wait_for(lambda: stage.app.dispatcher.stats.retried, what="the refusal")
    stage.discord.overwrite(stage.alerts, role, allow=Permission.SEND_MESSAGES)
    await stage.app.dispatcher.hurry()
    await asyncio.wait_for(stage.app.dispatcher.drained(), 60)
    assert len(stage.cards()) == 1


async def test_a_card_that_moderators_deleted_stays_deleted(stage: Stage) -> None:
    about = alert(stage)
    await stage.app.events.emit(AlertRaised(about))
    await asyncio.wait_for(stage.app.dispatcher.drained(), 60)
    stage.discord.messages.delete(stage.cards()[0])
    await stage.app.events.emit(AlertRevised(replace(about, state=AlertState.CONFIRMED)))
    await asyncio.wait_for(stage.app.dispatcher.drained(), 60)
    assert stage.cards() == []
    assert stage.app.dispatcher.stats.undeliverable == 0


async def test_cards_of_others_and_of_other_alerts_are_not_taken_for_it(stage: Stage) -> None:
    for n in range(3):
        await stage.app.services.delivery.post(alert(stage, n), GuildSettings(stage.guild.id, stage.alerts.id), None)
    about = alert(stage, 9)
    stage.discord.say(stage.moderator, stage.alerts, f"look at alert {about.reference}")
    settings = GuildSettings(stage.guild.id, stage.alerts.id)
    assert await stage.app.services.delivery.find(about, settings) is None
    assert await stage.app.services.delivery.find(alert(stage, 1), settings) == stage.cards()[1].id


async def test_last_words_are_posted_while_it_shuts_down(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        await stage.app.services.guilds.save_settings(GuildSettings(stage.guild.id, alert_channel_id=stage.alerts.id))
        await stage.app.events.emit(AlertRaised(alert(stage)))
    assert len(stage.cards()) == 1


async def test_ready_tells_what_waits_for_the_database(stage: Stage) -> None:
    assert backlog(stage.app.recorder) == ""
    assert (await ready(stage))["alerts"]["status"] == "ok"
    stage.app.recorder.away = True
    stage.app.recorder.dropped = 2
    told = backlog(stage.app.recorder)
    stage.app.recorder.away = False
    assert "wait for it in the journal" in told
    assert "2 rows were lost" in told
