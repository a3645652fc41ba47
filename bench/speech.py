"""Speech recognition: our transcriber beside bare libvosk on the same audio, and beside one recogniser per utterance.

All with the bundled model and one decoding thread, on the same two minutes of speech, right after each other in one process; the best
of several rounds, so that a busy machine disturbs less.
"""

import asyncio
import json
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import vosk

from bench.rows import Row
from bot.speech.vosk import VoskTranscriber
from moderation.models import BYTES_PER_SECOND, SAMPLE_RATE

SPEECH = Path(__file__).parents[1] / "tests" / "speech"
MODEL = SPEECH / "vosk-model-tiny-en"
FRAME = 640
"""Bytes of a Discord frame: 20 ms."""
CHUNK = 5_120
"""Bytes that our recogniser gathers before it decodes: 160 ms."""
ROUNDS = 3
REPEATS = 3
"""How often the conversation's 42 s are heard in a round."""
UTTERANCES_FOR_MEMORY = 200


def run() -> list[Row]:
    """Measure; about half a minute."""
    utterances = _utterances() * REPEATS
    seconds = sum(map(len, utterances)) / BYTES_PER_SECOND
    vosk.SetLogLevel(-1)
    model = vosk.Model(str(MODEL))
    peers: dict[str, Callable[[], None]] = {
        "bare KaldiRecognizer, 160 ms a call": lambda: _bare(model, utterances, CHUNK),
        "bare KaldiRecognizer, 20 ms a call": lambda: _bare(model, utterances, FRAME),
        "a KaldiRecognizer per utterance, 20 ms a call": lambda: _bare(model, utterances, FRAME, fresh=True),
    }
    ours = _best(lambda: asyncio.run(_ours(model, utterances))) * 1000 / seconds
    rows = []
    for name, work in peers.items():
        peer = _best(work) * 1000 / seconds
        rows.append(Row("work for each second of audio", ours, "ms", f"{name}: {peer:.2f} ms", ours / peer))
    return [*rows, _memory()]


def _utterances() -> list[bytes]:
    pcm = []
    for path in sorted((SPEECH / "conversation").glob("*.wav")):
        with wave.open(str(path)) as file:
            pcm.append(bytes(file.readframes(file.getnframes())))
    return pcm


def _best(work: Callable[[], None]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


async def _ours(model: vosk.Model, utterances: list[bytes]) -> None:
    transcriber = VoskTranscriber(model, threads=1)
    recognizer = await transcriber.open()
    for pcm in utterances:
        for at in range(0, len(pcm), FRAME):
            await recognizer.accept(pcm[at : at + FRAME])
        await recognizer.finish()
    await recognizer.aclose()
    await transcriber.aclose()


def _bare(model: vosk.Model, utterances: list[bytes], size: int, *, fresh: bool = False) -> None:
    """What libvosk's own examples do: feed, ask for the partial or the result, parse it."""
    recognizer = vosk.KaldiRecognizer(model, SAMPLE_RATE)
    recognizer.SetWords(True)
    for pcm in utterances:
        if fresh:
            recognizer = vosk.KaldiRecognizer(model, SAMPLE_RATE)
            recognizer.SetWords(True)
        for at in range(0, len(pcm), size):
            ended = recognizer.AcceptWaveform(pcm[at : at + size])
            json.loads(recognizer.Result() if ended else recognizer.PartialResult())
        json.loads(recognizer.FinalResult())


_MEMORY = f"""
import asyncio, sys, vosk
from bench.speech import MODEL, _bare, _ours, _utterances

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

utterances = _utterances()
vosk.SetLogLevel(-1)
model = vosk.Model(str(MODEL))
many = (utterances * {UTTERANCES_FOR_MEMORY})[:{UTTERANCES_FOR_MEMORY}]
before = resident()
if sys.argv[1] == "ours":
    asyncio.run(_ours(model, many))
else:
    _bare(model, many, {CHUNK}, fresh=True)
print(resident() - before)
"""


def _memory() -> Row:
    """Resident memory gained over many utterances, each way in a process of its own."""

    def gained(way: str) -> float:
        done = subprocess.run([sys.executable, "-c", _MEMORY, way], capture_output=True, text=True, check=True, cwd=MODEL.parents[2])  # noqa: S603
        return float(done.stdout)

    ours, peer = gained("ours"), gained("peer")
    name = f"memory kept after {UTTERANCES_FOR_MEMORY} utterances"
    return Row(name, ours, "MB", f"a KaldiRecognizer per utterance: {peer:.1f} MB", ours / peer)


if __name__ == "__main__":
    for row in run():
        print(row)
