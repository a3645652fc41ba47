"""Files that hold more audio than anybody wants, or say that they do."""

import io
from fractions import Fraction

import av
import pytest

from bot.sources.files import decode
from moderation.errors import UndecodableAudio
from tests.fakes_speech import wav

pytestmark = pytest.mark.integration

MINUTE = 32_000 * 60


def gapped(hours: float) -> bytes:
    """A second of audio, then hours of nothing, then a second more: a kilobyte of WebM as recorders write it."""
    out = io.BytesIO()
    with av.open(out, "w", format="webm", options={"live": "1"}) as target:
        stream = target.add_stream("libopus", rate=48_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        for n in range(100):
            frame = av.AudioFrame(format="s16", layout="mono", samples=960)
            frame.planes[0].update(bytes(1920))
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = 960 * n + (round(hours * 3600 * 48_000) if n >= 50 else 0)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


def test_hours_of_silence_from_a_few_bytes_end_at_the_limit() -> None:
    data = gapped(5)
    assert len(data) < 2000
    heard: list[bytes] = []
    with pytest.raises(UndecodableAudio, match="The file: holds more than 1 minutes of audio; send it in parts"):
        heard.extend(decode(io.BytesIO(data), "The file", max_seconds=60))
    assert sum(map(len, heard)) <= MINUTE


def test_without_a_limit_the_gap_stays() -> None:
    assert sum(map(len, decode(io.BytesIO(gapped(0.05))))) > 3 * MINUTE


def test_what_its_header_promises_is_refused_at_once() -> None:
    with pytest.raises(UndecodableAudio, match="more than 1 minutes"):
        next(decode(io.BytesIO(wav(bytes(MINUTE + 32_000))), max_seconds=60))


def test_what_fits_is_decoded_whole() -> None:
    assert len(b"".join(decode(io.BytesIO(wav(bytes(MINUTE))), max_seconds=60))) == MINUTE
