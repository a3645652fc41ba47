"""One speaker's stream of audio, gathered into chunks and decoded on the pool's threads.

    accept / finish (event loop) ──chunks──▶ decoding thread ──▶ Engine

A speaker has at most one job in the pool's executor: that keeps their audio in order and bounds the executor's queue.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import NamedTuple

from bot.speech import results
from bot.speech.pool import Engine, EnginePool
from moderation.errors import RecognizerFailed
from moderation.models import BYTES_PER_SECOND, SAMPLE_RATE, SAMPLE_WIDTH, Hypothesis

CHUNK_BYTES = int(0.16 * BYTES_PER_SECOND)
"""Audio gathered before it is decoded: eight Discord frames. libvosk decodes about 0.2 s at a time whatever it is fed."""
JOB_BYTES = BYTES_PER_SECOND
"""Audio in one job at most: one second, so that an upload does not keep live speakers waiting."""


class _Heard(NamedTuple):
    finals: list[Hypothesis]
    partial: str


class VoskRecognizer:
    """Implements `moderation.ports.Recognizer`; made by `VoskTranscriber.open`.

    `accept` with less than a chunk answers None at once. Word times count the audio fed since it was opened, also when the engine
    behind it is replaced. A call that is cancelled may lose its answer, never its audio.
    """

    def __init__(self, pool: EnginePool, engine: Engine) -> None:
        self._pool = pool
        self._engine: Engine | None = engine
        self._offset = -engine.samples / SAMPLE_RATE
        self._buffer = bytearray()
        self._partial = ""
        self._job: Future[_Heard] | None = None
        self._busy = False
        self._closed = False

    async def accept(self, pcm: bytes, *, partials: bool = True) -> Hypothesis | None:
        """Feed 16 kHz mono int16 audio of any length; a final, or (where `partials` are wanted) one whose text changed, else None.

        Sentences that end inside one call come back as one final.

        Raises:
            RecognizerFailed: close this recogniser and open another.
            RuntimeError: called while another call runs.
        """
        with self._alone():
            self._buffer += pcm
            finals: list[Hypothesis] = []
            partial = ""
            while len(self._buffer) >= CHUNK_BYTES:
                heard = await self._decode(min(len(self._buffer), JOB_BYTES), flush=False, partials=partials)
                finals += heard.finals
                partial = heard.partial
            if finals:
                self._partial = ""
                return results.join(finals)
            if not partial or partial == self._partial:
                return None
            self._partial = partial
            return Hypothesis(partial, final=False)

    async def finish(self) -> Hypothesis | None:
        """The speaker paused: decode what is gathered, flush and return the final, None when nothing was said.

        Raises:
            RecognizerFailed: close this recogniser and open another.
            RuntimeError: called while another call runs.
        """
        with self._alone():
            finals: list[Hypothesis] = []
            while len(self._buffer) > JOB_BYTES:  # only after a call was cancelled
                finals += (await self._decode(JOB_BYTES, flush=False)).finals
            finals += (await self._decode(len(self._buffer), flush=True)).finals
            self._partial = ""
            return results.join(finals)

    async def aclose(self) -> None:
        """Release it, after a job that still runs. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await self._settle()
        engine, self._engine = self._engine, None
        await self._pool.give_back(engine)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._busy:
            raise RuntimeError("calls of a recogniser must be awaited one after another")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    async def _decode(self, size: int, *, flush: bool, partials: bool = False) -> _Heard:
        await self._settle()
        engine = self._engine
        if engine is None:
            raise RecognizerFailed("This recogniser has failed or is closed.")
        pcm = bytes(self._buffer[: size - size % SAMPLE_WIDTH])
        job = self._job = self._pool.submit(lambda: self._work(engine, pcm, flush=flush, partials=partials))
        del self._buffer[: len(pcm)]
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if job.cancelled():  # it was still waiting for a thread
                self._buffer[:0] = pcm
            raise

    async def _settle(self) -> None:
        """Wait for a job that a cancelled call left behind."""
        if self._job is not None and not self._job.done():
            await asyncio.wait([asyncio.wrap_future(self._job)])

    def _work(self, engine: Engine, pcm: bytes, *, flush: bool, partials: bool) -> _Heard:
        """On a decoding thread."""
        try:
            started = time.perf_counter()
            ended = engine.feed(pcm)
            self._pool.decoded(time.perf_counter() - started)
            self._pool.count(len(pcm) // SAMPLE_WIDTH)
            if not ended and not flush:
                return _Heard([], results.partial(engine.partial()) if partials else "")
            worn = self._pool.worn(engine)
            final = results.final(engine.end(flush=flush or worn), self._offset)
        except Exception:  # a vendor's error has no type of its own, and its text may quote speech
            self._engine = None
            self._pool.discard(engine)
            raise RecognizerFailed("The recogniser failed on a piece of audio.") from None
        if worn:
            self._recycle(engine)
        return _Heard([final] if final else [], "")

    def _recycle(self, engine: Engine) -> None:
        """Replace a worn engine between two utterances; word times go on where they were."""
        self._engine = None
        self._offset += engine.samples / SAMPLE_RATE
        self._engine = self._pool.recycle(engine)
