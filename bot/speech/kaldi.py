r"""Cheap checks of the Kaldi and OpenFst files in a speech model: heads, tails and sizes, never whole large files.

Formats: Kaldi I/O (`base/io-funcs`: binary files start with `\0B`), Kaldi config files (`util/parse-options`), OpenFst 1.8 headers
(`fst/fst.h`, little-endian) and its const and vector layouts (`fst/const-fst.h`, `fst/vector-fst.h`).
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moderation.errors import ModelMissing

FST_MAGIC = 0x7EB2FDD6
FST_HAS_OUTPUT_SYMBOLS = 0x2

HEAD = 64 * 1024
"""Bytes read from the start of a large file."""
TAIL = 4096
"""Bytes read from its end."""
MAX_CONFIG = 1024 * 1024
"""Bytes that a config file or a list of numbers may have."""

MIN_HIGH_FREQUENCY = 1000.0
"""Hz; speech models use 3700 to 7600."""
MAX_LINE = 4096
"""Bytes of a line in a word list."""

_FST_FIXED = struct.Struct("<iiQqqq")
"""Version, flags, properties, start state, states, arcs."""
_OPTION = re.compile(r"--(\w[\w.-]*)(?:=(.*))?")
_STATE_BYTES = {"const": 20, "vector": 12}
"""Bytes of a state in a file: weight and four integers, weight and one 64-bit integer."""
_ARC_BYTES = 16
"""Two labels, a weight and the next state."""


@dataclass(frozen=True, slots=True)
class _FstHeader:
    kind: str
    arc: str
    flags: int
    states: int
    arcs: int
    length: int
    """Bytes of the header itself."""


def check_mdl(model: Path, name: str, start: bytes | None = b"<TransitionModel>") -> None:
    """A Kaldi object: there, not empty, no other kind of file, not zero-filled; `start` is its first token, None for any."""
    head = _head(model, name, HEAD)
    body = head.removeprefix(b"\0B")
    if start is not None and not body.lstrip().startswith(start):
        raise _bad(model, name, "does not start as a Kaldi file of its kind")
    _check_tail(model, name)


def check_fst(model: Path, name: str) -> None:
    """An OpenFst graph: its header can be read and the file is as long as the header says."""
    head = _head(model, name, HEAD)
    header = _fst_header(model, name, head)
    state_bytes = _STATE_BYTES.get(header.kind)
    if header.arc == "standard" and state_bytes and header.states > 0:
        least = header.length + header.states * state_bytes + max(header.arcs, 0) * _ARC_BYTES
        size = (model / name).stat().st_size
        if size < least:
            raise _bad(model, name, f"is truncated: {size} bytes of at least {least}")
    _check_tail(model, name)


def fst_has_words(model: Path, name: str) -> bool:
    """Whether the graph carries its words itself, so that `words.txt` is not needed."""
    return bool(_fst_header(model, name, _head(model, name, HEAD)).flags & FST_HAS_OUTPUT_SYMBOLS)


def check_config(model: Path, name: str, *, above: Mapping[str, float], phones: str = "") -> dict[str, str]:
    """A Kaldi config file: lines `--name=value`.

    Args:
        model: the model's folder.
        name: the file in it.
        above: options and what they must be above, where they are set: libvosk aborts on less.
        phones: an option that must be there, as integers joined by colons: libvosk aborts without it.

    Returns:
        The options.
    """
    options: dict[str, str] = {}
    for number, line in enumerate(_text(model, name).splitlines(), start=1):
        option = line.partition("#")[0].strip()
        if not option:
            continue
        match = _OPTION.fullmatch(option)
        if match is None:
            raise _bad(model, name, f"line {number} is not of the form --name=value")
        options[match[1]] = (match[2] or "").strip()
    for key, least in above.items():
        if key in options and not _is_above(options[key], least):
            raise _bad(model, name, f"--{key} must be above {least:g}")
    if phones and not all(p.isdecimal() for p in options.get(phones, "").split(":")):
        raise _bad(model, name, f"--{phones} is missing or not integers joined by colons, as in --{phones}=1:2:3")
    return options


def check_features(model: Path, name: str) -> None:
    """The config file of the feature extraction. A value cut short (7600 to 76) makes libvosk abort too."""
    options = check_config(model, name, above={"sample-frequency": 0, "frame-length": 0, "frame-shift": 0})
    high = options.get("high-freq", "0")  # at or below 0 it counts down from the highest
    if _is_above(high, 0) and not _is_above(high, MIN_HIGH_FREQUENCY):
        raise _bad(model, name, f"--high-freq is cut: {high} Hz leaves no room for speech")


def check_integers(model: Path, name: str) -> None:
    """A file of integers, one a line, as Kaldi writes it: cut in a number, it would load and abort the process later."""
    text = _text(model, name)
    numbers = text.split()
    if not numbers or not all(n.isdecimal() for n in numbers) or not text.endswith("\n"):
        raise _bad(model, name, "is truncated or does not hold integers only")


def check_word_boundary(model: Path, name: str, acoustic: str) -> None:
    """Lines `phone kind`, for every phone of the acoustic model: libvosk guesses word times without the file, and aborts without a line."""
    kinds = {"nonword", "begin", "end", "internal", "singleton"}
    listed: set[int] = set()
    for number, line in enumerate(_text(model, name).splitlines(), start=1):
        match line.split():
            case [phone, kind] if phone.isdecimal() and kind in kinds:
                listed.add(int(phone))
            case _:
                raise _bad(model, name, f"line {number} is cut or not of the form: number nonword|begin|end|internal|singleton")
    missing = _phones(_head(model, acoustic, HEAD)) - listed
    if missing:
        raise _bad(model, name, f"is truncated: it lacks {len(missing)} of the phones in {acoustic}")


def check_words(model: Path, name: str) -> None:
    """Lines `word number`. A list cut short would load and leave words out, so its last line is looked at closely."""
    _head(model, name, 16)
    before, last, whole = -1, -1, True
    with (model / name).open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            columns = line.split()
            if len(columns) != 2 or not columns[1].isdigit():
                raise _bad(model, name, f"line {number} is cut or not of the form: word number")
            before, last, whole = last, int(columns[1]), line.endswith(b"\n")
    if not whole and last < before:
        raise _bad(model, name, "is truncated in its last line")


def _head(model: Path, name: str, size: int) -> bytes:
    path = model / name
    if not path.exists():
        raise ModelMissing(f"Speech model {model}: {name} is missing. Unpack the model again.")
    if not path.is_file():
        raise _bad(model, name, "is not a file")
    with path.open("rb") as file:
        head = file.read(size)
    if not head:
        raise _bad(model, name, "is empty")
    for start, kind in (
        (b"PK\3\4", "a zip file"),
        (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
        (b"<!DOCTYPE", "a web page"),
    ):
        if head.startswith(start):
            raise _bad(model, name, f"is {kind}")
    return head


def _phones(mdl: bytes) -> set[int]:
    """The phones that an acoustic model's topology lists (Kaldi `HmmTopology::Write`, binary); empty where it cannot be read."""
    token = b"<Topology> \4"
    at = mdl.find(token) + len(token)
    if at < len(token) or len(mdl) < at + 4:
        return set()
    (count,) = struct.unpack_from("<i", mdl, at)
    if not 0 < count <= (len(mdl) - at - 4) // 4:
        return set()
    return set(struct.unpack_from(f"<{count}i", mdl, at + 4))


def _text(model: Path, name: str) -> str:
    data = _head(model, name, MAX_CONFIG + 1)
    if len(data) > MAX_CONFIG or b"\0" in data:
        raise _bad(model, name, "is not a text file of its kind")
    return data.decode("utf-8", "replace")


def _check_tail(model: Path, name: str) -> None:
    """Files that a broken download left behind are often laid out in full and end in zeros; libvosk may crash on them."""
    path = model / name
    size = path.stat().st_size
    if size <= 2 * TAIL:
        return
    with path.open("rb") as file:
        file.seek(size - TAIL)
        if not any(file.read(TAIL)):
            raise _bad(model, name, "ends in zeros: its download or copy was broken off")


def _fst_header(model: Path, name: str, head: bytes) -> _FstHeader:
    try:
        if struct.unpack_from("<I", head)[0] != FST_MAGIC:
            raise _bad(model, name, "is not an OpenFst graph")
        kind, at = _fst_string(head, 4)
        arc, at = _fst_string(head, at)
        _, flags, _, _, states, arcs = _FST_FIXED.unpack_from(head, at)
    except (struct.error, UnicodeDecodeError):
        raise _bad(model, name, "is truncated in its header") from None
    return _FstHeader(kind, arc, flags, states, arcs, at + _FST_FIXED.size)


def _fst_string(head: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<i", head, at)
    if not 0 <= length <= 64 or at + 4 + length > len(head):
        raise struct.error
    return head[at + 4 : at + 4 + length].decode("ascii"), at + 4 + length


def _is_above(value: str, least: float) -> bool:
    try:
        return float(value) > least
    except ValueError:
        return False


def _bad(model: Path, name: str, what: str) -> ModelMissing:
    return ModelMissing(f"Speech model {model}: {name} {what}. Download or unpack the model again.")
