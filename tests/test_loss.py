"""The voice gate on what a lossy network leaves of speech and noise: real Opus, the real receiver, real Vosk."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from bench.vad import noises
from bot.speech.vosk import VoskTranscriber
from moderation.models import AudioFrame, EndOfSpeech
from moderation.vad import VoiceGate
from tests.loss import errors, evening, received
from tests.scenario import MODEL

pytestmark = pytest.mark.integration

SETTLED = 7.0
"""Seconds after which a gate knows its noise floor: three frames in ten teach it nothing."""


@pytest.fixture
async def transcriber() -> AsyncIterator[VoskTranscriber]:
    transcriber = VoskTranscriber.load(MODEL, threads=1)
    yield transcriber
    await transcriber.aclose()


@pytest.mark.parametrize(("loss", "seed", "most"), [(0.02, 1, 0.05), (0.1, 2, 0.1)])
async def test_the_gate_costs_no_word_under_loss(transcriber: VoskTranscriber, loss: float, seed: int, most: float) -> None:
    items = evening(loss, seed)
    assert any(isinstance(item, AudioFrame) and item.concealed for item in items)
    gated, words = await errors(transcriber, items, VoiceGate)
    ungated, _ = await errors(transcriber, items, None)
    assert gated <= ungated
    assert gated / words <= most


@pytest.mark.parametrize("kind", ["white", "pink", "hum"])
def test_steady_noise_stays_out_under_loss(kind: str) -> None:
    noise = noises(12)[kind] * 32768 * 10 ** (-45 / 20)
    gate, on = VoiceGate(), []
    for item in received(1, [noise.astype(np.int16).tobytes()], loss=0.1, seed=1):
        assert isinstance(item, AudioFrame | EndOfSpeech)
        on += [each for each in gate.take(item).on if isinstance(each, AudioFrame) and each.start > SETTLED]
    assert on == []
