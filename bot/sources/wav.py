"""What a WAV file's header promises. FFmpeg trims the promise to the file's length, so a cut file would look whole."""

import struct
from typing import BinaryIO

MAX_CHUNKS = 64
"""Chunks looked at before the audio; real files have a handful."""
UNKNOWN_SIZES = (0, 0x7FFFF000)
"""What programs write that stream a WAV without knowing its end: 0, or something near the format's limit from here on."""


def promised_seconds(file: BinaryIO) -> float | None:
    """Seconds of audio by the RIFF header (Microsoft/IBM Multimedia Programming Interface 1.0, 1991); None where it does not say.

    Reads from the start and leaves the file there.
    """
    file.seek(0)
    try:
        return _data_seconds(file)
    except struct.error:
        return None
    finally:
        file.seek(0)


def _data_seconds(file: BinaryIO) -> float | None:
    riff, _, wave = struct.unpack("<4sI4s", file.read(12))
    if (riff, wave) != (b"RIFF", b"WAVE"):
        return None
    bytes_per_second = 0
    for _ in range(MAX_CHUNKS):
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            known = UNKNOWN_SIZES[0] < size < UNKNOWN_SIZES[1] and bytes_per_second
            return size / bytes_per_second if known else None
        body = file.read(16) if name == b"fmt " else b""
        if body:
            bytes_per_second = struct.unpack("<HHIIHH", body)[3]
        file.seek(size - len(body) + size % 2, 1)
    return None
