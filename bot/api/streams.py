"""How many streams there may be at once, and how they are opened: one count for HTTP and WebSockets."""

from collections.abc import Iterator
from contextlib import contextmanager

from moderation.errors import TooMany
from moderation.ports import Detector, Transcriber
from moderation.streams import Tell, Transcription, Warn

MAX_STREAMS = 64
"""Streams at once; one more is refused."""

MAX_UPLOADS = 64
"""Requests with audio at once, each with up to a megabyte in memory and the rest of its body on disk; one more is refused."""


class Streams:
    """All streams of the HTTP side."""

    def __init__(self, transcriber: Transcriber, limit: int = MAX_STREAMS) -> None:
        self._transcriber = transcriber
        self._limit = limit
        self.open_count = 0
        self._uploads = 0
        self.refused = 0
        """Streams, and requests with audio, since the start."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place while the context lasts. Raises `TooMany`."""
        self.take_place()
        try:
            yield
        finally:
            self.give_back()

    @contextmanager
    def upload(self) -> Iterator[None]:
        """A request with audio, while the context lasts. Raises `TooMany`."""
        if self._uploads >= MAX_UPLOADS:
            self.refused += 1
            raise TooMany(f"{MAX_UPLOADS} requests with audio are under way already; try again when one has been answered.")
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    def take_place(self) -> None:
        """Raises `TooMany` when all are taken."""
        if self.open_count >= self._limit:
            self.refused += 1
            raise TooMany(f"{self._limit} streams are open already; try again when one has ended.")
        self.open_count += 1

    def give_back(self) -> None:
        """A stream has ended."""
        self.open_count -= 1

    def open(self, tell: Tell | None = None, warn: Warn | None = None) -> Transcription:
        """Start a stream; `tell` and `warn` as in `Transcription`.

        The detectors of calls are not asked: a stream's text is scored, nobody is alerted.
        """
        nobody: tuple[Detector, ...] = ()
        return Transcription(self._transcriber, nobody, tell=tell, warn=warn)
