"""A recorded voice in every format that FFmpeg writes."""

import io
from pathlib import Path

import av

VOICE = Path("tests/speech/conversation/ada_01.wav")


def encoded(container: str, codec: str, rate: int, **options: str) -> bytes:
    """The voice in that format."""
    out = io.BytesIO()
    with av.open(str(VOICE)) as source, av.open(out, "w", format=container, options=options) as target:
        stream = target.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        size = {"libopus": rate // 50, "libmp3lame": 1152, "mp2": 1152, "aac": 1024}.get(codec, 1024)
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=size)
        for frame in source.decode(audio=0):
            for each in resampler.resample(frame):
                target.mux(stream.encode(each))
        for each in resampler.resample(None):
            target.mux(stream.encode(each))
        target.mux(stream.encode(None))
    return out.getvalue()
