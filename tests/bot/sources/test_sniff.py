"""What unlabelled bytes are taken for: real files of every format, samples that look like them, and what is no audio."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sources.sniff import HEAD_BYTES, has_frames, is_file, no_audio
from tests.bot.sources.encoding import VOICE, encoded

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("ogg", "libopus"),
        ("flac", "flac"),
        ("mp3", "libmp3lame"),
        ("mp4", "aac"),
        ("ipod", "aac"),
        ("mov", "aac"),
        ("webm", "libopus"),
        ("matroska", "flac"),
        ("aiff", "pcm_s16be"),
        ("caf", "pcm_s16be"),
        ("asf", "aac"),
        ("wv", "wavpack"),
    ],
)
def test_files_that_say_what_they_are(container: str, codec: str) -> None:
    head = encoded(container, codec, 48_000)[:HEAD_BYTES]
    assert is_file(head)
    assert not no_audio(head)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_mp3_without_tags(rate: int) -> None:
    head = encoded("mp3", "libmp3lame", rate, id3v2_version="0", write_xing="0")[:HEAD_BYTES]
    assert head[0] == 0xFF
    assert has_frames(head)
    assert not is_file(head)


@pytest.mark.parametrize(("container", "codec", "rate"), [("adts", "aac", 16_000), ("adts", "aac", 44_100), ("mp2", "mp2", 32_000)])
def test_other_files_that_are_frames_after_frames(container: str, codec: str, rate: int) -> None:
    assert has_frames(encoded(container, codec, rate)[:HEAD_BYTES])


def test_one_frame_alone_is_one() -> None:
    data = encoded("mp3", "libmp3lame", 16_000, id3v2_version="0", write_xing="0")
    length = next(n for n in range(4, 2000) if data[n : n + 2] == data[:2] and has_frames(data[:n]))
    assert has_frames(data[:length])
    assert not has_frames(data[: length - 1])


@pytest.mark.parametrize("start", ["fffb9064", "fff36864", "fff16080", "ffff", "fff9"])
def test_samples_that_begin_like_a_frame_are_samples(start: str) -> None:
    noise = np.random.default_rng(5).integers(-3000, 3000, 8_000, dtype="<i2").tobytes()
    assert not has_frames(bytes.fromhex(start) + noise)
    assert not has_frames(bytes.fromhex(start))


def test_silence_just_below_nothing_is_samples() -> None:
    assert not has_frames(b"\xff" * HEAD_BYTES)
    assert not no_audio(b"\xff" * HEAD_BYTES)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (Path("README.md").read_bytes(), "text"),
        ("“Ünï”, кто это?\r\n".encode() * 2000, "text"),
        (b"#EXTM3U\nhttp://localhost/x.ts\n", "text"),
        (b"RIFF nothing of the kind", "text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image"),
        (b"GIF89a\1\0\1\0", "a GIF image"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "an image"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "an image"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
    ],
)
def test_what_is_no_audio(data: bytes, name: str) -> None:
    assert no_audio(data[:HEAD_BYTES]) == name


def test_a_picture_on_disk() -> None:
    for path in Path("tests/pictures").rglob("*.png"):
        assert no_audio(path.read_bytes()[:HEAD_BYTES]) == "a PNG image"


@pytest.mark.parametrize("data", [b"", b"\0\0", b"hi", struct.pack("<100h", *range(-50, 50)), VOICE.read_bytes()[44:4000]])
def test_samples_may_be_audio(data: bytes) -> None:
    assert not no_audio(data)
    assert not is_file(data)
    assert not has_frames(data)


@given(st.binary(max_size=64))
def test_anything_gets_an_answer(data: bytes) -> None:
    for start in (b"", b"\xff\xfb", b"\xff\xf1", b"ID3\x04", b"RIFF1234"):
        no_audio(start + data)
        is_file(start + data)
        has_frames(start + data)
