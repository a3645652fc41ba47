"""The voice gate: what it saves on an open microphone, and what it costs in words, beside the same recogniser without it.

Noise: steady (white, pink, mains hum) and keys being hit, at several levels; speech: the bundled voices, clean and with noise mixed
under them, a second of that noise around every sentence. Gated and ungated run one after another in one process.
"""

import asyncio
import csv
import time
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row
from bot.speech.vosk import VoskTranscriber
from moderation.models import BYTES_PER_SECOND, FRAME_SECONDS, SAMPLE_RATE, AudioFrame, EndOfSpeech
from moderation.vad import VoiceGate
from tests.wer import wer

SPEECH = Path(__file__).parents[1] / "tests" / "speech"
MODEL = SPEECH / "vosk-model-tiny-en"
FRAME = int(FRAME_SECONDS * BYTES_PER_SECOND)
NOISE_SECONDS = 60
AROUND_SECONDS = 1.5
LEVELS = (-60, -45, -30)
"""dBFS of the noises."""
Signal = NDArray[np.float64]


def noises(seconds: float, seed: int = 1) -> dict[str, Signal]:
    """Kind → noise of RMS 1."""
    random, n = np.random.default_rng(seed), int(seconds * SAMPLE_RATE)
    white = random.standard_normal(n)
    spectrum = np.fft.rfft(random.standard_normal(n))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n)
    t = np.arange(n) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 8)) + 0.05 * white
    keys = 0.02 * random.standard_normal(n)
    for at in (random.random(int(seconds * 6)) * (n - 400)).astype(int):
        keys[at : at + 400] += random.standard_normal(400) * np.exp(-np.arange(400) / 60)
    return {name: each / np.sqrt(np.mean(each**2)) for name, each in (("white", white), ("pink", pink), ("hum", hum), ("keys", keys))}


def utterances() -> list[tuple[Signal, str]]:
    """Every bundled recording and what is said in it."""
    found = []
    for folder, name in (("voices", "samples.tsv"), ("conversation", "conversation.tsv")):
        with (SPEECH / folder / name).open(encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                with wave.open(str(SPEECH / folder / row["file"])) as sound:
                    samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(np.float64)
                found.append((samples, row["transcript"]))
    return found


def mixed(speech: Signal, noise: Signal, snr: float) -> Signal:
    """Speech in noise that is `snr` dB below it and surrounds it. `noise`: RMS 1."""
    around = int(AROUND_SECONDS * SAMPLE_RATE)
    level = float(np.sqrt(np.mean(speech**2))) / 10 ** (snr / 20)
    padded: Signal = np.pad(speech, around)
    padded += level * noise[: len(padded)]
    return padded


def run() -> list[Row]:
    """Measure; about a minute."""
    transcriber = VoskTranscriber.load(MODEL, threads=1)
    rows = [*_savings(transcriber), *_words(transcriber)]
    asyncio.run(transcriber.aclose())
    return rows


def _savings(transcriber: VoskTranscriber) -> list[Row]:
    rows = []
    for name, noise in noises(NOISE_SECONDS).items():
        for level in LEVELS:
            pcm = [noise * 32768 * 10 ** (level / 20)]
            ours, _ = asyncio.run(_hear(transcriber, pcm, gated=True))
            peer, _ = asyncio.run(_hear(transcriber, pcm, gated=False))
            figures = ours / NOISE_SECONDS * 1000, peer / NOISE_SECONDS * 1000
            rows.append(Row(f"CPU a second of {name} at {level} dBFS", figures[0], "ms", f"no gate: {figures[1]:.2f} ms", ours / peer))
    return rows


def _words(transcriber: VoskTranscriber) -> list[Row]:
    rows = []
    said = utterances()
    texts = [text for _, text in said]
    cases = {"clean": [speech for speech, _ in said]}
    for name, noise in noises(20).items():
        for snr in (20, 10, 0):
            cases[f"{name} {snr} dB below"] = [mixed(speech, noise, snr) for speech, _ in said]
    for name, sounds in cases.items():
        _, ours = asyncio.run(_hear(transcriber, sounds, gated=True))
        _, peer = asyncio.run(_hear(transcriber, sounds, gated=False))
        with_gate, without = 100 * wer(texts, ours), 100 * wer(texts, peer)
        rows.append(Row(f"word error rate, {name}", with_gate, "%", f"no gate: {without:.2f} %", with_gate / without if without else None))
    return rows


async def _hear(transcriber: VoskTranscriber, sounds: Sequence[Signal], *, gated: bool) -> tuple[float, list[str]]:
    """(CPU seconds, what was heard in each): one speaker, the sounds one after another with pauses in between."""
    recognizer, gate, started, heard, at = await transcriber.open(), VoiceGate(), time.process_time(), [], 0.0
    for sound in sounds:
        words = []
        pcm = np.clip(sound, -32768, 32767).astype(np.int16).tobytes()
        items: list[AudioFrame | EndOfSpeech] = [
            AudioFrame(1, at + n / BYTES_PER_SECOND, pcm[n : n + FRAME]) for n in range(0, len(pcm) - FRAME + 1, FRAME)
        ]
        at += len(pcm) / BYTES_PER_SECOND + 1.0
        for item in (*items, EndOfSpeech(1, at - 1.0)):
            for fed in gate.take(item).on if gated else (item,):
                said = await (recognizer.accept(fed.pcm) if isinstance(fed, AudioFrame) else recognizer.finish())
                if said is not None and said.final:
                    words.append(said.text)
        heard.append(" ".join(words))
    spent = time.process_time() - started
    await recognizer.aclose()
    return spent, heard


if __name__ == "__main__":
    for row in run():
        print(row)
