"""The voice gate: noise stays out, words come through whole, nothing comes out twice or never."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.vad import FRAME, mixed, noises, utterances
from moderation.models import BYTES_PER_SECOND, FRAME_SECONDS, SAMPLE_RATE, AudioFrame, EndOfSpeech
from moderation.pipeline import Pipeline
from moderation.settings import GuildSettings
from moderation.vad import HANG_OVER_FRAMES, PRE_ROLL_FRAMES, VoiceGate
from tests.fakes import FakeSink, FakeSource, FakeTranscriber
from tests.moderation.test_pipeline import SESSION

pytestmark = pytest.mark.unit

SETTLED = 4.0
"""Seconds after which a gate knows its noise floor."""
NOISES = noises(20)
SAID = utterances()


def frames(sound: np.ndarray[tuple[int, ...], np.dtype[np.float64]], start: float = 0.0) -> list[AudioFrame]:
    pcm = np.clip(sound, -32768, 32767).astype(np.int16).tobytes()
    return [AudioFrame(1, start + n / BYTES_PER_SECOND, pcm[n : n + FRAME]) for n in range(0, len(pcm) - FRAME + 1, FRAME)]


def passed_on(gate: VoiceGate, sound: list[AudioFrame]) -> list[AudioFrame]:
    return [each for frame in sound for each in gate.take(frame).on if isinstance(each, AudioFrame)]


@pytest.mark.parametrize("level", [-70, -50, -30, -15])
@pytest.mark.parametrize("kind", ["white", "pink", "hum"])
def test_steady_noise_is_decoded_for_a_moment_only(kind: str, level: int) -> None:
    on = passed_on(VoiceGate(), frames(NOISES[kind] * 32768 * 10 ** (level / 20)))
    assert [f for f in on if f.start > SETTLED] == []


def test_most_of_what_keys_make_is_not_decoded() -> None:
    on = passed_on(VoiceGate(), frames(NOISES["keys"] * 1000))
    assert len([f for f in on if f.start > SETTLED]) < 0.2 * (20 - SETTLED) * 50


def test_what_a_decoder_made_up_is_no_noise_floor() -> None:
    """Lost frames are concealed by sound that fades, and the frame after them is louder or softer than it was."""
    noise = frames(NOISES["white"] * 300)
    for n in range(0, len(noise) - 1, 10):
        noise[n] = replace(noise[n], pcm=bytes(FRAME), concealed=True)
        after = np.frombuffer(noise[n + 1].pcm, np.int16) // 8
        noise[n + 1] = replace(noise[n + 1], pcm=after.tobytes())
    assert [f for f in passed_on(VoiceGate(), noise) if f.start > 1.5 * SETTLED] == []


def test_concealed_frames_neither_open_the_gate_nor_close_it() -> None:
    gate, noise = VoiceGate(), frames(NOISES["white"] * 300)[: 5 * 50]
    assert passed_on(gate, noise)[-1].start < SETTLED
    loud = [replace(frame, concealed=True) for frame in frames(SAID[0][0], start=5.0)]
    assert passed_on(gate, loud) == []
    speech = frames(SAID[1][0], start=10.0)
    assert passed_on(gate, speech)[-1] == speech[-1]
    fading = [AudioFrame(1, 20.0 + n * FRAME_SECONDS, bytes(FRAME), concealed=True) for n in range(2 * HANG_OVER_FRAMES)]
    assert passed_on(gate, fading) == fading
    assert gate.open


def test_digital_silence_costs_nothing() -> None:
    assert passed_on(VoiceGate(), frames(np.zeros(SAMPLE_RATE * 5))) == []


@pytest.mark.parametrize("snr", [None, 10, 0])
@pytest.mark.parametrize("kind", ["white", "pink", "hum", "keys"])
def test_of_speech_nothing_that_can_be_heard_is_passed_over(kind: str, snr: int | None) -> None:
    gate, lost, whole = VoiceGate(), 0.0, 0.0
    around = 0 if snr is None else int(1.5 * SAMPLE_RATE)
    for speech, _ in SAID:
        clean = np.pad(speech, around)
        sound = speech if snr is None else mixed(speech, NOISES[kind], snr)
        over = [f for frame in frames(sound) for f in gate.take(frame).over] + gate.take(EndOfSpeech(1, 0.0)).over
        lost += sum(float(np.square(clean[round(f.start * SAMPLE_RATE) :][: FRAME // 2]).sum()) for f in over)
        whole += float(np.square(clean).sum())
    assert lost / whole < 1e-6, "of the speech's energy: 60 dB below it"


def test_what_was_held_comes_first_and_the_pause_is_told_after_the_hang_over() -> None:
    gate, noise = VoiceGate(), NOISES["pink"] * 30
    loud = frames(np.concatenate([noise[: 5 * SAMPLE_RATE], SAID[0][0] + noise[: len(SAID[0][0])], noise[: 3 * SAMPLE_RATE]]))
    begin, end = 5.0, 5.0 + len(SAID[0][0]) / SAMPLE_RATE
    out = [each for frame in loud for each in gate.take(frame).on]
    starts = [f.start for f in out if isinstance(f, AudioFrame) and f.start > SETTLED]
    assert begin - PRE_ROLL_FRAMES * 0.02 - 0.02 <= starts[0] <= begin + 0.1
    assert np.allclose(np.diff(starts), 0.02), "in order and without holes"
    (pause,) = [e for e in out if isinstance(e, EndOfSpeech) and e.at > SETTLED]
    assert pause.at == pytest.approx(starts[-1] + 0.02)
    assert pause.at <= end + (HANG_OVER_FRAMES + 10) * 0.02
    assert not gate.open


@given(st.lists(st.sampled_from(["loud", "soft", "zero", "short", "long", "made up", "end"]), max_size=200), st.integers(0, 2**32))
def test_every_frame_comes_out_once_and_in_order(kinds: list[str], seed: int) -> None:
    random, gate, at = np.random.default_rng(seed), VoiceGate(), 0.0
    given_, on, over, pauses = [], [], [], 0
    sizes = {"short": 100, "long": 1000}
    for kind in (*kinds, "end"):
        if kind == "end":
            item: AudioFrame | EndOfSpeech = EndOfSpeech(1, at)
        else:
            pcm = random.standard_normal(sizes.get(kind, 320)) * {"soft": 20, "zero": 0}.get(kind, 8000)
            item = AudioFrame(1, at, np.clip(pcm, -32768, 32767).astype(np.int16).tobytes(), concealed=kind == "made up")
            given_.append(item)
            at += item.seconds
        passed = gate.take(item)
        over += passed.over
        for each in passed.on:
            pauses += isinstance(each, EndOfSpeech)
            on += [each] if isinstance(each, AudioFrame) else []
    assert [f.start for f in on] == sorted(f.start for f in on)
    assert sorted((*on, *over), key=lambda f: f.start) == given_
    assert pauses <= kinds.count("end") + 1 + len(on) // HANG_OVER_FRAMES
    assert not gate.open


async def test_gated_audio_was_listened_to_and_is_counted_as_such() -> None:
    transcriber, noise = FakeTranscriber(), frames(NOISES["white"] * 300)
    pipeline = Pipeline(SESSION, transcriber, (), FakeSink(), lambda: GuildSettings(7), lossless=True, gate=VoiceGate)
    (coverage,) = await pipeline.run(FakeSource([*noise, EndOfSpeech(1, 20.0)]))
    assert coverage.ratio == pytest.approx(1.0)
    assert coverage.gated_seconds > 15.0
    (recognizer,) = transcriber.opened
    assert recognizer.fed == pytest.approx(20.0 - coverage.gated_seconds, abs=0.03)
