"""The body of a request with audio: received in bounded memory, told apart, and made into samples piece by piece."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import BinaryIO

from aiohttp import web

from bot.api.bodies import MAX_BODY
from bot.sources.files import decode
from bot.sources.resample import Resampler
from bot.sources.sniff import HEAD_BYTES, has_frames, is_file, no_audio
from moderation.errors import InvalidInput
from moderation.models import SAMPLE_WIDTH

UPLOAD_SECONDS = 120.0
"""How long a body may take to arrive."""
MEMORY_BYTES = 1_000_000
"""Of a body that may be in memory; more goes to a temporary file."""
MAX_FILE_SECONDS = 3600.0
"""Audio in one file: a few bytes of one can stand for days of silence."""
PIECE_BYTES = 65_536
"""Of samples that are handed on at once."""
RAW = ("application/octet-stream", "audio/l16", "audio/pcm", "audio/raw", "application/x-www-form-urlencoded")
"""Media types that say nothing about a file: samples, unless the first bytes are a known file's."""
WANTED = "PCM16 mono samples (sample_rate says how many a second), or a WAV, Ogg, MP3, AAC, M4A, FLAC or WebM file"
"""What to send."""


async def receive(request: web.Request, file: BinaryIO) -> int:
    """The body into the file; how many bytes. aiohttp itself limits the size only of what it reads whole."""
    size, limit = 0, request.app[MAX_BODY]
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in request.content.iter_chunked(65_536):
                size += len(chunk)
                if size > limit:
                    raise web.HTTPRequestEntityTooLarge(limit, size)
                await asyncio.to_thread(file.write, chunk) if size > MEMORY_BYTES else file.write(chunk)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    file.seek(0)
    if not size:
        raise InvalidInput(f"The body is empty; send {WANTED}.")
    return size


def holds_file(file: BinaryIO, media: str, *, rate_given: bool) -> bool:
    """Whether this is a file to be decoded, not samples. Raises `InvalidInput` for what plainly is neither.

    Args:
        file: at its beginning, and left there.
        media: the request's content type.
        rate_given: the client named the samples' rate, so that only a file's own signature makes it one.
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if media not in RAW:
        return True
    if found := no_audio(head):
        raise InvalidInput(f"The body is {found}, not audio; send {WANTED}.")
    return is_file(head) or (not rate_given and has_frames(head))


async def decoded(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """A file's audio as 16 kHz samples, decoded in a thread. Raises `UndecodableAudio`. Close it when no more is wanted."""
    pieces = decode(file, "The file", max_seconds=MAX_FILE_SECONDS)
    try:
        while (pcm := await asyncio.to_thread(next, pieces, b"")) != b"":
            yield pcm
    finally:
        with suppress(ValueError):  # a thread that was left behind is still in it, and closes it
            pieces.close()


async def resampled(file: BinaryIO, size: int, resampler: Resampler) -> AsyncGenerator[bytes, None]:
    """Plain samples as 16 kHz samples. `size`: bytes of the file. Raises `InvalidInput` for half a sample."""
    if size % SAMPLE_WIDTH:
        raise InvalidInput("The audio ends in half a sample; send whole 16-bit samples. This piece is left out.")
    while piece := file.read(PIECE_BYTES):
        yield resampler(piece)
