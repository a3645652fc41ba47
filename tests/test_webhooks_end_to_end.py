"""Alerts from speech to somebody else's system, signed, whether it is there or not; the cards in Discord do not wait for it."""

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from pydantic import SecretStr

import bot.attempts
from tests.readme import README
from tests.scenario import Stage, conversation, open_stage
from tests.webhook_receiver import SECRET, Receiver

pytestmark = pytest.mark.integration

INSULT = "you are a stupid idiot and everybody knows it"
INSULT_TOO = "shut up you pathetic loser"
Verify = Callable[[str, Mapping[str, str], bytes], bool]


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.attempts, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(bot.attempts, "LONGEST_PAUSE", 0.05)


def verify_of_the_readme() -> Verify:
    """The function that README.md tells receivers to use."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "def verify(" in block]
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - our own document
    return cast("Verify", names["verify"])


async def say(stage: Stage, text: str) -> None:
    """Until its card is there."""
    (line,) = [line for line in conversation() if line.text == text]
    before = len(stage.cards())
    await stage.voice.human(stage.members[line.speaker].id).say(line.path, speed=math.inf)
    await stage.discord.wait_for(lambda: len(stage.cards()) > before, what="its card")


async def get(stage: Stage, path: str) -> aiohttp.ClientResponse:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{stage.app.api_port}{path}") as answer:
        await answer.read()
        return answer


async def webhooks(stage: Stage) -> dict[str, Any]:
    answer = await get(stage, "/ready")
    assert answer.status == 200
    return cast("dict[str, Any]", (await answer.json())["webhooks"])


async def counted(stage: Stage) -> dict[str, float]:
    """Outcome → how many, of the webhooks' lane."""
    text = await (await get(stage, "/metrics")).text()
    return {k: float(v) for k, v in re.findall(r'earshot_alert_deliveries_total\{lane="webhook",outcome="(\w+)"\} (\S+)', text)}


async def test_alerts_arrive_signed_and_again_after_the_receiver_was_away(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        more = {"earshot_webhook_url": receiver.url, "earshot_webhook_secret": SecretStr(SECRET)}
        async with open_stage(tmp_path, more=more) as stage:
            await stage.begin()
            await say(stage, INSULT)
            await stage.discord.wait_for(lambda: receiver.got, what="the webhook")
            verify = verify_of_the_readme()
            headers, body = receiver.requests[0]
            assert verify(SECRET, headers, body)
            assert not verify(SECRET, headers, body.replace(b"insult", b"praise"))
            assert not verify("whsec_" + "A" * 44, headers, body)
            assert (await webhooks(stage))["status"] == "ok"

            await receiver.stop()
            await say(stage, INSULT_TOO)
            await stage.discord.wait_for(lambda: stage.app.dispatcher.waiting == 0, what="the cards to be done")
            async with asyncio.timeout(60):
                while (state := await webhooks(stage))["status"] == "ok":  # noqa: ASYNC110 - answers are given again for 2 s
                    await asyncio.sleep(0.1)
            assert state["status"] == "degraded"
            assert "the webhook's receiver" in state["detail"]
            assert (await counted(stage))["retried"] > 0

            before = {identity for identity, _ in receiver.got}
            await receiver.start()
            await stage.discord.wait_for(lambda: {identity for identity, _ in receiver.got} - before, what="the webhook")
            async with asyncio.timeout(60):
                while (await webhooks(stage))["status"] != "ok":  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.1)
            figures = await counted(stage)
    told = [body["data"]["alert"]["segment"]["text"] for _, body in receiver.got if body["type"] == "alert.raised"]
    assert told == [INSULT, INSULT_TOO]
    assert (figures["posted"], figures["undeliverable"]) == (2.0, 0.0)


async def test_without_webhooks_they_are_off(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        assert await webhooks(stage) == {"status": "off", "detail": "not in use"}
        assert await counted(stage) == {}
