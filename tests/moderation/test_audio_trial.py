"""A recording is tried within its limits, sentence by sentence, and nobody else's turn is taken."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from moderation.audio_trial import MAX_BYTES, MAX_SECONDS, AudioTrial
from moderation.errors import DetectorError, InvalidInput, RecognizerFailed, UndecodableAudio
from moderation.models import BYTES_PER_SECOND, Detection, Flag, Level, Session, TranscriptSegment
from moderation.settings import GuildSettings
from tests.fakes import FakeDetector, FakeTranscriber

pytestmark = pytest.mark.unit

SESSION = Session("try", 7, 8, datetime(2026, 1, 1, tzinfo=UTC))


class FakeSettings:
    """A guild store that only knows the defaults."""

    async def settings(self, guild_id: int) -> GuildSettings:
        return GuildSettings(guild_id)


class FailingDetector(FakeDetector):
    async def detect(self, session: Session, segment: TranscriptSegment) -> list[Flag]:
        raise DetectorError("made to fail")


def second(letter: str) -> bytes:
    """The fake recogniser hears the first byte of what it is fed."""
    return letter.encode() + bytes(BYTES_PER_SECOND - 1)


def trial(*pieces: bytes | Exception, word: str = "bad") -> tuple[AudioTrial, FakeTranscriber, list[int]]:
    decoded: list[int] = []

    def decode(data: bytes, name: str) -> Iterator[bytes]:
        for n, piece in enumerate(pieces):
            decoded.append(n)
            if isinstance(piece, Exception):
                raise piece
            yield piece

    transcriber = FakeTranscriber()
    detectors = [FakeDetector(word, 8), FailingDetector(word, 8, name="broken")]
    return AudioTrial(transcriber, detectors, FakeSettings(), decode), transcriber, decoded  # type: ignore[arg-type]


async def test_what_is_said_is_judged_by_all_detectors_and_a_broken_one_is_told() -> None:
    audio, transcriber, _ = trial(*(second(c) for c in "bad"))
    run = await audio.run(SESSION, b"data")
    (sentence,) = run.sentences
    assert (sentence.segment.text, run.level, run.seconds, run.cut, run.damage) == ("bad", Level.ALERT, 3.0, False, "")
    assert sentence.verdict.detectors == (("broken", Detection.FAILED), ("fake", Detection.RAN))
    assert [r.closed for r in transcriber.opened] == [True]


async def test_silence_comes_to_nothing() -> None:
    audio, _, _ = trial(bytes(2 * BYTES_PER_SECOND))
    run = await audio.run(SESSION, b"data")
    assert (run.sentences, run.level, run.seconds) == ((), Level.NONE, 2.0)


async def test_decoding_stops_at_the_limit() -> None:
    audio, _, decoded = trial(*[second("x")] * 500)
    run = await audio.run(SESSION, b"data")
    assert run.cut
    assert run.seconds == MAX_SECONDS
    assert len(decoded) <= MAX_SECONDS + 2


async def test_exactly_the_limit_is_not_cut() -> None:
    audio, _, _ = trial(*[second("x")] * int(MAX_SECONDS))
    run = await audio.run(SESSION, b"data")
    assert (run.seconds, run.cut) == (MAX_SECONDS, False)


async def test_damage_in_the_middle_is_told_and_what_came_before_is_used() -> None:
    audio, _, _ = trial(second("a"), UndecodableAudio("damaged at 1.0 s"))
    run = await audio.run(SESSION, b"data")
    assert (run.seconds, run.damage) == (1.0, "damaged at 1.0 s")
    assert [s.segment.text for s in run.sentences] == ["a"]


async def test_what_is_no_audio_or_too_large_is_refused() -> None:
    audio, transcriber, _ = trial(UndecodableAudio("is no audio file"))
    with pytest.raises(UndecodableAudio, match="no audio"):
        await audio.run(SESSION, b"data")
    assert [r.closed for r in transcriber.opened] == [True]
    with pytest.raises(InvalidInput, match="larger than"):
        await audio.run(SESSION, bytes(MAX_BYTES + 1))


async def test_a_recogniser_that_fails_is_released() -> None:
    audio, transcriber, _ = trial(second("!"), second("a"))
    with pytest.raises(RecognizerFailed):
        await audio.run(SESSION, b"data")
    assert [r.closed for r in transcriber.opened] == [True]


async def test_one_recording_at_a_time() -> None:
    audio, _, _ = trial(*[second("x")] * 30)
    first = asyncio.create_task(audio.run(SESSION, b"data"))
    await asyncio.sleep(0)
    with pytest.raises(InvalidInput, match="Another recording"):
        await audio.run(SESSION, b"data")
    assert (await first).seconds == 30.0
    assert (await audio.run(SESSION, b"data")).seconds == 30.0
