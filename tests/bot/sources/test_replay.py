"""Recorded files as a source."""

import asyncio
import io
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from bot.sources.files import decode, is_audio_name, probe
from bot.sources.recordings import find_recordings
from bot.sources.replay import Recording, ReplaySource
from moderation.errors import UndecodableAudio
from moderation.models import AudioFrame, EndOfSpeech, SourceItem, Speaker, SpeakerLeft
from moderation.ports import AudioSource
from tests.bot.speech.audio import CONVERSATION, SPEECH, conversation, read_wav

pytestmark = pytest.mark.integration

BEN = CONVERSATION / "ben_02.wav"
ADA, BOB = Speaker(1, "ada"), Speaker(2, "bob")
FORMATS = {
    "wav": ("pcm_s16le", 16_000, "mono"),
    "ogg": ("libopus", 48_000, "stereo"),
    "mp3": ("libmp3lame", 44_100, "stereo"),
    "flac": ("flac", 48_000, "mono"),
    "m4a": ("aac", 44_100, "mono"),
    "webm": ("libopus", 48_000, "mono"),
}


def encode(path: Path, pcm: bytes, *, silent_between: tuple[float, float] | None = None) -> Path:
    """Write 16 kHz mono samples as the format that the path's suffix names; packets between two seconds are left out, as recorders do."""
    codec, rate, layout = FORMATS[path.suffix[1:]]
    with av.open(str(path), "w") as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=rate))
        stream.layout = layout
        samples = np.frombuffer(pcm, np.int16).repeat(2 if layout == "stereo" else 1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        packets = [p for f in (*resampler.resample(frame), *resampler.resample(None)) for p in stream.encode(f)]
        for packet in (*packets, *stream.encode(None)):
            at = float((packet.pts or 0) * packet.time_base)
            if silent_between is None or not silent_between[0] <= at < silent_between[1]:
                container.mux(packet)
    return path


def heard(path: Path | io.BytesIO) -> bytes:
    return b"".join(decode(path))


def loudness(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(pcm, np.int16).astype(float) ** 2)))


async def play(source: AudioSource) -> list[SourceItem]:
    return [item async for item in source.frames()]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_becomes_16_khz_mono(tmp_path: Path, suffix: str) -> None:
    pcm = read_wav(BEN)
    path = encode(tmp_path / f"ben.{suffix}", pcm)
    got = heard(path)
    assert len(got) / 32_000 == pytest.approx(len(pcm) / 32_000, abs=0.1)
    assert loudness(got) == pytest.approx(loudness(pcm), rel=0.15)
    assert heard(io.BytesIO(path.read_bytes())) == got
    assert probe(path) == pytest.approx(len(pcm) / 32_000, abs=0.1)
    assert is_audio_name(path)


def test_a_wav_of_the_right_kind_comes_out_as_it_is() -> None:
    assert heard(BEN) == read_wav(BEN)


def test_long_files_are_decoded_piece_by_piece(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.flac", read_wav(BEN) * 60)
    sizes = [len(piece) for piece in decode(path)]
    assert sum(sizes) / 32_000 == pytest.approx(189, abs=1)
    assert max(sizes) <= 16_000


def test_gaps_in_timestamps_are_silence(tmp_path: Path) -> None:
    """Recorders leave out silence: positions must stay media seconds."""
    pcm = read_wav(BEN) * 2
    path = encode(tmp_path / "gap.webm", pcm, silent_between=(2.0, 4.0))
    got = heard(path)
    assert len(got) / 32_000 == pytest.approx(len(pcm) / 32_000, abs=0.1)
    assert loudness(got[int(2.2 * 32_000) : int(3.8 * 32_000)]) == 0.0
    assert loudness(got[int(4.1 * 32_000) :]) > 500


def broken(tmp_path: Path) -> Iterator[tuple[str, Path, str]]:
    """(name, path, what the error says)"""
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "noise.mp3").write_bytes(os.urandom(50_000).replace(b"\xff", b"\0"))
    (tmp_path / "text.wav").write_text("this is not audio\n" * 100, encoding="ascii")
    (tmp_path / "header.wav").write_bytes(BEN.read_bytes()[:30])
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    (tmp_path / "playlist.wav").write_text(f"ffconcat version 1.0\nfile '{BEN}'\n", encoding="ascii")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{BEN}\n#EXT-X-ENDLIST\n", encoding="ascii")
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    yield "missing", tmp_path / "missing.wav", "there is no such file"
    yield "empty", tmp_path / "empty.wav", "is empty"
    yield "folder", tmp_path / "folder.wav", "is a folder"
    yield "pipe", tmp_path / "pipe.wav", "is not a regular file"
    yield "name", tmp_path / "a\0b.wav", "cannot be read"
    yield "long", tmp_path / ("x" * 300), "cannot be read"
    for name in ("noise.mp3", "text.wav", "header.wav", "playlist.wav", "list.m3u8"):
        yield name, tmp_path / name, "is no audio file"
    yield "picture", tmp_path / "picture.png", "holds no audio stream"


def test_what_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    """Playlists among them: they must not make FFmpeg open the files they name."""
    for name, path, message in broken(tmp_path):
        for attempt in (heard, probe):
            with pytest.raises(UndecodableAudio) as caught:
                attempt(path)
            assert str(path) in str(caught.value), name
            assert message in str(caught.value), name


def test_a_playlist_in_memory_opens_nothing() -> None:
    with pytest.raises(UndecodableAudio, match="upload: is no audio file"):
        b"".join(decode(io.BytesIO(f"ffconcat version 1.0\nfile '{BEN}'\n".encode()), "upload"))


@pytest.mark.parametrize("suffix", ["mp3", "webm", "m4a"])
def test_damage_in_the_middle_keeps_what_came_before(tmp_path: Path, suffix: str) -> None:
    path = encode(tmp_path / f"ben.{suffix}", read_wav(BEN))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5_000] = bytes(5_000)
    path.write_bytes(data)
    pieces: list[bytes] = []
    with pytest.raises(UndecodableAudio, match=r"(damaged|breaks off) at 1\.\d s") as caught:
        pieces.extend(decode(path))
    assert str(path) in str(caught.value)
    assert 1.0 < sum(map(len, pieces)) / 32_000 < 2.2
    assert loudness(b"".join(pieces)) > 500


@pytest.mark.parametrize("suffix", ["flac", "webm"])
def test_a_truncated_file_keeps_what_is_there_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = encode(tmp_path / f"ben.{suffix}", read_wav(BEN))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pieces: list[bytes] = []
    with pytest.raises(UndecodableAudio, match=r"at 1\.\d s"):
        pieces.extend(decode(path))
    assert 1.0 < sum(map(len, pieces)) / 32_000 < 2.0


def test_a_file_is_closed_when_decoding_is_given_up() -> None:
    opened = set(os.listdir("/proc/self/fd"))
    pieces = decode(BEN)
    next(pieces)
    del pieces
    assert set(os.listdir("/proc/self/fd")) == opened


async def test_a_file_is_frames_of_20_ms_then_end_of_speech_then_left() -> None:
    source = ReplaySource([(ADA, BEN, 1.5)])
    items = await play(source)
    frames = [i for i in items if isinstance(i, AudioFrame)]
    assert b"".join(f.pcm for f in frames) == read_wav(BEN)
    assert {len(f.pcm) for f in frames[:-1]} == {640}
    assert [f.start for f in frames] == pytest.approx([1.5 + 0.02 * n for n in range(len(frames))])
    assert isinstance(items[-2], EndOfSpeech)
    assert items[-2].at == pytest.approx(1.5 + len(read_wav(BEN)) / 32_000)
    assert items[-1] == SpeakerLeft(1)
    assert source.spoken_seconds(1) == pytest.approx(len(read_wav(BEN)) / 32_000)
    assert source.spoken_seconds(99) == 0.0
    assert (source.speaker(1), source.speaker(99)) == (ADA, Speaker(99))
    assert source.played_seconds == source.spoken_seconds(1)


def starts(items: Sequence[SourceItem]) -> list[float]:
    return [i.start if isinstance(i, AudioFrame) else i.at for i in items if not isinstance(i, SpeakerLeft)]


async def test_speakers_are_merged_in_media_time() -> None:
    source = ReplaySource([(ADA, BEN, 0.0), (BOB, CONVERSATION / "dan_02.wav", 0.51), (ADA, CONVERSATION / "ada_01.wav", 10.0)])
    items = await play(source)
    assert starts(items) == sorted(starts(items))
    assert [i.speaker_id for i in items if isinstance(i, EndOfSpeech)] == [2, 1, 1]
    assert [i.speaker_id for i in items if isinstance(i, SpeakerLeft)] == [2, 1]
    by_speaker = {i: b"".join(f.pcm for f in items if isinstance(f, AudioFrame) and f.speaker_id == i) for i in (1, 2)}
    assert by_speaker[1] == read_wav(BEN) + read_wav(CONVERSATION / "ada_01.wav")
    assert by_speaker[2] == read_wav(CONVERSATION / "dan_02.wav")


async def test_files_of_one_speaker_never_overlap() -> None:
    items = await play(ReplaySource([(ADA, BEN, 0.0), (ADA, CONVERSATION / "ben_03.wav", 1.0), (ADA, CONVERSATION / "ben_04.wav", 0.0)]))
    frames = [i for i in items if isinstance(i, AudioFrame)]
    assert all(a.start + a.seconds <= b.start + 0.0001 for a, b in pairwise(frames))
    assert sum(f.seconds for f in frames) == pytest.approx(sum(len(read_wav(CONVERSATION / f"ben_0{n}.wav")) for n in (2, 3, 4)) / 32_000)


async def test_files_are_opened_only_when_their_time_comes() -> None:
    source = ReplaySource([(Speaker(n), BEN, n * 100.0) for n in range(50)])
    opened = len(os.listdir("/proc/self/fd"))
    most = 0
    async for item in source.frames():
        if isinstance(item, SpeakerLeft):
            most = max(most, len(os.listdir("/proc/self/fd")) - opened)
    assert most <= 2
    assert len(os.listdir("/proc/self/fd")) == opened


async def test_the_consumer_sets_the_pace() -> None:
    """What is decoded ahead is bounded, however slow the consumer is."""
    source = ReplaySource([(ADA, BEN, 0.0)])
    items = source.frames()
    first = await anext(items)
    await asyncio.sleep(0.05)
    assert isinstance(first, AudioFrame)
    assert source.played_seconds == pytest.approx(0.02)
    await source.aclose()
    assert [i async for i in items] == []


async def test_closing_ends_it_at_any_time() -> None:
    source = ReplaySource([(ADA, BEN, 0.0)])
    items = []
    async for item in source.frames():
        items.append(item)
        if len(items) == 10:
            await source.aclose()
            await source.aclose()
    assert len(items) == 10
    never = ReplaySource([(ADA, BEN, 0.0)])
    await never.aclose()
    assert await play(never) == []


async def test_realtime_waits_and_can_be_stopped_while_it_waits() -> None:
    now = 100.0
    source = ReplaySource([(ADA, BEN, 0.0), (BOB, BEN, 3600.0)], realtime=True, clock=lambda: now)
    waiting = asyncio.create_task(play(source))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert source.played_seconds < 0.5
    await source.aclose()
    assert len(await waiting) < 25


async def test_a_broken_file_ends_alone(tmp_path: Path) -> None:
    good = encode(tmp_path / "ben.mp3", read_wav(BEN))
    data = bytearray(good.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 5_000] = bytes(5_000)
    (tmp_path / "bad.mp3").write_bytes(data)
    source = ReplaySource([(ADA, tmp_path / "bad.mp3", 0.0), (BOB, BEN, 0.0), (Speaker(3), tmp_path / "missing.wav", 0.0)])
    items = await play(source)
    assert sorted(str(tmp_path / n) in str(p) for p in source.problems for n in ("bad.mp3", "missing.wav")) == [False, False, True, True]
    assert 1.0 < source.spoken_seconds(1) < 2.2
    assert source.spoken_seconds(2) == pytest.approx(len(read_wav(BEN)) / 32_000)
    assert sorted(i.speaker_id for i in items if isinstance(i, EndOfSpeech)) == [1, 2]
    assert sorted(i.speaker_id for i in items if isinstance(i, SpeakerLeft)) == [1, 2, 3]


def test_a_folder_with_an_index_is_a_conversation() -> None:
    recordings = find_recordings([CONVERSATION])
    assert [(r.path, r.speaker.name, r.offset) for r in recordings] == [(line.file, line.speaker, line.start) for line in conversation()]
    assert {r.speaker.id: r.speaker.name for r in recordings} == {1: "ada", 2: "ben", 3: "cleo", 4: "dan"}


def test_a_folder_without_an_index_is_its_audio_files() -> None:
    recordings = find_recordings([SPEECH / "voices"])
    assert [r.path.name for r in recordings] == [f"sample_{n:02d}.wav" for n in range(1, 13)]
    assert [r.speaker.name for r in recordings] == [f"sample_{n:02d}" for n in range(1, 13)]
    assert {r.offset for r in recordings} == {0.0}


def test_speakers_may_be_named() -> None:
    recordings = find_recordings(
        [BEN, SPEECH / "voices" / ".." / "conversation" / "ben_02.wav"], [("Zoë", BEN), ("x\x1b[2J\n", BEN), ("Zoë", BEN)]
    )
    assert [(r.speaker.id, r.speaker.name) for r in recordings] == [(1, "ben_02"), (2, "ben_02 (2)"), (3, "Zoë"), (4, "x[2J"), (3, "Zoë")]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("file\tspeaker\nben.wav\tben\n", "column start_seconds is missing"),
        ("", "column file is missing"),
        ("file\tspeaker\tstart_seconds\n", "names no files"),
        ("file\tspeaker\tstart_seconds\nben.wav\tben\tsoon\n", "line 2: start_seconds must be a number"),
        ("file\tspeaker\tstart_seconds\nben.wav\tben\t-1\n", "line 2: start_seconds"),
        ("file\tspeaker\tstart_seconds\nben.wav\tben\tinf\n", "line 2: start_seconds"),
        ("file\tspeaker\tstart_seconds\nben.wav\t\t1\n", "line 2: speaker is empty"),
        ("file\tspeaker\tstart_seconds\n../../secret.wav\tben\t1\n", "line 2: file must be the name"),
        ("file\tspeaker\tstart_seconds\nben.wav\n", "line 2: speaker is empty"),
    ],
)
def test_an_unusable_index_is_refused(tmp_path: Path, index: str, message: str) -> None:
    (tmp_path / "conversation.tsv").write_text(index, encoding="utf-8")
    with pytest.raises(UndecodableAudio) as caught:
        find_recordings([tmp_path])
    assert message in str(caught.value)
    assert str(tmp_path / "conversation.tsv") in str(caught.value)


def test_an_index_that_is_no_text_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UndecodableAudio, match="holds no audio files"):
        find_recordings([tmp_path])
    (tmp_path / "conversation.tsv").write_bytes(b"file\tspeaker\tstart_seconds\n\xff\xfe\n")
    with pytest.raises(UndecodableAudio, match="cannot be read as tab-separated text"):
        find_recordings([tmp_path])


def test_a_recording_starts_at_once_by_default() -> None:
    assert Recording(ADA, BEN) == (ADA, BEN, 0.0)
