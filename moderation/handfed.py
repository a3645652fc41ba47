"""Audio of one speaker that somebody hands in, as an `AudioSource`: bounded, and whoever hands it in waits while it is full."""

import asyncio
import time
from collections.abc import AsyncIterator

from moderation.inbox import Inbox, Overflow
from moderation.models import BYTES_PER_SECOND, AudioFrame, EndOfSpeech, SourceItem, Speaker

PIECE_SECONDS = 0.1
"""Audio in one frame of a stream, at most."""
WAITING_SECONDS = 5.0
"""Audio that may wait to be recognised; then the client waits."""
STALL_SECONDS = 30.0
"""Without any progress for so long, what still waits to be recognised is given up."""

SPEAKER = Speaker(1)


class HandFedSource:
    """An `AudioSource` for one speaker whose audio is handed in."""

    def __init__(self, stall_seconds: float = STALL_SECONDS) -> None:
        """`stall_seconds`: how long to wait for room before giving up."""
        self._stall = stall_seconds
        self._items: Inbox[SourceItem] = Inbox(int(WAITING_SECONDS / PIECE_SECONDS), Overflow.DROP_OLDEST)
        self._size = round(PIECE_SECONDS * BYTES_PER_SECOND)
        self._speaking = False
        self.fed_seconds = 0.0
        """Media seconds handed in so far."""

    async def feed(self, pcm: bytes) -> None:
        """Hand in 16 kHz mono samples, signed 16-bit little-endian; waits while `WAITING_SECONDS` are ahead of the recogniser.

        Raises `TimeoutError` when nothing is taken for `stall_seconds`.
        """
        for at in range(0, len(pcm), self._size):
            piece = pcm[at : at + self._size]
            await self._room()
            self._items.put(AudioFrame(SPEAKER.id, self.fed_seconds, piece, time.monotonic()))
            self.fed_seconds += len(piece) / BYTES_PER_SECOND
            self._speaking = True

    async def pause(self) -> None:
        """Nothing comes at the moment: what was said is finished. Raises `TimeoutError` as `feed` does."""
        if self._speaking:
            self._speaking = False
            await self._room()
            self._items.put(EndOfSpeech(SPEAKER.id, self.fed_seconds, time.monotonic()))

    def close(self) -> None:
        """Nothing comes any more."""
        self._items.close()

    async def frames(self) -> AsyncIterator[SourceItem]:
        """What was handed in, then the end."""
        async for item in self._items:
            yield item

    def speaker(self, speaker_id: int) -> Speaker:
        """There is one, without a name."""
        return SPEAKER

    def spoken_seconds(self, speaker_id: int) -> float:
        """All of it counts."""
        return self.fed_seconds

    async def aclose(self) -> None:
        """Stop at once."""
        self.close()

    async def _room(self) -> None:
        async with asyncio.timeout(self._stall):
            await self._items.room()
