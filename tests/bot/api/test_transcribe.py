"""Audio by plain requests: several at once for one stream, slow ones, clients that leave, recognisers that fail, and what is no audio."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.api import streams as places
from bot.api import transcribe, uploads
from bot.api.app import create_app, serve
from bot.api.streams import Streams
from bot.api.transcribe import IDLE_SECONDS, HttpStreams
from moderation import streams
from moderation.scoring import TextScoring
from tests.bot.api.support import Client, served, until
from tests.bot.sources.encoding import encoded
from tests.fakes_speech import HeldTranscriber, say, wav

pytestmark = pytest.mark.integration

CUT = wav(say("x" * 150), promised=10_000_000)
"""15 s of a file that says it has more: more than may wait for a recogniser."""


class Stand:
    """The two addresses over a recogniser that the test holds."""

    def __init__(self, client: Client, streams: Streams, http: HttpStreams, speech: HeldTranscriber) -> None:
        self.client, self.streams, self.http, self.speech = client, streams, http, speech
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def transcribe(
        self, data: bytes | AsyncIterator[bytes] | io.BytesIO, name: str = "a", *, media: str = "application/octet-stream"
    ) -> tuple[int, dict[str, Any]]:
        answered = await self.client.post(f"/api/voicechat/transcribe/?stream_id={name}", data=data, headers={"Content-Type": media})
        return answered.status, await answered.json()

    async def finalize(self, name: str = "a") -> tuple[int, dict[str, Any]]:
        answered = await self.client.post("/api/voicechat/finalize/", json={"stream_id": name})
        return answered.status, await answered.json()

    async def hold(self, data: bytes) -> "asyncio.Task[tuple[int, dict[str, Any]]]":
        """A request whose audio a recogniser has and does not let go of."""
        self.speech.go.clear()
        task = asyncio.create_task(self.transcribe(data))
        await until(lambda: self.speech.opened)
        return task


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    speech = HeldTranscriber()
    streams = Streams(speech, limit=4)
    made: list[Stand] = []
    http = HttpStreams(streams, TextScoring(None, None, 0.7), lambda: made[0].now)
    async with served(transcribe.routes(http)) as client:
        made.append(Stand(client, streams, http, speech))
        yield made[0]
        speech.go.set()


async def arrive() -> None:
    """Let a request that was just sent come to where it waits. Should it come later, it finds the same."""
    await asyncio.sleep(0.1)


async def test_a_file_that_breaks_off_while_its_stream_is_being_ended(stand: Stand) -> None:
    cut = await stand.hold(CUT)
    ending = asyncio.create_task(stand.finalize())
    await arrive()
    stand.speech.go.set()
    assert (await cut)[0] == 400
    assert (await ending)[0] == 404
    assert stand.streams.open_count == 0


async def test_audio_that_comes_while_a_file_breaks_off_is_not_lost(stand: Stand) -> None:
    cut = await stand.hold(CUT)
    more = asyncio.create_task(stand.transcribe(say("more")))
    await arrive()
    stand.speech.go.set()
    assert (await cut)[0] == 400
    assert (await more)[0] == 200
    assert (await stand.finalize())[1]["transcript"] == "more"
    assert stand.streams.open_count == 0


async def test_a_stream_of_the_same_name_opened_while_another_ends_is_its_own(stand: Stand) -> None:
    assert (await stand.transcribe(say("first")))[0] == 200
    stand.speech.go.clear()
    more = asyncio.create_task(stand.transcribe(say(" second")))
    await arrive()
    ending = asyncio.create_task(stand.finalize())
    await arrive()
    anew = asyncio.create_task(stand.transcribe(say("third")))
    await arrive()
    stand.speech.go.set()
    assert [(await more)[0], (await anew)[0]] == [200, 200]
    assert (await ending)[1]["transcript"] == "first second"
    assert (await stand.finalize())[1]["transcript"] == "third"
    assert stand.streams.open_count == 0


async def test_a_stream_can_be_ended_once(stand: Stand) -> None:
    held = await stand.hold(say("word"))
    endings = [asyncio.create_task(stand.finalize()) for _ in range(3)]
    await arrive()
    stand.speech.go.set()
    assert (await held)[0] == 200
    answers = [await each for each in endings]
    assert sorted(status for status, _ in answers) == [200, 404, 404]
    assert [told["transcript"] for status, told in answers if status == 200] == ["word"]


async def test_a_stream_whose_audio_is_on_its_way_does_not_expire(stand: Stand) -> None:
    assert (await stand.transcribe(say("slow ")))[0] == 200
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield say("cl")
        await arrive()
        stand.now += IDLE_SECONDS + 20
        await stand.http.sweep()
        begun.set()
        yield say("ient")

    assert (await stand.transcribe(slowly()))[0] == 200
    assert begun.is_set()
    assert (await stand.finalize())[1]["transcript"] == "slow client"


async def test_it_expires_after_its_last_audio(stand: Stand) -> None:
    assert (await stand.transcribe(say("x")))[0] == 200
    stand.now += IDLE_SECONDS
    await stand.http.sweep()
    assert ((await stand.finalize())[0], stand.streams.open_count) == (404, 0)


async def test_a_stream_that_ends_with_the_server_gives_its_place_back_once(stand: Stand) -> None:
    running = asyncio.create_task(stand.http.run())
    held = await stand.hold(CUT)
    running.cancel()
    await asyncio.wait({running})
    status, told = await held
    assert (status, told["code"], stand.streams.open_count) == (503, "source-failed", 0)


async def test_requests_with_audio_are_bounded(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_UPLOADS", 1)
    held = await stand.hold(say("x"))
    status, told = await stand.transcribe(say("y"), "b")
    assert (status, told["code"], stand.streams.refused) == (503, "too-many", 1)
    stand.speech.go.set()
    assert (await held)[0] == 200
    assert (await stand.transcribe(say("y"), "b"))[0] == 200


async def test_a_recogniser_that_fails_is_told_and_the_stream_goes_on(stand: Stand) -> None:
    assert (await stand.transcribe(say("one ")))[0] == 200
    status, told = await stand.transcribe(say("!two"))
    assert (status, told["code"]) == (503, "source-failed")
    assert "Words are missing" in told["error"]
    assert (await stand.transcribe(say(" three")))[0] == 200
    status, told = await stand.finalize()
    assert (status, told["transcript"]) == (200, "two three")
    assert "Words are missing" in told["error"]


async def test_without_a_recogniser_there_is_no_stream(stand: Stand) -> None:
    stand.speech.full = True
    assert (await stand.transcribe(say("nobody hears")))[0] == 503
    assert (stand.streams.open_count, (await stand.finalize())[0]) == (0, 404)


async def test_last_words_without_a_recogniser_are_no_empty_transcript(stand: Stand) -> None:
    assert (await stand.transcribe(say(" ")))[0] == 200

    stand.speech.lost = True
    status, told = await stand.finalize()
    assert (status, told["code"], stand.streams.open_count) == (503, "source-failed", 0)


async def test_nothing_goes_on_for_a_client_that_left(stand: Stand) -> None:
    stand.speech.go.clear()
    requests: list[web.Request] = []

    async def noted(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        return await stand.http.transcribe(request)

    routes = [replace(route, handler=noted) for route in transcribe.routes(stand.http)]
    async with serve(create_app({}, token=None, max_body=5_000_000, routes=routes), "127.0.0.1", 0) as port:
        await leave(port, stand)
        await until(lambda: requests[0].transport is None)
        stand.speech.go.set()
        await until(lambda: not stand.streams.open_count)
    assert stand.speech.seconds < 20


async def leave(port: int, stand: Stand) -> None:
    """Send a minute, and go away when the first of it is heard."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    body = wav(say("x" * 600))
    head = f"POST /api/voicechat/transcribe/?stream_id=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Content-Type: audio/wav\r\n\r\n" + body)
    await writer.drain()
    await until(lambda: stand.speech.opened)
    writer.close()


async def test_segments_are_told_once_however_many_there_were(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_SEGMENTS", 3)
    told = []
    for n in range(6):
        answer = (await stand.transcribe(say(f"w{n}")))[1]
        told += [s["text"] for s in answer["segments"]]
        await pause(stand)
    answer = (await stand.transcribe(say("x")))[1]
    assert [*told, *(s["text"] for s in answer["segments"])] == [f"w{n}" for n in range(6)]
    status, finished = await stand.finalize()
    assert (status, finished["transcript"]) == (200, "w4 w5 x")
    assert "too long" in finished["error"]


async def pause(stand: Stand) -> None:
    """Requests have no pauses; recognisers end sentences by themselves."""
    named = stand.http._named._open["a"]
    await named.stream.pause()
    await until(lambda: not named.stream.partial)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("mp3", "libmp3lame", 16_000), ("adts", "aac", 16_000), ("ipod", "aac", 44_100), ("mov", "aac", 44_100), ("mp4", "aac", 48_000)],
)
async def test_files_are_known_without_a_content_type(stand: Stand, container: str, codec: str, rate: int) -> None:
    data = encoded(container, codec, rate, **({"id3v2_version": "0", "write_xing": "0"} if container == "mp3" else {}))
    stand.speech.deaf = True
    for media in ("application/octet-stream", "application/x-www-form-urlencoded"):
        before = stand.speech.seconds
        assert (await stand.transcribe(data, media=media))[0] == 200
        await stand.finalize()
        seconds = stand.speech.seconds - before
        assert 2 < seconds < 4, "the voice's three seconds, not the samples that the bytes would be"


@pytest.mark.parametrize(
    ("data", "what"), [(Path("README.md").read_bytes(), "text"), (Path("tests/pictures/calls.png").read_bytes(), "a PNG image")]
)
async def test_what_is_no_audio_is_refused(stand: Stand, data: bytes, what: str) -> None:
    status, told = await stand.transcribe(data, media="application/x-www-form-urlencoded")
    assert (status, stand.streams.open_count) == (400, 0)
    assert told["error"].startswith(f"The body is {what}, not audio; send PCM16 mono samples")


async def test_half_a_sample_at_the_end_of_much_audio_leaves_all_of_it_out(stand: Stand) -> None:
    assert (await stand.transcribe(say("one")))[0] == 200
    assert (await stand.transcribe(say("x" * 40) + b"\0"))[0] == 400
    assert (await stand.finalize())[1]["transcript"] == "one"


async def test_a_file_of_days_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_SECONDS", 60.0)
    status, told = await stand.transcribe(io.BytesIO(wav(say("x" * 601))), media="audio/wav")
    assert (status, stand.streams.open_count) == (400, 0)
    assert told["error"] == "The file: holds more than 1 minutes of audio; send it in parts."
