"""Senders and a receiver, joined by nothing but bytes: real DAVE, real transport encryption, real Opus."""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypedDict, Unpack

import av
from av.audio.codeccontext import AudioCodecContext

from bot.voice.dave import FrameDecryptor, KeyHolder
from bot.voice.opus import SILENCE
from bot.voice.receiver import Receiver, VoiceFrame, VoiceItem
from bot.voice.stats import SpeakerStats
from moderation.models import BYTES_PER_SECOND, EndOfSpeech
from tests.bot.voice.group import DaveGroup
from tests.loopback.voice.clips import opus_packets
from tests.loopback.voice.transport import AES256_GCM, Transport

KEY = bytes(range(32))
BOT = 1
ORIGIN = 1000.0
"""Monotonic seconds of media second 0."""
FRAME = 0.02
CLIP = Path(__file__).parents[2] / "speech/voices/sample_01.wav"
LEVEL = bytes.fromhex("104a9001")
"""One word of RTP header extension as Discord's clients send it: audio level (RFC 6464) and Discord's id 9."""


@cache
def speech(count: int = 140) -> tuple[bytes, ...]:
    """Opus packets of a voice, 20 ms each, none of them silence."""
    return opus_packets(CLIP)[:count]


def encoded(milliseconds: str = "20", *, fec: bool = False, bit_rate: int = 24_000, stereo: bool = False) -> list[bytes]:
    """The clip as libopus packets of that duration."""
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = 48_000, "stereo" if stereo else "mono", "s16", bit_rate
    codec.options = {"frame_duration": milliseconds, "application": "voip"}
    if fec:
        codec.options |= {"fec": "1", "packet_loss": "30"}
    codec.open()
    resampler = av.AudioResampler("s16", codec.layout.name, 48_000, frame_size=codec.frame_size)
    found = []
    with av.open(str(CLIP)) as container:
        for piece in (piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)):
            piece.pts = None
            found += [bytes(packet) for packet in codec.encode(piece)]
    return found


class Shape(TypedDict, total=False):
    """What a packet looks like around its frame."""

    extension: bytes
    padding: int
    csrcs: int
    payload_type: int
    marker: bool


def rtp(
    payload: bytes,
    *,
    ssrc: int = 2001,
    sequence: int = 0,
    timestamp: int = 0,
    extension: bytes = LEVEL,
    padding: int = 0,
    csrcs: int = 0,
    payload_type: int = 120,
    marker: bool = False,
) -> tuple[bytes, bytes]:
    """An RTP packet before transport encryption: (clear header, what is to be sealed)."""
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension else 0) | csrcs
    header = struct.pack(">BBHII", first, (0x80 if marker else 0) | payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    header += bytes(4 * csrcs)
    if extension:
        header += struct.pack(">HH", 0xBEDE, len(extension) // 4)
    return header, extension + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


@dataclass
class Sender:
    """One SSRC of somebody in the call."""

    user_id: int
    ssrc: int
    seal: Callable[[bytes, bytes], bytes]
    encrypt: Callable[[int, bytes], bytes] | None
    """DAVE; None: plain Opus."""
    sequence: int = 65_500
    """Close to the wrap, so that every test of some length crosses it."""
    timestamp: int = (1 << 32) - 9600
    ticks: int = 960

    def packet(self, opus: bytes, **shape: Unpack[Shape]) -> bytes:
        """The next datagram."""
        frame = self.encrypt(self.user_id, opus) if self.encrypt else opus
        return self.raw(frame, **shape)

    def packets(self, frames: Iterable[bytes], **shape: Unpack[Shape]) -> list[bytes]:
        return [self.packet(opus, **shape) for opus in frames]

    def raw(self, payload: bytes, **shape: Unpack[Shape]) -> bytes:
        """A datagram with exactly this payload."""
        header, body = rtp(payload, ssrc=self.ssrc, sequence=self.sequence, timestamp=self.timestamp, **shape)
        self.sequence += 1
        self.pause(1)
        return self.seal(header, body)

    def pause(self, frames: float) -> None:
        """Media time passes without a packet."""
        self.timestamp += int(frames * self.ticks)


@dataclass
class Call:
    """A receiver in a call, at a time of the test's choosing."""

    group: DaveGroup | None = None
    mode: str = AES256_GCM
    receiver: Receiver = field(init=False)
    dave: FrameDecryptor = field(init=False)
    seal: Callable[[bytes, bytes], bytes] = field(init=False)
    now: float = ORIGIN
    items: list[VoiceItem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dave = FrameDecryptor(self.session)
        self.dave.session_description(1 if self.group else 0)
        self.receiver = Receiver(self.dave, origin=ORIGIN)
        self.receiver.set_transport(self.mode, KEY)
        self.seal = Transport(self.mode, KEY).seal

    def session(self) -> KeyHolder | None:
        return self.group.keys(BOT) if self.group else None

    def sender(self, user_id: int, ssrc: int = 0, *, mapped: bool = True) -> Sender:
        ssrc = ssrc or 2000 + user_id
        if mapped:
            self.keep(self.receiver.speaking(ssrc, user_id, self.now))
        return Sender(user_id, ssrc, self.seal, self.group.encrypt if self.group else None)

    def keep(self, items: Sequence[VoiceItem]) -> list[VoiceItem]:
        self.items += items
        return list(items)

    def receive(self, *datagrams: bytes) -> list[VoiceItem]:
        """Datagrams at this very moment."""
        return [item for data in datagrams for item in self.keep(self.receiver.datagram(data, self.now))]

    def stream(self, datagrams: Iterable[bytes], interval: float = FRAME) -> list[VoiceItem]:
        """Datagrams one by one, with a tick between."""
        found = []
        for data in datagrams:
            found += self.receive(data)
            found += self.wait(interval)
        return found

    def wait(self, seconds: float) -> list[VoiceItem]:
        """Time passes, with a tick every 20 ms."""
        found = []
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(self.now + FRAME, until)
            found += self.keep(self.receiver.tick(self.now))
        return found

    def stats(self, user_id: int) -> SpeakerStats:
        return self.receiver.stats()[user_id]

    @property
    def frames(self) -> list[VoiceFrame]:
        return frames(self.items)

    @property
    def heard(self) -> list[bytes]:
        """Opus packets handed on, in order, without concealed ones."""
        return [frame.opus for frame in self.frames if frame.opus]


def frames(items: Iterable[VoiceItem]) -> list[VoiceFrame]:
    return [item for item in items if isinstance(item, VoiceFrame)]


def ends(items: Iterable[VoiceItem]) -> list[EndOfSpeech]:
    return [item for item in items if isinstance(item, EndOfSpeech)]


def silences(sender: Sender, count: int = 5) -> list[bytes]:
    return [sender.raw(SILENCE) for _ in range(count)]


def assert_sound(call: Call) -> None:
    """Media time is monotonic per speaker and never overlaps; an end of speech is where the last frame ended."""
    ended: dict[int, float] = {}
    for item in call.items:
        if isinstance(item, VoiceFrame):
            assert item.start >= ended.get(item.user_id, 0.0)
            assert 0 < len(item.pcm) <= 0.12 * BYTES_PER_SECOND
            ended[item.user_id] = item.start + len(item.pcm) / BYTES_PER_SECOND
        elif isinstance(item, EndOfSpeech):
            assert item.at == ended[item.speaker_id]
