"""One speaker: frames in order → DAVE → Opus → audio on the session's clock.

    take ─▶ held? try those first ─▶ open (DAVE) ─▶ seam? conceal, or place anew ─▶ decode ─▶ VoiceFrame
                                         └▶ refused, but may open later ─▶ held up to 0.8 s

Media time: the first packet of a stretch of speech stands where it arrived, the rest follow by RTP timestamps; frames of one speaker
never overlap. A stretch ends with five silence frames, or when nothing came for a while.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from bot.voice.dave import MAY_OPEN_LATER, FrameOpener, FrameRefused, Refusal
from bot.voice.opus import SILENCE, BadPacket, has_fec, packet_ticks
from bot.voice.rtp import CLOCK_RATE, distance32
from bot.voice.stats import SpeakerCounters
from bot.voice.stream import AnyPacket, Stream
from moderation.models import BYTES_PER_SECOND, SAMPLE_RATE, EndOfSpeech, SpeakerLeft

HOLD_SECONDS = 0.8
"""How long a frame waits for its epoch: senders change keys up to a round trip before the commit reaches us, and a busy machine reads
it late. Measured over 60 changes with senders that change at once: half of such frames wait 21 ms, one in a hundred 210 ms."""
HOLD_FRAMES = 40
"""Frames held per speaker: as long. When full, the oldest is given up."""

END_SECONDS = 0.2
"""Without a packet for so long, speech has ended: clients stop sending when their user is quiet, and silence frames may be lost."""
SILENCE_FRAMES = 5
"""Silence frames by which a client ends a stretch of speech (Discord docs)."""

CONCEAL_FRAMES = 3
"""Lost frames in a row that are made up; what a decoder invents beyond 60 ms is not speech, so longer gaps stay gaps."""

DRIFT_SECONDS = 1.0
"""How far a stretch may lag behind its arrival before it is placed anew: its sender's clock stood still or runs slow."""

_TICKS_PER_SAMPLE = CLOCK_RATE // SAMPLE_RATE
_END_TICKS = int(END_SECONDS * CLOCK_RATE)


@dataclass(frozen=True, slots=True)
class VoiceFrame:
    """A piece of one speaker's audio: 16 kHz, 16-bit, mono; usually 20 ms."""

    user_id: int
    ssrc: int
    start: float
    """Media seconds since the receiver's `origin`."""
    pcm: bytes
    """Signed 16-bit samples, shape (samples,)."""
    opus: bytes
    """The packet it was decoded from; empty where that packet was lost."""
    received_at: float
    """Monotonic seconds at which the packet arrived; for a lost one, the packet that showed the loss."""
    concealed: bool = False
    """Made up by the decoder. A lost packet whose audio the next one repeats (RFC 6716 section 2.1.7) is not: the speaker said that."""


VoiceItem = VoiceFrame | EndOfSpeech | SpeakerLeft


class _Held(NamedTuple):
    """A frame that could not be opened yet."""

    stream: Stream
    packet: AnyPacket
    reason: Refusal | None
    """Why not; None for a silence frame, which only keeps its place behind one that could not."""

    @property
    def arrival(self) -> float:
        """Monotonic seconds."""
        return self.packet[3]


class Speaker:
    """One user, over all SSRCs that the user has had."""

    def __init__(self, user_id: int, dave: FrameOpener, origin: float) -> None:
        """`origin`: monotonic seconds of media second 0."""
        self.user_id = user_id
        self.counters = SpeakerCounters()
        self.left_at: float | None = None
        """When the user left; None while present."""
        self._dave = dave
        self._origin = origin
        self._held: deque[_Held] = deque()
        self._speech: Stream | None = None
        """The stream on which a stretch of speech is under way."""
        self._end = 0.0
        """Media seconds up to which audio was handed on."""
        self._last = 0.0
        """Arrival of the last decoded packet."""
        self._silences = 0

    @property
    def pending(self) -> bool:
        """Whether frames are held."""
        return bool(self._held)

    # In order, from here on.

    def take(self, stream: Stream, packet: AnyPacket, out: list[VoiceItem]) -> None:
        """The next packet of a stream."""
        if self._held:
            self.retry(out)
            if self._held and packet[2] == SILENCE:
                self._hold(_Held(stream, packet, None), out)
                return
        self._open(stream, packet, out)

    def missing(self, stream: Stream, count: int) -> None:
        """So many packets of a stream were lost."""
        self.counters.lost += count
        stream.gone += count
        if not self._silences:  # what is lost among silence frames was silence
            self.counters.spoken_ticks += count * stream.ticks

    def retry(self, out: list[VoiceItem]) -> None:
        """Try the held frames again, in order."""
        waiting, self._held = self._held, deque()
        for held in waiting:
            if held.reason is None and self._held:
                self._held.append(held)
            else:
                self._open(held.stream, held.packet, out)

    def tick(self, now: float, out: list[VoiceItem]) -> None:
        """Time passes: held frames are tried and expire, speech ends."""
        patience = END_SECONDS
        if self._held:
            self.retry(out)
            while self._held and (self._held[0].reason is None or now - self._held[0].arrival > HOLD_SECONDS):
                self._settle(self._held.popleft(), out)
            patience += HOLD_SECONDS if self._held else 0.0
        if self._speech is not None and now - self._last >= patience and not self._speech.jitter.waiting:
            self.end_speech(out)

    def end_speech(self, out: list[VoiceItem]) -> None:
        """The stretch of speech under way, if any, is over."""
        if self._speech is not None:
            out.append(EndOfSpeech(self.user_id, self._end, self._last))
            self._speech = None
            self._silences = 0

    def release(self, stream: Stream, out: list[VoiceItem]) -> list[AnyPacket]:
        """The stream is no longer this speaker's; its held packets."""
        if self._speech is stream:
            self.end_speech(out)
        mine = [held.packet for held in self._held if held.stream is stream]
        self._held = deque(held for held in self._held if held.stream is not stream)
        return mine

    def abandon(self, stream: Stream | None = None) -> None:
        """Drop what is held, unopened; of one stream, or of all."""
        kept = deque(held for held in self._held if stream is not None and held.stream is not stream)
        self.counters.abandoned += len(self._held) - len(kept)
        self._held = kept

    def _open(self, stream: Stream, packet: AnyPacket, out: list[VoiceItem]) -> None:
        _, timestamp, payload, arrival, opened = packet
        if not payload:
            self.counters.padding += 1
            return
        try:
            opus = payload if opened else self._dave.open(self.user_id, payload, arrival)
        except FrameRefused as refused:
            self._refused(_Held(stream, packet, refused.reason), out)
            return
        if self._held:  # a sender never returns to an older epoch: what would not open before this frame never will
            self._give_up(out)
        if opus == SILENCE:
            self._silence(stream, out)
            return
        self.counters.decrypted += 1
        self._hear(stream, timestamp, opus, arrival, out)

    def _refused(self, held: _Held, out: list[VoiceItem]) -> None:
        if held.reason in MAY_OPEN_LATER:
            self._hold(held, out)
        else:
            self._settle(held, out)

    def _hold(self, held: _Held, out: list[VoiceItem]) -> None:
        if len(self._held) >= HOLD_FRAMES:
            self._settle(self._held.popleft(), out)
        self._held.append(held)

    def _give_up(self, out: list[VoiceItem]) -> None:
        while self._held:
            self._settle(self._held.popleft(), out)

    def _settle(self, held: _Held, out: list[VoiceItem]) -> None:
        """No longer wait for this one."""
        if held.reason is None:
            self._silence(held.stream, out)
            return
        self.counters.failed[held.reason] += 1
        self._unusable(held.stream, held.stream.ticks)

    def _unusable(self, stream: Stream, ticks: int) -> None:
        stream.gone += 1
        self.counters.spoken_ticks += ticks

    def _silence(self, stream: Stream, out: list[VoiceItem]) -> None:
        self.counters.silence += 1
        if self._speech is stream:
            self._silences += 1
            if self._silences >= SILENCE_FRAMES:
                self.end_speech(out)

    # From Opus to audio.

    def _hear(self, stream: Stream, timestamp: int, opus: bytes, arrival: float, out: list[VoiceItem]) -> None:
        if timestamp != stream.due or stream is not self._speech or arrival - self._origin - self._end > DRIFT_SECONDS:
            self._seam(stream, timestamp, opus, arrival, out)
        counters = self.counters
        try:
            pcm = stream.decoder.decode(opus)
        except BadPacket:
            counters.undecodable += 1
            self._unusable(stream, packet_ticks(opus) or stream.ticks)
            return
        size = len(pcm)
        ticks = size // 2 * _TICKS_PER_SAMPLE
        start = self._end
        self._end = start + size / BYTES_PER_SECOND
        self._last = arrival
        self._speech = stream
        self._silences = 0
        stream.due = (timestamp + ticks) & 0xFFFFFFFF
        stream.ticks = ticks
        stream.gone = 0
        counters.decoded += 1
        counters.heard_bytes += size
        counters.spoken_ticks += ticks
        out.append(VoiceFrame(self.user_id, stream.ssrc, start, pcm, opus, arrival))

    def _seam(self, stream: Stream, timestamp: int, opus: bytes, arrival: float, out: list[VoiceItem]) -> None:
        """The frame does not simply continue the last one: move `_end` to where it starts."""
        if stream is not self._speech or stream.due < 0:
            self._place(arrival)
            return
        gap = distance32(timestamp, stream.due)
        if gap >= _END_TICKS or arrival - self._origin - self._end > DRIFT_SECONDS:
            self.end_speech(out)
            self._place(arrival)
        elif 0 < gap <= min(stream.gone, CONCEAL_FRAMES) * stream.ticks:
            self._conceal(stream, gap, opus, arrival, out)
        elif gap > 0:
            self._end += gap / CLOCK_RATE

    def _place(self, arrival: float) -> None:
        self._end = max(self._end, arrival - self._origin)

    def _conceal(self, stream: Stream, gap: int, following: bytes, arrival: float, out: list[VoiceItem]) -> None:
        """Make up `gap` ticks; the last of them from the redundancy in the packet that came after, if it has any."""
        while gap > 0:
            ticks = min(stream.ticks, gap)
            gap -= ticks
            recovers = gap == 0 and has_fec(following)
            try:
                pcm = stream.decoder.conceal(ticks // _TICKS_PER_SAMPLE, following if recovers else None)
            except BadPacket:  # the packet that came after is broken too, or the gap is no multiple of 2.5 ms
                self._end += ticks / CLOCK_RATE
                continue
            if recovers:
                self.counters.recovered += 1
                self.counters.heard_bytes += len(pcm)
            else:
                self.counters.concealed += 1
            out.append(VoiceFrame(self.user_id, stream.ssrc, self._end, pcm, b"", arrival, concealed=not recovers))
            self._end += len(pcm) / BYTES_PER_SECOND
