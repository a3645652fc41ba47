"""An append-only file for what the database cannot take now, replayed in order when it can.

    1a2b3c4d {"at": …, "kind": …, "record": …}      CRC-32 of what follows, in hex; one line an entry

Every append is handed to the disk (fdatasync) before it counts: neither `kill -9` nor a power cut loses an entry that was journalled.
A line that a crash cut off is skipped. The file holds speech: only its owner may read it, and it is deleted once replayed.
Calls block, so they belong on a thread, one at a time.
"""

import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from moderation.errors import StorageError

MAX_BYTES = 64_000_000
"""Size of the file at most: weeks of speech for one channel. A full journal refuses, it never forgets."""


class JournalFull(OSError):
    """The journal has reached its size."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry and where the next one begins."""

    data: bytes
    end: int
    """Offset in bytes."""


class Journal:
    """The file. Every method may raise `OSError`: the disk is full, the folder is gone."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """Counts what an earlier process left. Raises `StorageError` when it cannot be read."""
        self._path = path
        self._max_bytes = max_bytes
        self._done = 0
        self.waiting = 0
        """Entries not replayed yet."""
        self.damaged = 0
        """Lines found at the start that cannot be read: cut off by a crash, or changed by somebody. They are skipped."""
        try:
            self._count()
        except OSError as error:
            advice = "Give this user the right to read it, or move it away"
            raise StorageError(f"The journal {path} cannot be read ({error.strerror}). {advice}.") from error

    def append(self, entries: Sequence[bytes]) -> None:
        """Write all or none of them, and wait until the disk has them."""
        size = self._size()
        lines = b"".join(b"%08x %s\n" % (zlib.crc32(entry), entry) for entry in entries)
        if size + len(lines) > self._max_bytes:
            raise JournalFull(f"the journal {self._path} is full")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines  # a crash cut the last line off: it shall not spoil the next one
            _write(descriptor, lines, size)
        finally:
            os.close(descriptor)
        self.waiting += len(entries)

    def peek(self, count: int) -> list[Line]:
        """The oldest entries that were not replayed, at most `count`."""
        if not self._size():
            return []
        found: list[Line] = []
        with self._path.open("rb") as file:
            file.seek(self._done)
            while len(found) < count and (line := file.readline()):
                if (data := _checked(line)) is not None:
                    found.append(Line(data, file.tell()))
        return found

    def advance(self, line: Line) -> None:
        """That entry is in the database: go on behind it."""
        self._done = line.end
        self.waiting -= 1

    def clear(self) -> None:
        """All is replayed: delete the file."""
        self._path.unlink(missing_ok=True)
        self._done = self.waiting = 0

    def rewrite(self, change: Callable[[bytes], bytes | None]) -> int:
        """Change every entry that was not replayed, or drop it (None); how many were changed. The old file is gone afterwards."""
        lines = [line.data for line in self.peek(self.waiting)] if self.waiting else []
        changed = [change(data) for data in lines]
        kept = [data for data in changed if data is not None]
        count = sum(before != after for before, after in zip(lines, changed, strict=True))
        if not kept:
            self.clear()
        else:
            other = Journal(self._path.with_suffix(".new"), max_bytes=self._max_bytes)
            other.clear()
            other.append(kept)
            other._path.replace(self._path)
            self._done, self.waiting = 0, len(kept)
        return count

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _count(self) -> None:
        if self._size():
            with self._path.open("rb") as file:
                for line in file:
                    good = _checked(line) is not None
                    self.waiting += good
                    self.damaged += not good and line != b"\n"


def _write(descriptor: int, lines: bytes, size: int) -> None:
    """All of it, or the file as it was: a full disk takes parts."""
    try:
        view = memoryview(lines)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fdatasync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _checked(line: bytes) -> bytes | None:
    """What stands behind a right checksum."""
    checksum, _, data = line.rstrip(b"\n").partition(b" ")
    try:
        right = len(checksum) == 8 and int(checksum, 16) == zlib.crc32(data)
    except ValueError:
        return None
    return data if right else None
