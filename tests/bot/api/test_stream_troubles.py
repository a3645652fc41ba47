"""What a WebSocket's client is told when words or scores get lost here: always something, always before the end."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from bot.api import flag_audio, live_socket
from bot.api.flag_audio import Rating
from bot.api.streams import Streams
from moderation.models import Score
from moderation.scoring import TextScoring
from moderation.streams import UNHEARD, Tell, Transcription, Warn
from tests.bot.api.support import served
from tests.bot.api.test_streams import kinds, talk
from tests.fakes_speech import PIECE, HeldTranscriber, say

pytestmark = pytest.mark.integration

STREAM, FLAG = "/ws/voicechat/stream/", "/ws/flag-audio/"


class ImpatientStreams(Streams):
    """Waits for no last words."""

    def open(self, tell: Tell | None = None, warn: Warn | None = None) -> Transcription:
        return Transcription(self._transcriber, (), tell=tell, warn=warn, end_seconds=0.0)


class BrokenScorer:
    """Fails in ways that nobody foresaw, as often as told."""

    name = "broken"

    def __init__(self, times: int) -> None:
        self.times, self.asked = times, 0

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        await self.rate(texts[0])
        return [Score(0.9, "flag")]

    async def rate(self, text: str) -> Rating:
        self.asked += 1
        if self.asked <= self.times:
            raise KeyError(text)
        return Rating(0.9, flagged=True, response=[0.9])


async def told(path: str, streams: Streams, pcm: bytes, scorer: BrokenScorer | None = None) -> list[dict[str, Any]]:
    scorer = scorer or BrokenScorer(0)
    routes = [
        *live_socket.routes(streams, TextScoring(None, scorer, 0.7)),
        *flag_audio.routes(streams, scorer.rate, 0.7, every=0.01),
    ]
    async with served(routes) as client, client.ws_connect(path) as socket, asyncio.timeout(60):
        return await talk(socket, pcm, piece=PIECE)


@pytest.mark.parametrize("path", [STREAM, FLAG])
async def test_a_recogniser_that_is_lost(path: str) -> None:
    messages = await told(path, Streams(HeldTranscriber()), say("one!two"))
    (error,) = [m for m in messages if m["type"] == "error"]
    assert error["error"] == UNHEARD
    assert [m["text"] for m in messages if m["type"] == "segment"] == ["two"], "the stream goes on"


async def test_no_recogniser_to_be_had() -> None:
    speech = HeldTranscriber()
    speech.full = True
    messages = await told(STREAM, Streams(speech), say("nobody hears"))
    assert kinds(messages) == ["connected", "started", "error", "final"]


async def test_last_words_that_come_too_late_are_told_before_the_end() -> None:
    speech = HeldTranscriber()
    speech.go.clear()
    messages = await told(STREAM, ImpatientStreams(speech), say("hello"))
    assert kinds(messages) == ["connected", "started", "error", "final"]
    assert messages[-2]["error"] == "Recognition was too slow: the last 0.5 seconds of audio were left out."
    assert messages[-1]["transcript"] == ""


async def test_scores_that_come_too_late_are_told_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_socket, "SCORES_SECONDS", 0.0)

    class Slow(BrokenScorer):
        async def score(self, texts: Sequence[str]) -> Sequence[Score]:
            await asyncio.Event().wait()
            return []

    messages = await told(STREAM, Streams(HeldTranscriber()), say("hello"), Slow(0))
    assert kinds(messages)[-3:] == ["segment", "error", "final"]


async def test_a_scorer_that_breaks_on_a_segment_is_told_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    scorer = BrokenScorer(1)
    routes = live_socket.routes(Streams(HeldTranscriber()), TextScoring(None, scorer, 0.7))
    async with served(routes) as client, client.ws_connect(STREAM) as socket, asyncio.timeout(60):
        await socket.send_str('{"type":"start"}')
        await socket.send_bytes(say("secret"))
        while (await socket.receive_json())["type"] != "score_error":  # the sentence ends with the pause
            pass
        messages = await talk_on(socket, say("more"))
    assert [m["text"] for m in messages if m["type"] == "score"] == ["more"]
    assert messages[-1]["transcript"] == "secret more"
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert (record.getMessage(), record.__dict__["error"]) == ("scoring a stream's segment failed", "KeyError")
    assert "secret" not in str(record.__dict__)


async def talk_on(socket: aiohttp.ClientWebSocketResponse, pcm: bytes) -> list[dict[str, Any]]:
    await socket.send_bytes(pcm)
    await socket.send_str('{"type":"stop"}')
    return [message.json() async for message in socket if message.type is aiohttp.WSMsgType.TEXT]


async def test_a_rating_that_breaks_is_told_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    messages = await told(FLAG, Streams(HeldTranscriber()), say("secret"), BrokenScorer(1))
    assert [m["error"] for m in messages if m["type"] == "error"] == ["The transcript could not be scored."]
    assert messages[-1] == {"type": "score", "score": 0.9, "flagged": True, "threshold": 0.7, "final": True, "response": [0.9]}
    assert "secret" not in caplog.text


@pytest.mark.parametrize("pcm", [b"", say("   ")])
async def test_where_nothing_was_said_the_last_score_is_nothing(pcm: bytes) -> None:
    scorer = BrokenScorer(0)
    messages = await told(FLAG, Streams(HeldTranscriber()), pcm, scorer)
    assert messages[-1] == {"type": "score", "score": 0.0, "flagged": False, "threshold": 0.7, "final": True, "response": None}
    assert kinds(messages) == ["connected", "started", "score"]
    assert not scorer.asked
