"""The bundled speech, as tests need it."""

import csv
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moderation.models import FRAME_SECONDS, SAMPLE_RATE, SAMPLE_WIDTH

SPEECH = Path(__file__).parents[2] / "speech"
CONVERSATION = SPEECH / "conversation"
MODEL = SPEECH / "vosk-model-tiny-en"
FRAME_BYTES = int(FRAME_SECONDS * SAMPLE_RATE) * SAMPLE_WIDTH


@dataclass(frozen=True)
class Line:
    file: Path
    speaker: str
    start: float
    text: str

    @property
    def pcm(self) -> bytes:
        return read_wav(self.file)


def conversation() -> list[Line]:
    with (CONVERSATION / "conversation.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [Line(CONVERSATION / r["file"], r["speaker"], float(r["start_seconds"]), r["transcript"]) for r in rows]


def samples() -> list[Line]:
    with (SPEECH / "voices" / "samples.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [Line(SPEECH / "voices" / r["file"], r["file"], 0.0, r["transcript"]) for r in rows]


def read_wav(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return bytes(file.readframes(file.getnframes()))


def frames(pcm: bytes, size: int = FRAME_BYTES) -> Iterator[bytes]:
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * SAMPLE_RATE) * SAMPLE_WIDTH)
