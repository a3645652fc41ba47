"""The transcriber with the real libvosk and the bundled model."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest

from bot.speech.pool import Engine, Limits
from bot.speech.vosk import VoskTranscriber
from moderation.errors import RecognizerFailed
from moderation.models import SAMPLE_RATE, Hypothesis
from moderation.ports import Recognizer, Transcriber
from tests.bot.speech.audio import MODEL, Line, conversation, frames, samples, silence
from tests.wer import wer

pytestmark = pytest.mark.integration
THREADS = 2


@pytest.fixture
async def transcriber() -> AsyncIterator[VoskTranscriber]:
    made = VoskTranscriber.load(MODEL, threads=THREADS)
    yield made
    await made.aclose()


async def hear(recognizer: Recognizer, pcm: bytes, size: int = 640) -> list[Hypothesis]:
    """Everything the recogniser says to one utterance, fed in pieces of `size` bytes."""
    said = [await recognizer.accept(piece) for piece in frames(pcm, size)]
    return [h for h in (*said, await recognizer.finish()) if h is not None]


def finals(said: list[Hypothesis]) -> str:
    return " ".join(h.text for h in said if h.final)


async def test_it_is_a_transcriber(transcriber: VoskTranscriber) -> None:
    port: Transcriber = transcriber
    recognizer: Recognizer = await port.open()
    await recognizer.aclose()


async def test_the_conversation_is_understood(transcriber: VoskTranscriber) -> None:
    lines = conversation()
    recognizer = await transcriber.open()
    heard = [finals(await hear(recognizer, line.pcm)) for line in lines]
    assert wer([line.text for line in lines], heard) < 0.03


async def test_other_voices_are_understood(transcriber: VoskTranscriber) -> None:
    lines = samples()
    recognizer = await transcriber.open()
    heard = [finals(await hear(recognizer, line.pcm)) for line in lines]
    assert wer([line.text for line in lines], heard) < 0.03


@pytest.mark.parametrize("size", [3, 640, 5_000, 31_999, 10_000_000])
async def test_pieces_of_any_size_give_the_same_words(transcriber: VoskTranscriber, size: int) -> None:
    line = conversation()[5]
    recognizer = await transcriber.open()
    assert finals(await hear(recognizer, line.pcm, size)) == line.text


async def test_a_frame_that_fills_no_chunk_is_answered_at_once(transcriber: VoskTranscriber) -> None:
    recognizer = await transcriber.open()
    call = recognizer.accept(silence(0.02))
    with pytest.raises(StopIteration) as answer:  # ran to its end without waiting for anything
        call.send(None)
    assert answer.value.value is None
    assert transcriber.stats().seconds_decoded == 0.0


async def test_partials_come_before_the_final_and_only_when_they_change(transcriber: VoskTranscriber) -> None:
    recognizer = await transcriber.open()
    said = await hear(recognizer, conversation()[5].pcm)
    assert [h.final for h in said] == [False] * (len(said) - 1) + [True]
    assert len(said) >= 4
    texts = [h.text for h in said[:-1]]
    assert all(texts)
    assert all(a != b for a, b in pairwise(texts))
    assert any("stupid idiot" in t for t in texts)


async def test_partials_that_are_not_wanted_are_not_made_and_the_final_is_the_same(transcriber: VoskTranscriber) -> None:
    pcm = conversation()[5].pcm
    heard = []
    for wanted in (True, False):
        recognizer = await transcriber.open()
        news = [await recognizer.accept(piece, partials=wanted) for piece in frames(pcm, 640)]
        said = [h for h in (*news, await recognizer.finish()) if h is not None]
        assert any(not h.final for h in said) is wanted
        heard.append(finals(said))
        await recognizer.aclose()
    assert heard[0] == heard[1] != ""


async def test_words_have_times_and_confidences(transcriber: VoskTranscriber) -> None:
    line = conversation()[5]
    recognizer = await transcriber.open()
    (final,) = [h for h in await hear(recognizer, line.pcm) if h.final]
    assert " ".join(w.text for w in final.words) == final.text
    assert all(0.0 <= w.start < w.end <= len(line.pcm) / 32_000 + 0.1 for w in final.words)
    assert all(a.end <= b.start + 0.001 for a, b in pairwise(final.words))
    assert all(0.0 <= w.confidence <= 1.0 for w in final.words)


async def test_the_last_word_is_finished_when_speech_ends_abruptly(transcriber: VoskTranscriber) -> None:
    """Discord stops sending: no silence follows the last word, and nothing of it may leak into the next utterance."""
    first, second = conversation()[5], conversation()[7]
    recognizer = await transcriber.open()
    (final,) = [h for h in await hear(recognizer, first.pcm) if h.final]
    cut = first.pcm[: int(final.words[-1].end * SAMPLE_RATE) * 2]
    assert finals(await hear(recognizer, cut)) == first.text
    assert finals(await hear(recognizer, second.pcm)) == second.text


async def test_silence_ends_an_utterance_without_finish(transcriber: VoskTranscriber) -> None:
    recognizer = await transcriber.open()
    pcm = conversation()[5].pcm + silence(1.5)
    said = [await recognizer.accept(piece) for piece in frames(pcm)]
    assert [h.text for h in said if h and h.final] == [conversation()[5].text]
    assert await recognizer.finish() is None


async def test_sentences_in_one_call_come_back_together(transcriber: VoskTranscriber) -> None:
    one, two = conversation()[5], conversation()[7]
    recognizer = await transcriber.open()
    said = await recognizer.accept(one.pcm + silence(1.5) + two.pcm + silence(1.5))
    assert said is not None
    assert said.final
    assert said.text == f"{one.text} {two.text}"
    assert said.words[-1].start > len(one.pcm) / 32_000 + 1.5


async def test_silence_and_nothing_say_nothing(transcriber: VoskTranscriber) -> None:
    recognizer = await transcriber.open()
    assert await hear(recognizer, silence(3.0)) == []
    assert await recognizer.accept(b"") is None
    assert await recognizer.finish() is None


async def test_concurrent_speakers_hear_what_they_would_alone(transcriber: VoskTranscriber) -> None:
    """Four speakers on two threads: each one's text is exactly what a lone recogniser gives."""
    by_speaker: dict[str, list[Line]] = {}
    for line in conversation():
        by_speaker.setdefault(line.speaker, []).append(line)

    async def speak(lines: list[Line]) -> list[tuple[str, bool]]:
        recognizer = await transcriber.open()
        heard = [(h.text, h.final) for line in lines for h in await hear(recognizer, line.pcm)]
        await recognizer.aclose()
        return heard

    alone = [await speak(lines) for lines in by_speaker.values()]
    together = await asyncio.gather(*(speak(lines) for lines in by_speaker.values()))
    assert together == alone


async def test_recycling_keeps_words_and_times(transcriber: VoskTranscriber) -> None:
    steady = await transcriber.open()
    expected = [h for line in conversation() for h in await hear(steady, line.pcm) if h.final]
    for limits in (Limits(utterances=1), Limits(seconds=5.0), Limits(utterances=3)):
        brisk = VoskTranscriber.load(MODEL, threads=1, limits=limits)
        recognizer = await brisk.open()
        heard = [h for line in conversation() for h in await hear(recognizer, line.pcm) if h.final]
        assert [h.text for h in heard] == [h.text for h in expected]
        for got, want in zip(heard, expected, strict=True):
            assert got.words[0].start == pytest.approx(want.words[0].start, abs=0.07)
            assert got.words[-1].end == pytest.approx(want.words[-1].end, abs=0.07)
        assert brisk.stats().recycled >= 4
        await brisk.aclose()


async def test_recycling_at_an_endpoint_loses_nothing() -> None:
    """A recording has silence instead of `finish`: the worn engine goes where libvosk itself ended an utterance."""
    brisk = VoskTranscriber.load(MODEL, threads=1, limits=Limits(utterances=1))
    recognizer = await brisk.open()
    lines = conversation()
    said = [await recognizer.accept(piece) for line in lines for piece in frames(line.pcm + silence(1.0))]
    said.append(await recognizer.finish())
    assert wer([" ".join(line.text for line in lines)], [finals([h for h in said if h])]) < 0.03
    starts = [w.start for h in said if h for w in h.words]
    assert starts == sorted(starts)
    assert brisk.stats().recycled >= len(lines)
    await brisk.aclose()


async def test_recognisers_stay_few_over_many_utterances() -> None:
    made = VoskTranscriber.load(MODEL, threads=2, limits=Limits(utterances=50))
    pcm = conversation()[7].pcm[: SAMPLE_RATE * 2]
    recognizer = await made.open()
    for _ in range(200):
        await recognizer.accept(pcm)
        await recognizer.finish()
        assert made.stats().open == 1
    assert made.stats().created == 1 + 200 // 50
    assert made.stats().recycled == 200 // 50
    await made.aclose()


async def test_speakers_who_come_and_go_share_recognisers() -> None:
    made = VoskTranscriber.load(MODEL, threads=2, limits=Limits(idle=2))
    for _ in range(20):
        recognizers = [await made.open() for _ in range(3)]
        assert made.stats().open == 3
        for recognizer in recognizers:
            await recognizer.accept(silence(0.2))
            await recognizer.aclose()
            await recognizer.aclose()
        assert (made.stats().open, made.stats().idle) == (0, 2)
    assert made.stats().created == 3 + 19
    await made.aclose()


async def test_nothing_of_one_speaker_reaches_the_next() -> None:
    made = VoskTranscriber.load(MODEL, threads=1)
    one = await made.open()
    await one.accept(conversation()[5].pcm)
    await one.aclose()
    two = await made.open()
    assert made.stats().created == 1
    (final,) = [h for h in await hear(two, conversation()[7].pcm) if h.final]
    assert final.text == conversation()[7].text
    assert 0.0 <= final.words[0].start < 0.5
    await made.aclose()


async def test_too_many_speakers_are_refused() -> None:
    made = VoskTranscriber.load(MODEL, threads=1, limits=Limits(open=2))
    first, _ = await made.open(), await made.open()
    with pytest.raises(RecognizerFailed, match="2 speakers"):
        await made.open()
    await first.aclose()
    await made.open()
    await made.aclose()


async def test_concurrent_calls_are_refused(transcriber: VoskTranscriber) -> None:
    recognizer = await transcriber.open()
    running = asyncio.create_task(recognizer.accept(silence(2.0)))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one after another"):
        await recognizer.accept(silence(1.0))
    with pytest.raises(RuntimeError, match="one after another"):
        await recognizer.finish()
    await running


@contextlib.contextmanager
def held(transcriber: VoskTranscriber, engine: Engine, phase: str) -> Iterator[threading.Event]:
    """Until the end of the block, the call that comes waits for a thread, or runs on one; set when it is so."""
    reached, go, feed = threading.Event(), threading.Event(), engine.feed

    def feed_later(pcm: bytes) -> bool:
        reached.set()
        go.wait()
        return feed(pcm)

    if phase == "waits":
        for _ in range(THREADS):
            transcriber._pool.submit(go.wait)
        reached.set()
    engine.feed = feed_later  # type: ignore[method-assign]
    try:
        yield reached
    finally:
        go.set()


@pytest.mark.parametrize("phase", ["waits", "runs"])
async def test_a_cancelled_call_loses_no_audio(transcriber: VoskTranscriber, phase: str) -> None:
    """Cancelled while it waits for a thread or runs: what was fed is decoded by the next call."""
    line = conversation()[5]
    recognizer = await transcriber.open()
    engine = recognizer._engine
    assert engine is not None
    with held(transcriber, engine, phase) as reached:
        call = asyncio.create_task(recognizer.accept(line.pcm))
        await asyncio.sleep(0)
        await asyncio.to_thread(reached.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    final = await recognizer.finish()
    assert final is not None
    assert final.text == line.text


async def test_closing_waits_for_a_job_that_a_cancelled_call_left(transcriber: VoskTranscriber) -> None:
    recognizer = await transcriber.open()
    call = asyncio.create_task(recognizer.accept(silence(5.0)))
    await asyncio.sleep(0)  # its job is with the threads
    assert transcriber.stats().queued == 1
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    await recognizer.aclose()
    assert transcriber.stats().queued == 0
    assert transcriber.stats().open == 0


async def test_a_closed_recogniser_or_transcriber_fails_cleanly(transcriber: VoskTranscriber) -> None:
    closed, late = await transcriber.open(), await transcriber.open()
    await closed.aclose()
    with pytest.raises(RecognizerFailed):
        await closed.accept(silence(1.0))
    await transcriber.aclose()
    with pytest.raises(RecognizerFailed, match="shut down"):
        await late.accept(silence(1.0))
    with pytest.raises(RecognizerFailed, match="shut down"):
        await transcriber.open()
    await late.aclose()
    await transcriber.aclose()


async def test_it_knows_what_it_can_hear(transcriber: VoskTranscriber) -> None:
    assert transcriber.hears("idiot")
    assert transcriber.hears("let's")
    for word in ("xylophone", "", "[unk]", "<eps>", "#0", "shut up", "idiot\0", "\ud800"):
        assert not transcriber.hears(word), word


async def test_stats_count_audio(transcriber: VoskTranscriber) -> None:
    recognizer = await transcriber.open()
    await recognizer.accept(silence(2.0))
    await recognizer.accept(silence(0.1))
    await recognizer.finish()
    assert transcriber.stats().seconds_decoded == pytest.approx(2.1)
    assert transcriber.stats().queued == 0
