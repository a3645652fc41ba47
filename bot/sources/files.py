"""Recorded audio of any format as 16 kHz mono samples, piece by piece, with FFmpeg (PyAV)."""

import contextlib
from collections.abc import Generator, Iterator
from math import inf
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from bot.sources.wav import promised_seconds
from moderation.errors import UndecodableAudio
from moderation.models import BYTES_PER_SECOND, SAMPLE_RATE, SAMPLE_WIDTH

MAX_SILENCE_SECONDS = 24 * 3600.0
"""Silence that gaps in one file's timestamps may be filled with: a recording of a call has no more, a hostile file might."""

_GAP_SECONDS = 0.1
"""A jump in timestamps that is a gap in the recording, not the resampler's delay or rounding."""
_SHORT_SECONDS = 0.5
"""How much shorter than its header says a file may be without being truncated."""
_EXACT_DURATION = ("flac", "ogg", "matroska", "mov")
"""Formats whose headers know the duration; others estimate it."""
_AUDIO_TYPES = ("wav", "ogg", "oga", "opus", "mp3", "flac", "m4a", "mp4", "aac", "webm", "mka", "mkv", "wma", "aif", "aiff", "amr", "mov")


def is_audio_name(path: Path) -> bool:
    """Whether a file's name ends like those of audio files; for picking files from a folder."""
    return path.suffix.lower().lstrip(".") in _AUDIO_TYPES and not path.name.startswith(".")


def decode(source: Path | BinaryIO, name: str = "", *, max_seconds: float = inf) -> Generator[bytes, None, None]:
    """Decode the first audio stream to signed 16-bit little-endian samples, 16 kHz, mono. Memory stays bounded.

    Gaps in the file's timestamps (recorders leave silence out) become silence, so that positions are media seconds.

    Args:
        source: a file's path, or an open binary file that can be read and sought.
        name: what to call it in errors; the path by default.
        max_seconds: of audio and of silence in its gaps; what has more is refused, if its header says so at once.

    Yields:
        Pieces of any length, whole samples each.

    Raises:
        UndecodableAudio: names the file and says what is wrong. Where it breaks in the middle, what came before has been yielded.
    """
    if isinstance(source, Path):
        with _opened(source) as file:
            yield from _Decoding(name or str(source), max_seconds).run(file)
    else:
        yield from _Decoding(name or "audio", max_seconds).run(source)


def probe(path: Path) -> float | None:
    """Seconds of audio that a file's header promises, None where it does not say.

    Raises:
        UndecodableAudio: not even its beginning can be decoded; names the file and says what is wrong.
    """
    with _opened(path) as file:
        return _Decoding(str(path)).probe(file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    _check_path(path, str(path))
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UndecodableAudio(f"{path}: cannot be read: {error.strerror or type(error).__name__}.") from error


def _check_path(path: Path, label: str) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UndecodableAudio(f"{label}: there is no such file.") from None
    except (OSError, ValueError) as error:
        raise UndecodableAudio(f"{label}: cannot be read: {getattr(error, 'strerror', None) or 'bad path'}.") from error
    if path.is_dir():
        raise UndecodableAudio(f"{label}: is a folder, not an audio file.")
    if not path.is_file():
        raise UndecodableAudio(f"{label}: is not a regular file.")
    if status.st_size == 0:
        raise UndecodableAudio(f"{label}: is empty.")


class _Decoding:
    """One pass through one file."""

    def __init__(self, label: str, max_seconds: float = inf) -> None:
        self._label = label
        self._max = max_seconds
        self._resampler: AudioResampler | None = None
        self._parameters: tuple[str, str, int] | None = None
        self._origin: float | None = None
        self._bytes = 0
        self._silence_left = MAX_SILENCE_SECONDS

    @property
    def _seconds(self) -> float:
        return self._bytes / BYTES_PER_SECOND

    def run(self, file: BinaryIO) -> Iterator[bytes]:
        wav_seconds = promised_seconds(file)
        with self._open(file) as container:
            stream = self._stream(container)
            expected = wav_seconds or _duration(container, stream)
            self._check_length(expected or 0.0)
            try:
                for frame in container.decode(stream):
                    yield from self._limited(self._frame(frame))
            except FFmpegError as error:
                yield from self._flush()
                raise self._broken(error) from error
            yield from self._flush()
            self._check_end(expected)

    def probe(self, file: BinaryIO) -> float | None:
        with self._open(file) as container:
            stream = self._stream(container)
            try:
                next(container.decode(stream))
            except (FFmpegError, StopIteration) as error:
                raise UndecodableAudio(f"{self._label}: holds no audio that can be decoded.") from error
            if stream.duration is not None and stream.time_base is not None:
                return float(stream.duration * stream.time_base)
            return container.duration / av.time_base if container.duration is not None else None

    def _open(self, file: BinaryIO) -> InputContainer:
        # Playlists (concat, HLS) must not make FFmpeg open other files or addresses: no protocol is allowed beside the file at hand.
        try:
            return av.open(file, mode="r", metadata_errors="replace", options={"protocol_whitelist": "none"})
        except (FFmpegError, ValueError) as error:
            raise UndecodableAudio(f"{self._label}: is no audio file that can be decoded, or its beginning is damaged.") from error

    def _stream(self, container: InputContainer) -> AudioStream:
        if not container.streams.audio:
            raise UndecodableAudio(f"{self._label}: holds no audio stream.")
        return container.streams.audio[0]

    def _frame(self, frame: AudioFrame) -> Iterator[bytes]:
        parameters = (frame.format.name, frame.layout.name, frame.sample_rate)
        if parameters != self._parameters:  # the first frame, or a stream that changes on its way
            yield from self._flush()
            self._parameters = parameters
            self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        yield from self._fill(frame)
        if self._resampler is not None:
            frame.pts = None  # gaps are filled here; the resampler need not know
            yield from self._pieces(self._resampler.resample(frame))

    def _fill(self, frame: AudioFrame) -> Iterator[bytes]:
        time = frame.time
        if time is None:
            return
        if self._origin is None:
            self._origin = time - self._seconds
        gap = time - self._origin - self._seconds
        if not _GAP_SECONDS < gap <= self._silence_left:
            if abs(gap) > _GAP_SECONDS:
                self._origin = time - self._seconds
            return
        self._silence_left -= gap
        left = int(gap * SAMPLE_RATE) * SAMPLE_WIDTH
        while left:
            size = min(left, BYTES_PER_SECOND)
            left -= size
            self._bytes += size
            yield bytes(size)

    def _limited(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for pcm in pieces:
            self._check_length(self._seconds)
            yield pcm

    def _check_length(self, seconds: float) -> None:
        if seconds > self._max:
            raise UndecodableAudio(f"{self._label}: holds more than {self._max / 60:.0f} minutes of audio; send it in parts.")

    def _flush(self) -> Iterator[bytes]:
        resampler, self._resampler = self._resampler, None
        if resampler is not None:
            with contextlib.suppress(FFmpegError):
                yield from self._pieces(resampler.resample(None))

    def _pieces(self, frames: list[AudioFrame]) -> Iterator[bytes]:
        for frame in frames:
            pcm = bytes(frame.planes[0])[: frame.samples * SAMPLE_WIDTH]
            self._bytes += len(pcm)
            yield pcm

    def _check_end(self, expected: float | None) -> None:
        if not self._bytes:
            raise UndecodableAudio(f"{self._label}: holds no audio that can be decoded.")
        if expected is not None and self._seconds < expected - _SHORT_SECONDS:
            raise UndecodableAudio(
                f"{self._label}: breaks off at {self._seconds:.1f} s of {expected:.1f} s: truncated or damaged. Up to there it was read."
            )

    def _broken(self, error: FFmpegError) -> UndecodableAudio:
        if not self._bytes:
            return UndecodableAudio(f"{self._label}: holds no audio that can be decoded ({error.strerror}).")
        return UndecodableAudio(f"{self._label}: damaged at {self._seconds:.1f} s ({error.strerror}). Up to there it was read.")


def _duration(container: InputContainer, stream: AudioStream) -> float | None:
    """Seconds of audio that the header promises, None where it does not know."""
    if not container.format.name.startswith(_EXACT_DURATION):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None
