"""Voice receive: microseconds per 20 ms packet, beside the bare native calls and beside discord-ext-voice-recv, interleaved in one run.

* Ours: datagram in, `VoiceFrame` of 16 kHz mono out: transport, jitter, DAVE, Opus.
* Floor: the native calls alone on the same packets, handed their exact slices: AEAD open, `davey.decrypt`, `opus_decode` to 16 kHz mono.
* discord-ext-voice-recv 0.5: its decryptor, router, jitter buffer and decoder, then numpy and soxr to 16 kHz mono. It has no DAVE and no
  AES-GCM, so it gets the same speech as plain Opus under XChaCha20, and ours beside it gets that too.
"""

import ctypes
import itertools
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import davey
import numpy as np
import soxr  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from discord.ext.voice_recv import AudioSink, VoiceData
from discord.ext.voice_recv.reader import PacketDecryptor
from discord.ext.voice_recv.router import PacketRouter
from discord.ext.voice_recv.rtp import decode_rtp
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from bench.rows import Row
from bot.voice.crypto import Aes256Gcm, XChaCha20Poly1305
from bot.voice.dave import FrameDecryptor
from bot.voice.opus import library, load_for_discord
from bot.voice.receiver import Receiver
from moderation.models import SAMPLE_RATE
from tests.bot.voice.group import DaveGroup
from tests.loopback.voice.clips import opus_packets
from tests.loopback.voice.transport import Transport

KEY = bytes(range(32))
BOT, OURS, BARE = 1, 2, 3
EXTENSION = bytes.fromhex("104a9001")
CLIP = Path(__file__).parents[1] / "tests" / "speech" / "voices" / "sample_01.wav"
ROUNDS = 12
WARM_UP = 2

Contender = Callable[[list[bytes]], None]
"""Takes a round's datagrams."""
Packets = Callable[[], list[bytes]]
"""Makes a round's datagrams: fresh ones, because DAVE opens a frame once."""


def run() -> list[Row]:
    """Measure; about ten seconds."""
    load_for_discord()
    rows = []
    for name, mode in (("AES-256-GCM", Aes256Gcm.mode), ("XChaCha20-Poly1305", XChaCha20Poly1305.mode)):
        group = DaveGroup.of(BOT, OURS, BARE)
        ours, floor = _fastest(
            (_ours(mode, group), _packets(mode, OURS, group)),
            (_floor(mode, group), _packets(mode, BARE, group)),
        )
        rows.append(_row(f"{name} + DAVE + Opus", ours, "native calls alone", floor))
        rows.append(Row(f"{name}, over the floor", ours - floor, "µs/packet"))
    mode = XChaCha20Poly1305.mode
    ours, theirs = _fastest((_ours(mode, None), _packets(mode, OURS, None)), (_voice_recv(), _packets(mode, BARE, None)))
    rows.append(_row("XChaCha20-Poly1305 + Opus, no DAVE", ours, "discord-ext-voice-recv + soxr, no DAVE either", theirs))
    rows.append(Row("speakers talking at once, per core", 20_000 / rows[0].value, "speakers"))
    return rows


def _row(name: str, ours: float, peer: str, theirs: float) -> Row:
    return Row(name, ours, "µs/packet", f"{peer}: {theirs:.2f} µs", ours / theirs)


def _fastest(*contenders: tuple[Contender, Packets]) -> list[float]:
    """Microseconds per packet of each, in its best round; they take turns, so that a busy machine disturbs all alike."""
    best = [float("inf")] * len(contenders)
    for turn in range(WARM_UP + ROUNDS):
        for index, (contender, packets) in enumerate(contenders):
            datagrams = packets()
            started = time.perf_counter()
            contender(datagrams)
            took = (time.perf_counter() - started) / len(datagrams) * 1e6
            if turn >= WARM_UP:
                best[index] = min(best[index], took)
    return best


def _packets(mode: str, user_id: int, group: DaveGroup | None) -> Packets:
    """One stream's packets, round after round: header extension, sequence and timestamp as Discord's clients send them."""
    transport = Transport(mode, KEY)
    counter = itertools.count(1)

    def datagrams() -> Iterator[bytes]:
        for opus in opus_packets(CLIP):
            n = next(counter)
            header = struct.pack(">BBHIIHH", 0x90, 120, n & 0xFFFF, n * 960 & 0xFFFFFFFF, 2000 + user_id, 0xBEDE, 1)
            yield transport.seal(header, EXTENSION + (group.encrypt(user_id, opus) if group else opus))

    return lambda: list(datagrams())


def _ours(mode: str, group: DaveGroup | None) -> Contender:
    dave = FrameDecryptor(lambda: group.keys(BOT) if group else None)
    dave.session_description(1 if group else 0)
    receiver = Receiver(dave, origin=0.0)
    receiver.set_transport(mode, KEY)
    receiver.speaking(2000 + OURS, OURS, 0.0)
    clock = itertools.count()

    def receive(datagrams: list[bytes]) -> None:
        for data in datagrams:
            if not receiver.datagram(data, next(clock) * 0.02):
                raise RuntimeError("a packet gave no frame")

    return receive


def _floor(mode: str, group: DaveGroup) -> Contender:
    session = group.sessions[BOT]
    audio = davey.MediaType.audio
    aes = AESGCM(KEY).decrypt
    lib = library()[1]
    state = lib.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(ctypes.c_int()))
    pcm = ctypes.create_string_buffer(2 * SAMPLE_RATE)

    def open_aes(sealed: bytes, header: bytes, nonce: bytes) -> bytes:
        return aes(nonce, sealed, header)

    def open_xchacha(sealed: bytes, header: bytes, nonce: bytes) -> bytes:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, header, nonce, KEY)

    open_sealed, zeros = (open_aes, bytes(8)) if mode == Aes256Gcm.mode else (open_xchacha, bytes(20))

    def receive(datagrams: list[bytes]) -> None:
        for data in datagrams:
            opus = session.decrypt(BARE, audio, open_sealed(data[16:-4], data[:16], data[-4:] + zeros)[4:])
            lib.opus_decode(state, opus, len(opus), pcm, 1920, 0)

    return receive


class _Taking(AudioSink):
    """What discord-ext-voice-recv decodes for: 48 kHz stereo, made 16 kHz mono as a recogniser needs it."""

    def __init__(self) -> None:
        super().__init__()
        self._resampler = soxr.ResampleStream(48_000, 16_000, 1, dtype="int16")

    def wants_opus(self) -> bool:
        return False

    def write(self, user: object, data: VoiceData) -> None:
        stereo = np.frombuffer(data.pcm, np.int16).reshape(-1, 2)
        self._resampler.resample_chunk(((stereo[:, 0].astype(np.int32) + stereo[:, 1]) // 2).astype(np.int16))

    def cleanup(self) -> None:
        pass


def _voice_recv() -> Contender:
    ssrc = 2000 + BARE
    member = object()
    decryptor = PacketDecryptor("aead_xchacha20_poly1305_rtpsize", KEY)
    guild = SimpleNamespace(get_member=lambda user_id: member)
    client: Any = SimpleNamespace(guild=guild, _get_id_from_ssrc=lambda ssrc: BARE)
    reader: Any = SimpleNamespace()
    sink = _Taking()
    sink._voice_client = client
    router = PacketRouter(sink, reader)  # its thread is not started: what that would do is done in line
    decoder = router.get_decoder(ssrc)
    if decoder is None:
        raise RuntimeError("discord-ext-voice-recv made no decoder")

    def receive(datagrams: list[bytes]) -> None:
        for data in datagrams:
            packet = decode_rtp(data)
            packet.decrypted_data = decryptor.decrypt_rtp(packet)
            router.feed_rtp(packet)
            voice = decoder.pop_data()
            if voice is not None:
                sink.write(voice.source, voice)

    return receive
