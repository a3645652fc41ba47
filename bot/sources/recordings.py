"""Which files belong to a replayed session: paths, `NAME=PATH` pairs, folders, and a folder's `conversation.tsv`.

`conversation.tsv` (UTF-8, tab-separated, with a header) says who is heard in which file of its folder and when the file starts:
columns `file`, `speaker`, `start_seconds`; more are ignored.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from bot.sources.files import is_audio_name
from bot.sources.replay import Recording
from moderation.errors import UndecodableAudio
from moderation.models import Speaker

INDEX = "conversation.tsv"
MAX_RECORDINGS = 2000
"""Files in one session: more is a mistake, such as a music library."""
COLUMNS = ("file", "speaker", "start_seconds")


def find_recordings(paths: Sequence[Path], named: Iterable[tuple[str, Path]] = ()) -> list[Recording]:
    """The recordings of a session.

    Args:
        paths: audio files (each a speaker of its own, called as the file) and folders (their `conversation.tsv`, or all their
            audio files).
        named: (speaker, file or folder); the same name again is the same speaker, heard one file after another.

    Returns:
        At least one, with speakers numbered from 1.

    Raises:
        UndecodableAudio: a path does not exist, a folder holds no audio, or its index cannot be used; names it.
    """
    cast = _Cast()
    found: list[Recording] = []
    for path in paths:
        if path.is_dir() and (path / INDEX).is_file():
            found += _indexed(path / INDEX, cast)
        else:
            found += [Recording(cast.unnamed(file.stem), file) for file in _files(path)]
    for name, path in named:
        found += [Recording(cast.named(name), file) for file in _files(path)]
    if len(found) > MAX_RECORDINGS:
        raise UndecodableAudio(f"{len(found)} audio files are more than one session can be ({MAX_RECORDINGS}): name fewer.")
    return found


class _Cast:
    """Numbers speakers in order of appearance."""

    def __init__(self) -> None:
        self._speakers: dict[str, Speaker] = {}

    def named(self, name: str) -> Speaker:
        name = "".join(c for c in name if c.isprintable()).strip() or "speaker"
        return self._speakers.setdefault(name, Speaker(len(self._speakers) + 1, name))

    def unnamed(self, stem: str) -> Speaker:
        """A speaker of its own, also where two files are called the same."""
        name, number = stem, 2
        while name in self._speakers:
            name, number = f"{stem} ({number})", number + 1
        return self.named(name)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        files = sorted(p for p in path.iterdir() if is_audio_name(p) and p.is_file())
    except OSError as error:
        raise UndecodableAudio(f"{path}: cannot be read: {error.strerror}.") from error
    if not files:
        raise UndecodableAudio(f"{path}: the folder holds no audio files.")
    return files


def _indexed(index: Path, cast: _Cast) -> list[Recording]:
    found: list[Recording] = []
    try:
        with index.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            missing = [c for c in COLUMNS if c not in (rows.fieldnames or ())]
            if missing:
                raise UndecodableAudio(f"{index}: column {missing[0]} is missing; it needs {', '.join(COLUMNS)}, separated by tabs.")
            for row in rows:
                found.append(_recording(index, rows.line_num, row, cast))
                if len(found) > MAX_RECORDINGS:
                    break
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UndecodableAudio(f"{index}: cannot be read as tab-separated text ({type(error).__name__}).") from error
    if not found:
        raise UndecodableAudio(f"{index}: names no files.")
    return found


def _recording(index: Path, line: int, row: dict[str, str | None], cast: _Cast) -> Recording:
    name, speaker, start = (row[c] or "" for c in COLUMNS)
    if not name or Path(name).name != name:
        raise UndecodableAudio(f"{index}: line {line}: file must be the name of a file in the same folder.")
    if not speaker.strip():
        raise UndecodableAudio(f"{index}: line {line}: speaker is empty.")
    try:
        offset = float(start)
    except ValueError:
        offset = math.nan
    if not 0 <= offset < math.inf:
        raise UndecodableAudio(f"{index}: line {line}: start_seconds must be a number of seconds from 0.")
    return Recording(cast.named(speaker), index.parent / name, offset)
