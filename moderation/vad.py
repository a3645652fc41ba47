"""Whether a speaker's frames may hold speech, so that an open microphone's noise need not be decoded. Pure numpy, no model.

    frame ─▶ energy in seven bands ─▶ above each band's noise floor? ─▶ several frames of a few ─▶ open ── hang-over ──▶ closed
                                                                                └▶ pre-roll first: no word's onset is lost

A band's noise floor is the least it held lately: steady noise of any colour and level is its own floor, while speech rises and
falls. Clicks are shorter than syllables and do not open the gate. A new speaker's gate is open until its floor is known.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moderation.models import FRAME_SECONDS, SAMPLE_RATE, AudioFrame, EndOfSpeech

BLOCK = int(FRAME_SECONDS * SAMPLE_RATE)
"""Samples that are looked at together: one frame."""
EDGES = (100, 300, 600, 1000, 1600, 2500, 3500, 5500)
"""Hz between the bands. Mains hum and its first harmonics fall into one of seven, hiss into the upper ones."""
SMOOTHING = 0.5
"""Weight of the newest frame in the energy whose least is the floor: noise flutters, and its least value would lie far below its mean."""
FLOOR_BLOCKS, FLOOR_FRAMES = 6, 25
"""The floor is the least energy of the last 6 stretches of 25 frames: 3 s, in which every band of speech dips."""
QUIET = 20.0
"""dB: the floor before anything is known, and the lowest there is; near the rounding noise of 16-bit samples."""
ABOVE = 5.0
"""dB above the floor, mean of the bands, from which a frame is active."""
STRONGEST = 9.0
"""dB above its floor of the third strongest band from which a frame is active: vowels fill few bands."""
ENOUGH, AMONG = 5, 8
"""Active frames among the latest frames that open the gate and keep it open: 100 ms of 160; a key's click has one or two."""
PRE_ROLL_FRAMES = 25
"""Frames before the opening that are decoded too: 0.5 s, more than an unvoiced onset."""
HANG_OVER_FRAMES = 40
"""Frames with less activity, lost ones not counted, until the gate closes: 0.8 s, longer than Vosk's own endpointer waits (0.5 s)."""
UNSETTLED_FRAMES = 2
"""Frames after a lost one that teach no floor. Opus codes energy as the difference to half of the frame before (RFC 6716 section
4.3.2.1, 20 ms), so that after a frame which had to be made up it is wrong: measured up to 18 dB, then 11, 7, 5."""

SHORT_HANG_OVER_FRAMES = 15
"""The same under overload: 0.3 s."""

_WINDOW = np.hanning(BLOCK).astype(np.float32)
_FIRST = np.array([edge * BLOCK // SAMPLE_RATE for edge in EDGES])
_WIDTHS = np.diff(_FIRST).astype(np.float32)


class Passed(NamedTuple):
    """What became of the audio up to an item."""

    on: list[AudioFrame | EndOfSpeech]
    """For the recogniser."""
    over: list[AudioFrame]
    """Listened to, found to be noise, and not for the recogniser."""


class NoiseFloor:
    """Energy by band, and how far it rises above what it never fell below lately."""

    def __init__(self) -> None:
        self._energy = np.full(len(_WIDTHS), QUIET, np.float32)
        self._least = np.full((FLOOR_BLOCKS, len(_WIDTHS)), QUIET, np.float32)
        self._count = 0

    def rise(self, block: NDArray[np.float32], *, learn: bool = True) -> NDArray[np.float32]:
        """DB of each band above its floor, weakest first. `block`: 320 samples; `learn`: whether the floor may be found in it."""
        spectrum = np.fft.rfft(block * _WINDOW)
        power = spectrum.real**2 + spectrum.imag**2
        bands = np.add.reduceat(power[: _FIRST[-1]], _FIRST[:-1]) / _WIDTHS
        energy = np.maximum(10.0 * np.log10(bands + 1.0), QUIET).astype(np.float32)
        if learn:
            self._learn(energy)
        return np.sort(energy - self._least.min(axis=0))

    def _learn(self, energy: NDArray[np.float32]) -> None:
        self._energy += SMOOTHING * (energy - self._energy)
        row, first = divmod(self._count, FLOOR_FRAMES)
        np.minimum(self._least[row], self._energy, out=self._least[row]) if first else np.copyto(self._least[row], self._energy)
        self._count = (self._count + 1) % (FLOOR_BLOCKS * FLOOR_FRAMES)


class VoiceGate:
    """One speaker's gate. Everything given to `take` comes out once: passed on, or passed over."""

    def __init__(self) -> None:
        self._floor = NoiseFloor()
        self._recent: deque[bool] = deque(maxlen=AMONG)
        self._held: deque[AudioFrame] = deque()
        self._quiet = 0
        self._since_loss = UNSETTLED_FRAMES
        self.hang_over = HANG_OVER_FRAMES
        """Frames with less activity until it closes; shorter while the machine is overloaded."""
        self.open = False
        """Whether frames go to the recogniser."""

    def take(self, item: AudioFrame | EndOfSpeech) -> Passed:
        """What the recogniser gets now, and what it never will."""
        if isinstance(item, EndOfSpeech):
            return self._pause(item)
        if item.concealed:
            return self._made_up(item)
        self._since_loss += 1
        self._recent.append(self._active(item.pcm, learn=self._since_loss > UNSETTLED_FRAMES))
        speech = sum(self._recent) >= ENOUGH
        if self.open:
            return self._go_on(item, speech=speech)
        if speech:
            held, self.open, self._quiet = [*self._held, item], True, 0
            self._held.clear()
            return Passed([*held], [])
        return self._hold(item)

    def _made_up(self, frame: AudioFrame) -> Passed:
        """What a decoder makes up for a lost frame fades: it is neither speech nor pause, and no noise's floor."""
        self._since_loss = 0
        return Passed([frame], []) if self.open else self._hold(frame)

    def _hold(self, frame: AudioFrame) -> Passed:
        self._held.append(frame)
        return Passed([], [self._held.popleft()] if len(self._held) > PRE_ROLL_FRAMES else [])

    def _go_on(self, frame: AudioFrame, *, speech: bool) -> Passed:
        self._quiet = 0 if speech else self._quiet + 1
        if self._quiet < self.hang_over:
            return Passed([frame], [])
        self.open = False
        self._recent.clear()
        return Passed([frame, EndOfSpeech(frame.speaker_id, frame.start + frame.seconds, frame.received_at)], [])

    def _pause(self, end: EndOfSpeech) -> Passed:
        """The speaker stopped sending: what was held was too short for a syllable."""
        held, was_open, self.open = list(self._held), self.open, False
        self._held.clear()
        self._recent.clear()
        return Passed([end] if was_open else [], held)

    def _active(self, pcm: bytes, *, learn: bool) -> bool:
        samples = np.frombuffer(pcm, np.int16).astype(np.float32)
        if len(samples) % BLOCK:
            samples = np.pad(samples, (0, BLOCK - len(samples) % BLOCK))
        rises = [self._floor.rise(samples[at : at + BLOCK], learn=learn) for at in range(0, len(samples), BLOCK)]
        return any(rise.mean() >= ABOVE or rise[-3] >= STRONGEST for rise in rises)
