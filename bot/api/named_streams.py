"""The streams that requests have opened, by the clients' names for them: one request at a time works on each; idle ones end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from bot.api.streams import Streams
from bot.sources.resample import Resampler
from moderation.errors import NotFound
from moderation.models import TranscriptSegment

GONE = "There is no such stream; it has ended, or nothing came to it for a minute."


class Named:
    """One of them."""

    def __init__(self, streams: Streams, now: float) -> None:
        self.stream = streams.open(warn=self._warn)
        self.used_at = now
        """Monotonic seconds."""
        self.busy = asyncio.Lock()
        self.uploads = 0
        """Requests with audio for it that are on their way."""
        self.fed = False
        """Whether anything usable came."""
        self.resampler: tuple[int, Resampler] | None = None
        self.problem = ""
        """Why words are missing."""
        self._problems = self._told_problems = self._told_segments = 0

    async def _warn(self, sentence: str) -> None:
        self.problem = sentence
        self._problems += 1

    def new_problem(self) -> str:
        """Why words of the latest audio are missing; empty where that was asked already, or nothing is known to be missing."""
        told, self._told_problems = self._told_problems, self._problems
        return self.problem if self._problems > told else ""

    def new_segments(self) -> list[TranscriptSegment]:
        """Those that were not asked for yet. Old ones may be forgotten by now: `dropped` counts them."""
        segments, dropped = self.stream.segments, self.stream.dropped
        told, self._told_segments = self._told_segments, dropped + len(segments)
        return list(segments[max(0, told - dropped) :])


class NamedStreams:
    """All of them."""

    def __init__(self, streams: Streams, idle: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`idle`: seconds after which one to which nothing comes is forgotten; `clock`: monotonic seconds."""
        self._streams = streams
        self._idle = idle
        self._clock = clock
        self._open: dict[str, Named] = {}

    @contextmanager
    def awaited(self, name: str) -> Iterator[None]:
        """While the context lasts audio is on its way: if there is such a stream, it does not expire. Raises `TooMany`."""
        with self._streams.upload():
            named = self._open.get(name)
            if named is None:
                yield
                return
            named.uploads += 1
            try:
                yield
            finally:
                named.uploads -= 1
                named.used_at = self._clock()

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Named]:
        """That stream, opened if need be, for one request at a time. Raises `TooMany`."""
        while True:
            if name not in self._open:
                self._streams.take_place()
                self._open[name] = Named(self._streams, self._clock())
            named = self._open[name]
            async with named.busy:
                if self._open.get(name) is named:  # else it ended while this request waited
                    yield named
                    named.used_at = self._clock()
                    return

    @asynccontextmanager
    async def ending(self, name: str) -> AsyncIterator[Named]:
        """That stream for the last time, when those that wait for it have had it. Raises `NotFound`."""
        named = self._open.get(name)
        if named is None:
            raise NotFound(GONE)
        async with named.busy:
            if self._open.get(name) is not named:
                raise NotFound(GONE)
            try:
                yield named
            finally:
                await self.drop(name, named)

    async def drop(self, name: str, named: Named) -> None:
        """End it at once. Another that has the name by now stays."""
        if self._open.get(name) is named:
            del self._open[name]
            self._streams.give_back()
        await named.stream.aclose()

    async def sweep(self) -> None:
        """Forget those that are idle."""
        for name, named in list(self._open.items()):
            if self._clock() - named.used_at >= self._idle and not named.uploads and not named.busy.locked():
                await self.drop(name, named)

    async def run(self) -> None:
        """Sweep again and again; at the end, drop all."""
        try:
            while True:
                await asyncio.sleep(self._idle / 6)
                await self.sweep()
        finally:
            for name, named in list(self._open.items()):
                await self.drop(name, named)
