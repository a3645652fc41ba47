"""What a recogniser does when the engine behind it fails."""

import pytest

from bot.speech.pool import EnginePool, Limits
from bot.speech.recognizer import VoskRecognizer
from moderation.errors import RecognizerFailed
from tests.bot.speech.audio import silence

pytestmark = pytest.mark.unit


class FakeEngine:
    """Fails in the named method with an error that quotes speech, or answers what is no result."""

    def __init__(self, fails: str = "", answer: str = '{"text": ""}') -> None:
        self.samples, self.utterances, self.freed = 0, 0, 0
        self.fails, self.answer = fails, answer

    def feed(self, pcm: bytes) -> bool:
        self._act("feed")
        return False

    def partial(self) -> str:
        self._act("partial")
        return self.answer

    def end(self, *, flush: bool) -> str:
        self._act("end")
        return self.answer

    def free(self) -> None:
        self.freed += 1

    def _act(self, name: str) -> None:
        if name == self.fails:
            raise Exception("cannot make sense of: you stupid idiot")


@pytest.mark.parametrize("method", ["feed", "partial", "end"])
async def test_a_failing_engine_is_reported_without_speech_and_freed(method: str) -> None:
    engine = FakeEngine(fails=method)
    pool = EnginePool(lambda: engine, threads=1)
    recognizer = VoskRecognizer(pool, await pool.take())

    async def speak() -> None:
        await recognizer.accept(silence(0.5))
        await recognizer.finish()

    with pytest.raises(RecognizerFailed) as caught:
        await speak()
    assert "stupid" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    with pytest.raises(RecognizerFailed):
        await recognizer.finish()
    await recognizer.aclose()
    assert engine.freed == 1
    assert (pool.stats().failed, pool.stats().open, pool.stats().idle) == (1, 0, 0)
    await pool.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        "you stupid idiot",
        '["stupid"]',
        '{"result": "stupid", "text": "stupid"}',
        '{"result": [{"word": "stupid"}], "text": "stupid"}',
        '{"result": [{"word": "stupid", "start": "x", "end": 1, "conf": 1}]}',
    ],
)
async def test_an_answer_that_is_no_result_fails_without_quoting_it(answer: str) -> None:
    pool = EnginePool(lambda: FakeEngine(answer=answer), threads=1)
    recognizer = VoskRecognizer(pool, await pool.take())
    with pytest.raises(RecognizerFailed) as caught:
        await recognizer.finish()
    assert "stupid" not in str(caught.value)
    await pool.aclose()


async def test_an_engine_that_cannot_be_made_is_reported_and_not_counted_as_open() -> None:
    def make() -> FakeEngine:
        raise Exception("Failed to create a recognizer")

    pool = EnginePool(make, threads=1)
    for _ in range(3):
        with pytest.raises(RecognizerFailed):
            await pool.take()
    assert (pool.stats().open, pool.stats().created) == (0, 0)
    await pool.aclose()


async def test_an_engine_that_fails_when_handed_back_is_not_kept() -> None:
    engine = FakeEngine(fails="end")
    pool = EnginePool(lambda: engine, threads=1)
    await VoskRecognizer(pool, await pool.take()).aclose()
    assert (pool.stats().idle, engine.freed) == (0, 1)
    await pool.aclose()


async def test_a_worn_engine_that_cannot_be_replaced_fails_the_recogniser_only() -> None:
    made: list[FakeEngine] = []

    def make() -> FakeEngine:
        if made:
            raise Exception("Failed to create a recognizer")
        made.append(FakeEngine())
        made[0].utterances = 10
        return made[0]

    pool = EnginePool(make, threads=1, limits=Limits(utterances=10))
    recognizer = VoskRecognizer(pool, await pool.take())
    with pytest.raises(RecognizerFailed):
        await recognizer.finish()
    await recognizer.aclose()
    assert (made[0].freed, pool.stats().open) == (1, 0)
    await pool.aclose()
