"""Audio over HTTP and WebSocket through the real recogniser: what clients send, rightly and wrongly, and what they get."""

import asyncio
import json
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import av
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api import flag_audio, live_socket, transcribe
from bot.api.app import create_app
from bot.api.flag_audio import Rating
from bot.api.streams import Streams
from bot.api.transcribe import IDLE_SECONDS, HttpStreams
from bot.api.websocket import MAX_MESSAGE
from bot.speech.vosk import VoskTranscriber
from moderation.detectors.matching import Lexicon
from moderation.errors import DetectorError
from moderation.models import Score
from moderation.scoring import TextScoring
from moderation.terms import Term, TermType
from tests.bot.sources.encoding import encoded
from tests.scenario import MODEL

pytestmark = pytest.mark.integration
Client = TestClient[web.Request, web.Application]

VOICE = Path("tests/speech/conversation/ada_01.wav")
SAID = "hello everyone welcome bike to the game"
"""As the tiny model writes it."""
LEXICON = Lexicon([Term("game", TermType.WORD, "insult", 4), Term("welcome bike", TermType.PHRASE, "threat", 5)])


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeScorer:
    name = "fake"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.failing = False

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        self.texts += texts
        if self.failing:
            raise DetectorError("The scorer is away.")
        return [Score(0.9, "flag") for _ in texts]

    async def rate(self, text: str) -> Rating:
        (score,) = await self.score([text])
        return Rating(score.score, flagged=True, response=[{"score": score.score}])


@pytest.fixture(scope="module")
def transcriber() -> VoskTranscriber:
    return VoskTranscriber.load(MODEL, threads=2)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def scorer() -> FakeScorer:
    return FakeScorer()


@pytest.fixture
def streams(transcriber: VoskTranscriber) -> Streams:
    return Streams(transcriber, limit=2)


@pytest.fixture
def http_streams(streams: Streams, clock: FakeClock) -> HttpStreams:
    return HttpStreams(streams, TextScoring(lambda: LEXICON, None, 0.7), clock)


@pytest.fixture
async def client(streams: Streams, http_streams: HttpStreams, scorer: FakeScorer) -> AsyncIterator[Client]:
    scoring = TextScoring(lambda: LEXICON, scorer, 0.7)
    routes = [
        *transcribe.routes(http_streams),
        *live_socket.routes(streams, scoring),
        *flag_audio.routes(streams, scorer.rate, 0.7, every=0.05),
    ]
    async with TestClient(TestServer(create_app({}, token=None, max_body=1_000_000, routes=routes))) as opened:
        yield opened


def samples(path: Path = VOICE) -> bytes:
    with wave.open(str(path)) as file:
        pcm: bytes = file.readframes(file.getnframes())
        return pcm


def resampled(rate: int) -> bytes:
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples()) // 2)
    frame.sample_rate = 16_000
    frame.planes[0].update(samples())
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    return b"".join(bytes(f.planes[0])[: f.samples * 2] for f in [*resampler.resample(frame), *resampler.resample(None)])


async def talk(socket: aiohttp.ClientWebSocketResponse, pcm: bytes, *, rate: int = 16_000, piece: int = 3200) -> list[dict[str, Any]]:
    """Play all of it; everything that came back."""
    await socket.send_str(json.dumps({"type": "start", "sample_rate": rate}))
    for at in range(0, len(pcm), piece):
        await socket.send_bytes(pcm[at : at + piece])
    await socket.send_str('{"type":"stop"}')
    return [json.loads(message.data) async for message in socket if message.type is aiohttp.WSMsgType.TEXT]


async def free(streams: Streams) -> None:
    """Wait until no place is taken: a server's handler ends a little after its client."""
    while streams.open_count:  # noqa: ASYNC110 - their end is no event of ours
        await asyncio.sleep(0.005)


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [m["type"] for m in told]


@pytest.mark.parametrize("rate", [16_000, 8_000, 44_100, 48_000])
async def test_a_socket_gives_partials_segments_scores_and_the_transcript(client: Client, rate: int) -> None:
    async with client.ws_connect("/ws/voicechat/stream/") as socket:
        told = await talk(socket, samples() if rate == 16_000 else resampled(rate), rate=rate)
    assert kinds(told)[:2] == ["connected", "started"]
    assert "partial" in kinds(told)
    assert kinds(told)[-1] == "final"
    assert len(set(told[-1]["transcript"].split()) & set(SAID.split())) >= (6 if rate > 8_000 else 3)
    if rate == 16_000:
        assert told[-1]["transcript"] == SAID
        (segment,) = [m for m in told if m["type"] == "segment"]
        (score,) = [m for m in told if m["type"] == "score"]
        assert (segment["segment_id"], segment["text"]) == (score["segment_id"], SAID)
        assert (score["transcript"], score["label"], score["flagged"], score["severity"]) == (SAID, "flag", True, 5)
        assert (score["score"], score["score_0_1"]) == (0.9, 0.9)
        assert score["category_scores"] == {"insult": pytest.approx(4 / 6), "threat": pytest.approx(5 / 6)}
        assert score["matches"] == [
            {"category": "threat", "severity": 5, "start": 15, "end": 27, "redacted": True},
            {"category": "insult", "severity": 4, "start": 35, "end": 39, "redacted": True},
        ]


async def test_a_scorer_that_fails_is_told_and_the_lexicon_goes_on(client: Client, scorer: FakeScorer) -> None:
    scorer.failing = True
    async with client.ws_connect("/ws/voicechat/stream/") as socket:
        told = await talk(socket, samples())
    (error,) = [m for m in told if m["type"] == "score_error"]
    assert error["error"] == "The scorer is away."
    (score,) = [m for m in told if m["type"] == "score"]
    assert score["flagged"]


async def test_what_is_sent_wrongly_is_told_and_the_stream_goes_on(client: Client, streams: Streams) -> None:
    wrong: list[str | bytes] = [
        "hello",
        "[]",
        '{"type":"sing"}',
        b"\0\0",
        '{"type":"start","sample_rate":7999}',
        '{"type":"start","sample_rate":"x"}',
    ]
    async with client.ws_connect("/ws/voicechat/stream/") as socket:
        assert (await socket.receive_json())["type"] == "connected"
        for message in wrong:
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
            assert (await socket.receive_json())["type"] == "error"
        await socket.send_str('{"type":"start"}')
        assert (await socket.receive_json())["type"] == "started"
        await socket.send_str('{"type":"start"}')
        await socket.send_bytes(b"\0\0\0")
        assert [(await socket.receive_json())["type"] for _ in range(2)] == ["error", "error"]
        await socket.send_bytes(samples())
        await socket.send_str('{"type":"stop"}')
        told = [json.loads(message.data) async for message in socket if message.type is aiohttp.WSMsgType.TEXT]
        assert told[-1] == {"type": "final", "transcript": SAID}
        assert socket.close_code == 1000
    await free(streams)


@pytest.mark.parametrize("path", ["/ws/voicechat/stream/", "/ws/flag-audio/"])
async def test_whoever_does_not_speak_websocket_is_told(client: Client, path: str) -> None:
    answer = await client.get(path)
    told = await answer.json()
    assert (answer.status, told["code"]) == (400, "invalid-input")
    assert "WebSocket" in told["error"]


async def test_a_message_that_is_too_large_ends_it(client: Client, streams: Streams) -> None:
    async with client.ws_connect("/ws/voicechat/stream/") as socket:
        await socket.receive_json()
        await socket.send_bytes(bytes(MAX_MESSAGE))
        assert (await socket.receive_json())["error"].startswith("Audio came before")
        await socket.send_bytes(bytes(MAX_MESSAGE + 1))
        closed = await socket.receive()
        assert (closed.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1009)
    await free(streams)


async def test_who_goes_away_mid_word_leaves_nothing(client: Client, streams: Streams, transcriber: VoskTranscriber) -> None:
    socket = await client.ws_connect("/ws/voicechat/stream/")
    await socket.send_str('{"type":"start"}')
    await socket.send_bytes(samples()[:32_000])
    assert [(await socket.receive_json())["type"] for _ in range(2)] == ["connected", "started"]
    assert streams.open_count == 1
    connector = client.session.connector
    assert connector is not None
    await connector.close()  # cuts the line, without a word
    await free(streams)
    assert transcriber.stats().open == 0
    assert {t.get_name() for t in asyncio.all_tasks()} & {"stream", "stream scores"} == set()


async def test_places_are_bounded(client: Client, streams: Streams) -> None:
    open_sockets = [await client.ws_connect("/ws/voicechat/stream/") for _ in range(2)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect("/ws/voicechat/stream/")
    assert refused.value.status == 503
    assert streams.refused == 1
    for socket in open_sockets:
        await socket.close()


async def test_the_running_transcript_is_scored_as_it_grows(client: Client, scorer: FakeScorer) -> None:
    async with client.ws_connect("/ws/flag-audio/") as socket:
        told = await talk(socket, samples())
    scores = [m for m in told if m["type"] == "score"]
    assert scores[-1] == {"type": "score", "score": 0.9, "flagged": True, "threshold": 0.7, "final": True, "response": [{"score": 0.9}]}
    assert scorer.texts[-1] == SAID
    assert all(not m["final"] for m in scores[:-1])


async def test_a_transcript_by_requests(client: Client, streams: Streams) -> None:
    pcm, heard = samples(), []
    for at in range(0, len(pcm), 32_000):
        answered = await client.post("/api/voicechat/transcribe/?stream_id=a%2Fb", data=pcm[at : at + 32_000])
        heard.append(await answered.json())
    assert any(h["partial"] for h in heard)
    finished = await (await client.post("/api/voicechat/finalize/", json={"stream_id": "a/b"})).json()
    assert finished["transcript"] == SAID
    assert [s["text"] for s in finished["segments"]] == [SAID]
    assert finished["segments"][0]["flagged"]
    assert (await client.post("/api/voicechat/finalize/", json={"stream_id": "a/b"})).status == 404
    assert streams.open_count == 0


async def test_a_whole_file(client: Client) -> None:
    for suffix, codec in (("wav", "pcm_s16le"), ("ogg", "libopus"), ("mp3", "libmp3lame"), ("flac", "flac")):
        data = encoded(suffix, codec, 48_000 if codec == "libopus" else 16_000)
        for media in ("application/octet-stream", f"audio/{suffix}"):
            answered = await client.post("/api/voicechat/transcribe/?stream_id=f", data=data, headers={"Content-Type": media})
            assert answered.status == 200, await answered.text()
            finished = await (await client.post("/api/voicechat/finalize/", json={"stream_id": "f"})).json()
            assert len(set(finished["transcript"].split()) & set(SAID.split())) >= 5, suffix


@pytest.mark.parametrize(
    ("query", "data", "status"),
    [
        ("", b"\0\0", 400),
        ("?stream_id=", b"\0\0", 400),
        ("?stream_id=a", b"", 400),
        ("?stream_id=a", b"\0\0\0", 400),
        ("?stream_id=a", b"RIFF nothing of the kind", 400),
        ("?stream_id=a&sample_rate=96000", b"\0\0", 400),
        ("?stream_id=a", bytes(1_000_002), 413),
    ],
)
async def test_bad_audio_is_refused_and_opens_nothing(client: Client, streams: Streams, query: str, data: bytes, status: int) -> None:
    refused = await client.post(f"/api/voicechat/transcribe/{query}", data=data)
    assert refused.status == status, await refused.text()
    assert set(await refused.json()) == {"error", "code"}
    assert streams.open_count == 0


async def test_idle_streams_end(client: Client, streams: Streams, http_streams: HttpStreams, clock: FakeClock) -> None:
    assert (await client.post("/api/voicechat/transcribe/?stream_id=a", data=samples())).status == 200
    clock.now += IDLE_SECONDS
    await http_streams.sweep()
    assert streams.open_count == 0
    assert (await client.post("/api/voicechat/finalize/", json={"stream_id": "a"})).status == 404
