"""Speech as Opus packets, and back, with PyAV's libopus."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bot.ogg import RATE, OpusPacket

VOICES = Path(__file__).parents[1] / "speech" / "voices"
Samples = NDArray[np.float32]


def speech(name: str = "sample_01.wav", *, channels: int = 2) -> Samples:
    """A voice at 48 kHz, shape (channels, samples); the channels differ in loudness."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    with av.open(str(VOICES / name)) as container:
        frames = [f for frame in (*container.decode(audio=0), None) for f in resampler.resample(frame)]
    mono = np.concatenate([f.to_ndarray() for f in frames], axis=1)
    return np.concatenate([mono, 0.5 * mono])[:channels]


def encode(samples: Samples, *, seconds: float = 0.02, bit_rate: int = 64_000) -> list[bytes]:
    """Packets of that duration."""
    layout = "stereo" if len(samples) == 2 else "mono"
    options = {"frame_duration": f"{seconds * 1000:g}"}
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = RATE, layout, av.AudioFormat("flt")
    encoder.bit_rate, encoder.options, encoder.time_base = bit_rate, options, Fraction(1, RATE)
    size = round(seconds * RATE)
    packets = []
    for at in range(0, samples.shape[1] - size + 1, size):
        frame = av.AudioFrame.from_ndarray(samples[:, at : at + size].T.reshape(1, -1).copy(), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        packets += [bytes(p) for p in encoder.encode(frame)]
    return packets


def timed(packets: list[bytes], start: float = 0.0, *, seconds: float = 0.02) -> list[OpusPacket]:
    return [OpusPacket(start + n * seconds, p) for n, p in enumerate(packets)]


def decode_packets(packets: list[bytes], *, channels: int = 2) -> Samples:
    """What a decoder makes of the packets alone, shape (channels, samples)."""
    decoder = av.CodecContext.create("opus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = b"OpusHead\x01" + bytes([channels]) + b"\x00\x00\x80\xbb\x00\x00\x00\x00\x00"
    return np.concatenate([f.to_ndarray() for p in packets for f in decoder.decode(av.Packet(p))], axis=1)


def decode_file(data: bytes) -> Samples:
    """What a player makes of the file, shape (channels, samples)."""
    with av.open(io.BytesIO(data), "r") as container:
        (stream,) = container.streams.audio
        assert (container.format.name, stream.codec_context.name, stream.codec_context.sample_rate) == ("ogg", "opus", RATE)
        return np.concatenate([f.to_ndarray() for f in container.decode(stream)], axis=1)
