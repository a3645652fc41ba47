"""Opus by libopus, decoded in one step to the core's 16 kHz mono (RFC 6716: the decoder resamples and mixes down by itself).

libopus is the system's, or the one inside PyAV's wheel, or on Windows the one inside discord.py's: pip alone is enough.
"""

import ctypes
import ctypes.util
import functools
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bot.voice.rtp import CLOCK_RATE
from moderation.errors import SourceError
from moderation.models import SAMPLE_RATE

MAX_PACKET_SECONDS = 0.12
"""RFC 6716 section 3.2.5, R5."""

SILENCE = b"\xf8\xff\xfe"
"""20 ms of silence, as Discord's clients send it to end a stretch of speech (Discord docs); DAVE leaves it unencrypted."""

_WELL_KNOWN = {
    "win32": ("opus.dll", "libopus-0.dll", "libopus.dll"),
    "darwin": ("libopus.0.dylib", "/opt/homebrew/lib/libopus.0.dylib", "/usr/local/lib/libopus.0.dylib"),
}
_BUNDLES = (("av", "../av.libs"), ("av", ".dylibs"), ("discord", "bin"))
"""(package, folder beside its modules) of wheels that bring a libopus along."""
_LIBRARY_FILE = re.compile(r"libopus[-.0-9a-f]*(\.x64)?\.(so[.0-9]*|dylib|dll)")
_FEC_MODES = 16
"""RFC 6716 table 2: configurations below 16 have a SILK layer, which alone can carry forward error correction."""


class OpusMissing(SourceError):
    """No libopus was found; the message says what to install."""

    code = "opus-missing"


class BadPacket(ValueError):
    """Bytes that are no Opus packet."""


def _candidates() -> Iterator[str]:
    """Where libopus may be, best first."""
    found = ctypes.util.find_library("opus")
    if found:
        yield found
    yield from _WELL_KNOWN.get(sys.platform, ("libopus.so.0", "libopus.so"))
    for package, folder in _BUNDLES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            files = (Path(spec.origin).parent / folder).glob("libopus*")
            yield from sorted(str(file.resolve()) for file in files if _LIBRARY_FILE.fullmatch(file.name))


@functools.cache
def library() -> tuple[str, ctypes.CDLL]:
    """Where libopus is, and it, through a handle of our own: argument types set on it touch nobody else's. Raises `OpusMissing`."""
    tried = []
    for path in _candidates():
        try:
            return path, _declared(ctypes.CDLL(path))
        except (OSError, AttributeError):
            tried.append(Path(path).name)
    raise OpusMissing(
        "libopus was not found, so voice cannot be decoded. Install it (Debian and Ubuntu: apt install libopus0; Fedora: dnf install "
        "opus; macOS: brew install opus) or reinstall PyAV from its wheel, which brings it: pip install --force-reinstall "
        f"--only-binary :all: av. Tried: {', '.join(tried)}."
    )


def _declared(lib: ctypes.CDLL) -> ctypes.CDLL:
    lib.opus_decoder_create.argtypes = (ctypes.c_int32, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
    lib.opus_decoder_create.restype = ctypes.c_void_p
    lib.opus_decoder_destroy.argtypes = (ctypes.c_void_p,)
    lib.opus_decoder_destroy.restype = None
    lib.opus_decode.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
    lib.opus_decode.restype = ctypes.c_int
    lib.opus_get_version_string.argtypes = ()
    lib.opus_get_version_string.restype = ctypes.c_char_p
    lib.opus_strerror.argtypes = (ctypes.c_int,)
    lib.opus_strerror.restype = ctypes.c_char_p
    return lib


def version() -> str:
    """What libopus calls itself. Raises `OpusMissing`."""
    return str(library()[1].opus_get_version_string().decode())


def load_for_discord() -> None:
    """Let discord.py encode and decode with the same libopus, unless it has one. Raises `OpusMissing`."""
    import discord.opus  # noqa: PLC0415 - heavy, and needed by the bot alone

    if not discord.opus.is_loaded():
        discord.opus.load_opus(library()[0])


class Decoder:
    """One stream's decoder: what it has heard shapes what it makes of loss."""

    def __init__(self, sample_rate: int = SAMPLE_RATE, channels: int = 1) -> None:
        """`sample_rate`: 8, 12, 16, 24 or 48 kHz. Raises `OpusMissing`."""
        self._lib = library()[1]
        self._decode = self._lib.opus_decode
        self._room = int(MAX_PACKET_SECONDS * sample_rate)
        self._frame_bytes = 2 * channels
        self._pcm = ctypes.create_string_buffer(self._room * self._frame_bytes)
        self._address = ctypes.addressof(self._pcm)
        self._view = memoryview(self._pcm).cast("B")
        error = ctypes.c_int()
        self._state: int | None = self._lib.opus_decoder_create(sample_rate, channels, ctypes.byref(error))
        if error.value:
            raise ValueError(f"libopus refuses a decoder for {sample_rate} Hz and {channels} channels")

    def __del__(self) -> None:
        state, self._state = getattr(self, "_state", None), None
        if state:
            self._lib.opus_decoder_destroy(state)

    def decode(self, packet: bytes) -> bytes:
        """The packet's audio: int16, interleaved. Raises `BadPacket`."""
        if not packet:  # to libopus that would be a lost one
            raise BadPacket("an Opus packet has at least one byte")
        samples = self._decode(self._state, packet, len(packet), self._address, self._room, 0)
        if samples <= 0:
            raise BadPacket(self._reason(samples))
        return self._view[: samples * self._frame_bytes].tobytes()

    def conceal(self, samples: int, following: bytes | None = None) -> bytes:
        """Audio for `samples` lost samples per channel, a multiple of 2.5 ms, at most 120 ms.

        From the redundancy in the packet that came after, where `following` is given and `has_fec`; else guessed from what came before.
        Raises `BadPacket` when `following` is none.
        """
        size = len(following) if following is not None else 0
        done = self._decode(self._state, following, size, self._address, min(samples, self._room), int(following is not None))
        if done <= 0:
            raise BadPacket(self._reason(done))
        return self._view[: done * self._frame_bytes].tobytes()

    def _reason(self, code: int) -> str:
        return str(self._lib.opus_strerror(code).decode())


def _frame_ticks(config: int) -> int:
    """48 kHz ticks of one frame by configuration number (RFC 6716 table 2)."""
    if config < 12:
        return (480, 960, 1920, 2880)[config & 3]
    if config < 16:
        return (480, 960)[config & 1]
    return (120, 240, 480, 960)[config & 3]


_FRAME_TICKS = tuple(_frame_ticks(toc >> 3) for toc in range(256))
_MAX_TICKS = int(MAX_PACKET_SECONDS * CLOCK_RATE)


def packet_ticks(packet: bytes) -> int:
    """Duration in 48 kHz ticks by the packet's first two bytes (RFC 6716 section 3.1); 0 when no Opus packet looks like that."""
    if not packet:
        return 0
    toc = packet[0]
    code = toc & 3
    if code == 3 and len(packet) < 2:
        return 0
    frames = packet[1] & 0x3F if code == 3 else min(code, 1) + 1
    ticks = frames * _FRAME_TICKS[toc]
    return ticks if ticks <= _MAX_TICKS else 0


def has_fec(packet: bytes) -> bool:
    """Whether the packet carries a low-bitrate copy of what came before it (RFC 6716 section 4.2.4).

    Read off the first SILK frame's header for packets of one frame (code 0), the only ones that Discord's clients send.
    """
    if len(packet) < 2 or packet[0] & 3 or packet[0] >> 3 >= _FEC_MODES:
        return False
    frames = max(_FRAME_TICKS[packet[0]] // 960, 1)
    mid = packet[1] >> (7 - frames) & 1
    side = packet[1] >> (6 - 2 * frames) & 1 if packet[0] & 4 else 0
    return bool(mid | side)
