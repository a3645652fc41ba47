"""Streams that are handed in piece by piece: nothing that happens to a recogniser keeps them waiting, and what is lost is told."""

import asyncio
import re

import pytest

from moderation import streams
from moderation.errors import SourceError
from moderation.streams import FAILED, UNHEARD, Transcription
from tests.fakes import FakeTranscriber
from tests.fakes_speech import HeldTranscriber, say

pytestmark = pytest.mark.unit

WAIT = 60
"""Seconds until a test gives up: never reached unless something hangs."""


async def test_a_lost_recogniser_keeps_nobody_waiting_and_is_told() -> None:
    warned: list[str] = []

    async def warn(sentence: str) -> None:
        warned.append(sentence)

    stream = Transcription(FakeTranscriber(), (), warn=warn)
    await stream.feed(say("one!two"))
    await asyncio.wait_for(stream.heard(), WAIT)
    assert warned == [UNHEARD]
    assert await asyncio.wait_for(stream.finish(), WAIT) == "two"


async def test_no_recogniser_to_be_had_is_told_once() -> None:
    warned: list[str] = []

    async def warn(sentence: str) -> None:
        warned.append(sentence)

    speech = HeldTranscriber()
    speech.full = True
    stream = Transcription(speech, (), warn=warn)
    await stream.feed(say("nobody hears"))
    await asyncio.wait_for(stream.heard(), WAIT)
    assert (await asyncio.wait_for(stream.finish(), WAIT), warned) == ("", [UNHEARD])


async def test_the_end_is_waited_for_as_long_as_there_is_progress() -> None:
    held = HeldTranscriber()
    held.go.clear()
    stream = Transcription(held, (), stall_seconds=0.5, end_seconds=10, clock=lambda: held.seconds)  # each piece takes 0.1 s
    await stream.feed(say("all of this is said"))
    finishing = asyncio.create_task(stream.finish())
    held.go.set()
    assert await asyncio.wait_for(finishing, WAIT) == "all of this is said"
    assert held.seconds > 1, "several times as long as it may stand still"
    assert not stream.missing


@pytest.mark.parametrize(("stall", "end"), [(1e9, 0.0), (0.0, 1e9)])
async def test_an_end_that_does_not_come_is_given_up_and_told(stall: float, end: float) -> None:
    held = HeldTranscriber()
    stream = Transcription(held, (), stall_seconds=stall, end_seconds=end)
    await stream.feed(say("it"))
    while stream.partial != "it":  # noqa: ASYNC110 - no event of ours
        await asyncio.sleep(0.001)
    held.go.clear()
    await stream.feed(say(" goes on"))
    assert await asyncio.wait_for(stream.finish(), WAIT) == ""
    assert re.fullmatch(r"Recognition was too slow: the last (0\.8|0\.9) seconds of audio were left out\.", stream.missing)
    assert held.opened[0].closed


async def test_a_recogniser_that_stands_still_fails_the_stream() -> None:
    held = HeldTranscriber()
    held.go.clear()
    stream = Transcription(held, (), stall_seconds=0.05)
    with pytest.raises(SourceError, match="Start another one"):
        await asyncio.wait_for(stream.feed(say("x" * 200)), WAIT)
    with pytest.raises(SourceError):
        await stream.feed(b"\0\0")
    with pytest.raises(SourceError):
        await asyncio.wait_for(stream.heard(), WAIT)
    await stream.aclose()


async def test_what_waits_for_a_recogniser_that_stands_still_is_told() -> None:
    held = HeldTranscriber()
    held.go.clear()
    stream = Transcription(held, (), stall_seconds=0.05)
    await stream.feed(say("x"))
    with pytest.raises(SourceError):
        await asyncio.wait_for(stream.heard(), WAIT)
    await stream.aclose()
    assert stream.missing == FAILED


async def test_segments_that_are_too_many_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_SEGMENTS", 2)
    stream = Transcription(FakeTranscriber(), ())
    for word in ("one", "two", "three"):
        await stream.feed(say(word))
        await stream.pause()
    assert await asyncio.wait_for(stream.finish(), WAIT) == "two three"
    assert stream.missing == "The transcript was too long; segments left out at its beginning: 1."
