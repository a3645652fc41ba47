"""WAV headers: what they promise, and files that were cut."""

import io
import struct
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sources.files import decode
from bot.sources.wav import promised_seconds
from moderation.errors import UndecodableAudio

pytestmark = pytest.mark.unit


def wav(seconds: float, size: int | None = None) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\x01\x02" * round(16_000 * seconds))
    data = out.getvalue()
    return data if size is None else data[:40] + struct.pack("<I", size) + data[44:]


def test_it_promises_its_length() -> None:
    file = io.BytesIO(wav(1.5))
    assert promised_seconds(file) == 1.5
    assert file.tell() == 0


def test_a_chunk_before_the_audio_is_stepped_over() -> None:
    data = wav(1.0)
    assert promised_seconds(io.BytesIO(data[:36] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + data[36:])) == 1.0


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_streamed_file_promises_nothing(size: int) -> None:
    assert promised_seconds(io.BytesIO(wav(1.0, size))) is None
    assert len(b"".join(decode(io.BytesIO(wav(1.0, size))))) == 32_000


def test_a_cut_file_is_told_after_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(wav(4.0)[:64_000])
    heard: list[bytes] = []
    with pytest.raises(UndecodableAudio, match=r"cut\.wav: breaks off at 2\.0 s of 4\.0 s"):
        heard.extend(decode(path))
    assert len(b"".join(heard)) > 60_000


@given(st.binary(max_size=200))
def test_anything_else_promises_nothing_and_never_raises(data: bytes) -> None:
    promised_seconds(io.BytesIO(data))
    promised_seconds(io.BytesIO(b"RIFF\0\0\0\0WAVE" + data))
