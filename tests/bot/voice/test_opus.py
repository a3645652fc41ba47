"""libopus through ctypes, on packets that libopus made."""

import contextlib
import ctypes.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice import opus
from bot.voice.opus import SILENCE, BadPacket, Decoder, OpusMissing, has_fec, packet_ticks
from tests.bot.voice.packets import CLIP, encoded, speech

pytestmark = pytest.mark.integration


def samples(pcm: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.frombuffer(pcm, np.int16).astype(np.float64)


def level(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(samples(pcm) ** 2)))


def test_a_packet_becomes_sixteen_kilohertz_mono() -> None:
    decoder = Decoder()
    pcm = b"".join(decoder.decode(packet) for packet in speech(100))
    assert len(pcm) == 100 * 640
    with av.open(str(CLIP)) as container:
        resampler = av.AudioResampler("s16", "mono", 16_000)
        original = b"".join(
            bytes(piece.planes[0])[: piece.samples * 2] for frame in container.decode(audio=0) for piece in resampler.resample(frame)
        )
    ours, theirs = samples(pcm), samples(original)[: len(pcm) // 2]
    best = max(np.corrcoef(ours[lag : lag + 24_000], theirs[:24_000])[0, 1] for lag in range(200))
    assert best > 0.9  # the same speech, a codec's delay later
    assert 0.9 < level(pcm) / level(original[: len(pcm)]) < 1.1


def test_other_formats() -> None:
    decoder = Decoder(48_000, 2)
    assert len(decoder.decode(speech(1)[0])) == 960 * 2 * 2
    with pytest.raises(ValueError, match="44100 Hz"):
        Decoder(44_100)


@pytest.mark.parametrize("milliseconds", ["2.5", "5", "10", "20", "40", "60"])
@pytest.mark.parametrize("bit_rate", [16_000, 64_000])
@pytest.mark.parametrize("stereo", [False, True])
def test_the_duration_read_off_the_first_bytes_is_what_is_decoded(milliseconds: str, bit_rate: int, stereo: bool) -> None:
    decoder = Decoder()
    for packet in encoded(milliseconds, bit_rate=bit_rate, stereo=stereo)[:20]:
        assert packet_ticks(packet) == float(milliseconds) * 48
        assert len(decoder.decode(packet)) // 2 * 3 == packet_ticks(packet)


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        (SILENCE, 20),
        (b"\x00", 10),  # SILK 10 ms (RFC 6716 table 2, configuration 0)
        (b"\x18", 60),  # configuration 3
        (b"\x60", 10),  # hybrid, configuration 12
        (b"\x80", 2.5),  # CELT, configuration 16
        (b"\xf9" + bytes(2), 40),  # code 1: two frames of equal size
        (b"\xfa" + bytes(2), 40),  # code 2: two frames
        (b"\xfb\x03", 60),  # code 3: three frames
        (b"\x1b\x02", 120),
    ],
)
def test_durations_of_the_standards_table(packet: bytes, milliseconds: float) -> None:
    assert packet_ticks(packet) == milliseconds * 48


@pytest.mark.parametrize("packet", [b"", b"\xfb", b"\xfb\x00", b"\xfb\x07", b"\x1b\x03"])
def test_what_cannot_be_a_packet_has_no_duration(packet: bytes) -> None:
    assert packet_ticks(packet) == 0


@given(st.binary(max_size=400))
def test_random_bytes_decode_or_raise_a_named_error(packet: bytes) -> None:
    decoder = Decoder()
    try:
        pcm = decoder.decode(packet)
    except BadPacket:
        return
    assert len(pcm) // 2 * 3 == packet_ticks(packet)


def test_a_bad_packet_leaves_the_decoder_usable() -> None:
    decoder = Decoder()
    for packet in speech(20):
        with pytest.raises(BadPacket):
            decoder.decode(b"\xff")
        with pytest.raises(BadPacket):
            decoder.decode(b"")
        assert len(decoder.decode(packet)) == 640


def test_concealment_goes_on_like_what_came_before_and_fades() -> None:
    decoder = Decoder()
    before = [decoder.decode(packet) for packet in speech(60)]
    concealed = [decoder.conceal(320) for _ in range(30)]
    assert [len(pcm) for pcm in concealed] == [640] * 30
    assert level(concealed[0]) > 0.2 * level(before[-1])
    assert level(concealed[-1]) < 0.2 * level(concealed[0])


def test_redundancy_restores_a_lost_packet_better_than_guessing() -> None:
    packets = encoded(fec=True)
    errors: dict[str, float] = {"recovered": 0.0, "guessed": 0.0}
    for lost in range(30, 90, 6):
        if not has_fec(packets[lost + 1]):
            continue
        whole = Decoder()
        truth = [whole.decode(packet) for packet in packets[: lost + 1]][-1]
        for name, following in (("recovered", packets[lost + 1]), ("guessed", None)):
            decoder = Decoder()
            for packet in packets[:lost]:
                decoder.decode(packet)
            errors[name] += float(np.sum((samples(decoder.conceal(320, following)) - samples(truth)) ** 2))
    assert 0 < errors["recovered"] < 0.5 * errors["guessed"]


@pytest.mark.parametrize("milliseconds", ["10", "20", "40", "60"])
@pytest.mark.parametrize("fec", [False, True])
@pytest.mark.parametrize("stereo", [False, True])
def test_whether_a_packet_carries_redundancy_is_what_libopus_says(milliseconds: str, fec: bool, stereo: bool) -> None:
    lib = next(lib for lib in _loadable() if hasattr(lib, "opus_packet_has_lbrr"))  # since libopus 1.4
    packets = encoded(milliseconds, fec=fec, stereo=stereo, bit_rate=40_000 if stereo else 20_000)
    assert [has_fec(packet) for packet in packets] == [bool(lib.opus_packet_has_lbrr(packet, len(packet))) for packet in packets]
    assert any(map(has_fec, packets)) is fec


@given(st.binary(max_size=60))
def test_asking_random_bytes_for_redundancy_never_raises(packet: bytes) -> None:
    assert has_fec(packet) in (True, False)


def test_discord_py_decodes_with_the_same_library() -> None:
    code = (
        "import discord.opus, bot.voice.opus as ours; ours.load_for_discord(); ours.load_for_discord();"
        "d = discord.opus.Decoder(); print(len(d.decode(b'\\xf8\\xff\\xfe', fec=False)))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "3840"


def test_without_libopus_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "not-a-package.py").touch()
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "not-a-package.py")))
    monkeypatch.setattr(ctypes, "CDLL", _nothing_loads)
    opus.library.cache_clear()
    try:
        with pytest.raises(OpusMissing, match="apt install libopus0") as caught:
            opus.library()
    finally:
        opus.library.cache_clear()
    assert caught.value.code == "opus-missing"


def test_the_wheel_of_pyav_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system has a libopus, which would be taken first."""
    load = ctypes.CDLL

    def load_bundled(path: str) -> ctypes.CDLL:
        return load(path) if "av" in path else _nothing_loads(path)

    packets = speech(20)
    monkeypatch.setattr(ctypes, "CDLL", load_bundled)
    opus.library.cache_clear()
    try:
        assert "av" in opus.library()[0]
        decoder = Decoder()
        assert level(b"".join(decoder.decode(packet) for packet in packets)) > 0
    finally:
        opus.library.cache_clear()


def _loadable() -> Iterator[ctypes.CDLL]:
    for path in opus._candidates():
        with contextlib.suppress(OSError):
            yield ctypes.CDLL(path)


def _nothing_loads(path: str) -> NoReturn:
    raise OSError(path)
