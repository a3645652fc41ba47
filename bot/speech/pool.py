"""Recognition engines, the threads that run them, and the rules for keeping and replacing them."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from moderation.errors import RecognizerFailed
from moderation.models import SAMPLE_RATE

T = TypeVar("T")


class Engine(Protocol):
    """A speech recogniser of a vendor, used by one thread at a time. Its methods may raise anything."""

    samples: int
    """Audio fed so far."""
    utterances: int
    """Utterances ended so far."""

    def feed(self, pcm: bytes) -> bool:
        """Decode; whether an utterance ended."""
        ...

    def partial(self) -> str:
        """The utterance so far, as the vendor writes it."""
        ...

    def end(self, *, flush: bool) -> str:
        """The utterance, as the vendor writes it; `flush` takes in what is still in the vendor's buffers."""
        ...

    def free(self) -> None:
        """Release the vendor's side."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When engines are kept, replaced and refused."""

    seconds: float = 600.0
    """Audio after which an engine is replaced: libvosk's compose cache grows to 32 MB and only its end frees it (vosk-api #1036)."""
    utterances: int = 200
    """Utterances after which it is replaced, for the same reason."""
    idle: int = 4
    """Engines kept for the next speaker; each holds about 12 MB."""
    open: int = 128
    """Engines that speakers hold at once; a Discord voice channel has room for 99 people."""


@dataclass(frozen=True, slots=True)
class SpeechStats:
    """Counters since the start, for metrics."""

    open: int
    """Recognisers that live speakers hold now."""
    idle: int
    """Recognisers kept for the next speakers now."""
    queued: int
    """Jobs that wait for a thread or run now; at most one for each open recogniser."""
    created: int
    """Recognisers made."""
    recycled: int
    """Recognisers replaced in mid-stream because they were worn."""
    failed: int
    """Recognisers that failed."""
    seconds_decoded: float
    """Audio decoded."""


class EnginePool:
    """Hands engines out and takes them back. `take`, `give_back` and `stats` belong to the event loop, the rest to any thread."""

    def __init__(self, make: Callable[[], Engine], *, threads: int | None = None, limits: Limits | None = None) -> None:
        """`threads`: decoding threads, None for one a core."""
        self._make = make
        self._limits = limits or Limits()
        self._executor = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="speech")
        self._jobs: set[Future[Any]] = set()
        self._idle: list[Engine] = []
        self._open = 0
        self._lock = threading.Lock()
        self._created = self._recycled = self._failed = self._samples = 0
        self.decoded: Callable[[float], None] = lambda seconds: None
        """Is told, on a decoding thread, how many seconds each piece of audio took."""

    async def take(self) -> Engine:
        """An engine for one speaker. Raises `RecognizerFailed` when too many are out or none can be made."""
        if self._open >= self._limits.open:
            raise RecognizerFailed(f"{self._limits.open} speakers are being transcribed already, no more can be.")
        self._open += 1
        try:
            return self._idle.pop() if self._idle else await asyncio.wrap_future(self.submit(self.create))
        except BaseException:
            self._open -= 1
            raise

    async def give_back(self, engine: Engine | None) -> None:
        """The speaker left; None where the engine failed and is gone."""
        self._open -= 1
        if engine is None:
            return
        with contextlib.suppress(RecognizerFailed):
            ready = await asyncio.wrap_future(self.submit(lambda: self._retire(engine)))
            if ready and len(self._idle) < self._limits.idle:
                self._idle.append(engine)

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Run a job on a decoding thread. Raises `RecognizerFailed` after `aclose`."""
        try:
            future = self._executor.submit(job)
        except RuntimeError:
            raise RecognizerFailed("Speech recognition has been shut down.") from None
        self._jobs.add(future)
        future.add_done_callback(self._jobs.discard)
        return future

    def create(self) -> Engine:
        """Make an engine; on a decoding thread. Raises `RecognizerFailed`."""
        try:
            engine = self._make()
        except Exception:  # a vendor's error has no type of its own
            raise RecognizerFailed("No recogniser can be made from the model.") from None
        with self._lock:
            self._created += 1
        return engine

    def worn(self, engine: Engine) -> bool:
        """Whether the engine should be replaced once the utterance it is in has ended."""
        return engine.samples >= self._limits.seconds * SAMPLE_RATE or engine.utterances + 1 >= self._limits.utterances

    def recycle(self, engine: Engine) -> Engine:
        """Free a worn engine and make another; on a decoding thread. Raises `RecognizerFailed`."""
        engine.free()
        with self._lock:
            self._recycled += 1
        return self.create()

    def discard(self, engine: Engine) -> None:
        """Free an engine that failed; on a decoding thread."""
        engine.free()
        with self._lock:
            self._failed += 1

    def count(self, samples: int) -> None:
        """That much audio was decoded."""
        with self._lock:
            self._samples += samples

    def stats(self) -> SpeechStats:
        """Counters, for metrics."""
        return SpeechStats(
            open=self._open,
            idle=len(self._idle),
            queued=len(self._jobs),
            created=self._created,
            recycled=self._recycled,
            failed=self._failed,
            seconds_decoded=self._samples / SAMPLE_RATE,
        )

    async def aclose(self) -> None:
        """Wait for the jobs that run, then stop the threads; engines still out fail from then on. Idempotent."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._idle.clear()

    def _retire(self, engine: Engine) -> bool:
        """Make an engine ready for the next speaker, or free it; whether it is ready."""
        with contextlib.suppress(Exception):  # an engine that cannot do this much is freed below
            engine.end(flush=True)  # nothing that one speaker said may reach the next
            if not self.worn(engine) and len(self._idle) < self._limits.idle:
                return True
        engine.free()
        return False
