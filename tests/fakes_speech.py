"""Recognisers that wait, fail or are not to be had when a test says so, and audio that they understand."""

import asyncio
import struct

from moderation.errors import RecognizerFailed
from moderation.handfed import PIECE_SECONDS
from moderation.models import BYTES_PER_SECOND, Hypothesis
from tests.fakes import FakeRecognizer, FakeTranscriber

PIECE = round(PIECE_SECONDS * BYTES_PER_SECOND)
"""Bytes of one piece of a stream."""


def say(text: str) -> bytes:
    """A piece of audio for each letter, as `FakeRecognizer` hears them."""
    return b"".join(letter.encode().ljust(PIECE, b"\0") for letter in text)


def wav(pcm: bytes, promised: int | None = None) -> bytes:
    """As a WAV file. `promised`: bytes that its header speaks of, where those are not what it holds."""
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return head + struct.pack("<4sI", b"data", len(pcm) if promised is None else promised) + pcm


class HeldRecognizer(FakeRecognizer):
    def __init__(self, owner: "HeldTranscriber") -> None:
        super().__init__()
        self.owner = owner

    async def accept(self, pcm: bytes, *, partials: bool = True) -> Hypothesis | None:
        await self.owner.go.wait()
        self.owner.seconds += len(pcm) / BYTES_PER_SECOND
        return None if self.owner.deaf else await super().accept(pcm, partials=partials)

    async def finish(self) -> Hypothesis | None:
        if self.owner.lost:
            raise RecognizerFailed("made to fail")
        return await super().finish()


class HeldTranscriber(FakeTranscriber):
    """Its recognisers go on while `go` is set. While `full`, there are none; `lost` ones finish nothing; `deaf` ones only count."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.go.set()
        self.full = self.lost = self.deaf = False
        self.seconds = 0.0
        """Of audio that they were given."""

    async def open(self) -> FakeRecognizer:
        if self.full:
            raise RecognizerFailed("made to be full")
        self.opened.append(HeldRecognizer(self))
        return self.opened[-1]
