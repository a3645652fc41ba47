"""The bot with a serving endpoint: what the lexicon does not know is told, and whatever the endpoint does, the rest goes on."""

import asyncio
import json
import math
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.tokens import PERSONAL
from tests.loopback.databricks.workspace import LoopbackWorkspace
from tests.loopback.replies import Reply
from tests.scenario import Stage, conversation, open_stage

pytestmark = pytest.mark.integration

UNKNOWN_TO_THE_LEXICON = "sorry i was angry that was a bad joke"
INSULT = "you are a stupid idiot and everybody knows it"
INSULT_TOO = "shut up you pathetic loser"
THREAT = "i hate you go and kill yourself"


@pytest.fixture
async def workspace() -> AsyncIterator[LoopbackWorkspace]:
    async with LoopbackWorkspace(ServingPart()) as opened:
        yield opened


def served(workspace: LoopbackWorkspace) -> dict[str, Any]:
    return {
        "databricks_host": workspace.url,
        "databricks_token": SecretStr(PERSONAL),
        "databricks_endpoint": "toxicity",
        "earshot_embedded_scorer": "off",
        "earshot_score_deadline_seconds": 2.0,
    }


async def say(stage: Stage, text: str) -> None:
    """As fast as the sockets take it; until the cards stand as they should."""
    (line,) = [line for line in conversation() if line.text == text]
    await stage.voice.human(stage.members[line.speaker].id).say(line.path, speed=math.inf)
    await stage.discord.wait_for(lambda: any(text in flat(card) for card in descriptions(stage)), what="a card about it")


def descriptions(stage: Stage) -> list[str]:
    return [card.embeds[0]["description"] for card in stage.cards()]


def flat(text: str) -> str:
    return text.replace("||", "").replace("**", "")


def detectors(stage: Stage, text: str) -> str:
    (card,) = [c for c in stage.cards() if text in flat(c.embeds[0]["description"])]
    fields = {f["name"]: f["value"] for f in card.embeds[0]["fields"]}
    return str(fields["Detectors"])


def http(stage: Stage, path: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{stage.app.api_port}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


async def ask(stage: Stage, command: str, **options: str) -> str:
    reply: Reply = await stage.discord.slash(stage.moderator, stage.alerts, command, timeout=30.0, **options)
    assert reply.ephemeral
    return reply.content + json.dumps(reply.embeds, ensure_ascii=False)


async def test_an_evening_with_an_endpoint_that_works_hangs_fails_and_dies(tmp_path: Path, workspace: LoopbackWorkspace) -> None:
    async with open_stage(tmp_path, more=served(workspace)) as stage:
        await stage.begin()
        await say(stage, UNKNOWN_TO_THE_LEXICON)
        (card,) = stage.cards()
        assert card.embeds[0]["title"] == "Toxicity"
        assert detectors(stage, UNKNOWN_TO_THE_LEXICON) == "databricks ran, lexicon ran"
        assert "The lexicon goes on." not in await ask(stage, "voice status")
        assert "worthless" not in (told := await ask(stage, "predict text", text="you worthless fool"))
        assert "Would be flagged" in told
        assert "databricks" in told

        workspace.faults.append(Fault("/invocations", hang=True, times=10_000))
        await say(stage, INSULT)
        workspace.faults[:] = [Fault("/invocations", status=503, times=10_000)]
        await say(stage, INSULT_TOO)
        await workspace.stop()
        await say(stage, THREAT)
        await stage.discord.wait_for(lambda: "databricks did not answer" in detectors(stage, THREAT), what="the card to say so")

        status, ready = await asyncio.to_thread(http, stage, "/ready")
        state = json.loads(ready)["databricks_serving"]
        assert (status, state["status"], "The lexicon goes on." in state["detail"]) == (200, "degraded", True)
        assert "The lexicon goes on." in await ask(stage, "voice status")
        status, answer = await asyncio.to_thread(http, stage, "/api/ml/predict", {"text": "hello"})
        assert (status, json.loads(answer)["code"]) == (503, "scorer-unavailable")
        _, metrics = await asyncio.to_thread(http, stage, "/metrics")
        assert 'earshot_scoring_texts_total{outcome="scored"}' in metrics
        assert 'earshot_scoring_errors_total{kind="connection"}' in metrics
        assert 'earshot_flags_total{category="toxicity"' in metrics
        assert stage.alerted() >= {UNKNOWN_TO_THE_LEXICON, INSULT, INSULT_TOO, THREAT}
