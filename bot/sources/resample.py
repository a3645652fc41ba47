"""Samples of any usual rate to the core's 16 kHz, as they come (FFmpeg's resampler, by PyAV)."""

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from moderation.errors import InvalidInput
from moderation.models import SAMPLE_RATE, SAMPLE_WIDTH

MIN_RATE, MAX_RATE = 8_000, 48_000
"""Hz."""


class Resampler:
    """For one stream of signed 16-bit little-endian mono samples."""

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate`: Hz. Raises `InvalidInput` outside 8,000 to 48,000."""
        if not MIN_RATE <= sample_rate <= MAX_RATE:
            raise InvalidInput(f"sample_rate must be from {MIN_RATE} to {MAX_RATE} Hz.")
        self._rate = sample_rate
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def __call__(self, pcm: bytes) -> bytes:
        """The same at 16 kHz; a few samples stay inside. Raises `InvalidInput` for half a sample."""
        if len(pcm) % SAMPLE_WIDTH:
            raise InvalidInput("The audio ends in half a sample; send whole 16-bit samples. This piece is left out.")
        if self._rate == SAMPLE_RATE or not pcm:
            return pcm
        frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // SAMPLE_WIDTH)
        frame.sample_rate = self._rate
        frame.planes[0].update(pcm)
        return _bytes(self._resampler.resample(frame))

    def flush(self) -> bytes:
        """What is still inside; the stream is over."""
        return b"" if self._rate == SAMPLE_RATE else _bytes(self._resampler.resample(None))


def _bytes(frames: list[AudioFrame]) -> bytes:
    return b"".join(bytes(f.planes[0])[: f.samples * SAMPLE_WIDTH] for f in frames)
