"""Speech as Opus packets: 48 kHz, mono, 20 ms, encoded once per clip."""

import hashlib
import io
import wave
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from tests.loopback.voice.rtp import SAMPLES_PER_FRAME

RATE = 48_000
CACHED_CLIPS = 256
NOISE_FLOOR = 3
"""Peak of the added noise in 16-bit steps (-81 dBFS): microphones never give the digital silence that Opus codes as `F8 FF FE`."""

Audio = Path | str | bytes
"""A file PyAV decodes, or raw PCM: 16 kHz, 16-bit, mono."""

_cache: OrderedDict[tuple[str, int], tuple[bytes, ...]] = OrderedDict()


def opus_packets(audio: Audio, bitrate: int = 64_000) -> tuple[bytes, ...]:
    """Opus packets of 20 ms each; `bitrate` in bit/s. Cached by content; the oldest clip is dropped beyond `CACHED_CLIPS`."""
    data = audio if isinstance(audio, bytes) else Path(audio).read_bytes()
    key = (hashlib.sha256(data).hexdigest(), bitrate)
    if key not in _cache:
        _cache[key] = tuple(_encode(_wav(data) if isinstance(audio, bytes) else data, bitrate))
        if len(_cache) > CACHED_CLIPS:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key]


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(pcm)
    return file.getvalue()


def _frames(data: bytes) -> Iterator[AudioFrame]:
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(audio=0):
            yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _encode(data: bytes, bitrate: int) -> Iterator[bytes]:
    pieces = [frame.to_ndarray().reshape(-1) for frame in _frames(data)]
    samples = np.concatenate(pieces).astype(np.int32) if pieces else np.zeros(0, np.int32)
    samples = np.pad(samples, (0, -len(samples) % SAMPLES_PER_FRAME))
    samples += np.random.default_rng(len(samples)).integers(-NOISE_FLOOR, NOISE_FLOOR + 1, len(samples), dtype=np.int32)
    pcm = np.clip(samples, -32768, 32767).astype(np.int16)
    encoder = AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = RATE, "mono", "s16", bitrate
    encoder.options = {"application": "voip", "frame_duration": "20"}
    for at in range(0, len(pcm), SAMPLES_PER_FRAME):
        frame = AudioFrame.from_ndarray(pcm[None, at : at + SAMPLES_PER_FRAME], format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = at
        yield from map(bytes, encoder.encode(frame))
    yield from map(bytes, encoder.encode(None))
