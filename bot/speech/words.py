"""The words that a Vosk model can write, read from its files.

`graph/words.txt` lists them, a line `word number` each. Models with a look-ahead graph may leave it out (the official small ones do): then
the output symbols of `graph/Gr.fst` are they (OpenFst, `symbol-table.cc`: magic, name, next key, count, then symbol and key each).
"""

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from bot.speech.kaldi import FST_HAS_OUTPUT_SYMBOLS, FST_MAGIC, MAX_LINE
from bot.speech.results import is_word
from bot.speech.vosk import VoskTranscriber

MAX_WORDS = 1_000_000
"""Words that are read; the largest public models know some 300,000."""

_FST_FIXED = struct.Struct("<iiQqqq")
_INPUT_SYMBOLS = 0x1
_SYMBOLS_MAGIC = 2_125_658_996


class ModelVocabulary:
    """The vocabulary of a loaded model. Implements `moderation.hearing.Vocabulary`."""

    def __init__(self, transcriber: VoskTranscriber, path: Path) -> None:
        """`path`: the model's folder."""
        self._transcriber = transcriber
        self.path = path

    def hears(self, word: str) -> bool:
        """Whether the model can write the word."""
        return self._transcriber.hears(word)

    def words(self) -> list[str] | None:
        """All that it can write; None where no file lists them. Takes about a second for 300,000."""
        return model_words(self.path)


def model_words(path: Path) -> list[str] | None:
    """The words of a model's folder, None where no file of it lists them."""
    for graph in (path / "graph", path):
        for name, read in (("words.txt", _listed), ("Gr.fst", _carried)):
            try:
                with (graph / name).open("rb") as file:
                    words = [word for word in islice(read(file), MAX_WORDS) if is_word(word)]
            except (OSError, struct.error, UnicodeDecodeError):
                continue
            if words:
                return words
    return None


def _listed(file: BinaryIO) -> Iterator[str]:
    for line in iter(lambda: file.readline(MAX_LINE), b""):
        if columns := line.split():
            yield columns[0].decode()


def _carried(file: BinaryIO) -> Iterator[str]:
    if _unpack(file, "<I")[0] != FST_MAGIC:
        return
    for _ in range(2):  # kinds of graph and of arc
        _string(file)
    flags = _FST_FIXED.unpack(_exactly(file, _FST_FIXED.size))[1]
    if flags & _INPUT_SYMBOLS:
        for _ in _symbols(file):
            pass
    if flags & FST_HAS_OUTPUT_SYMBOLS:
        yield from _symbols(file)


def _symbols(file: BinaryIO) -> Iterator[str]:
    if _unpack(file, "<i")[0] != _SYMBOLS_MAGIC:
        return
    _string(file)
    _, count = _unpack(file, "<qq")
    for _ in range(min(count, MAX_WORDS)):
        symbol = _string(file)
        _unpack(file, "<q")
        yield symbol


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<i")
    if not 0 <= length <= MAX_LINE:
        raise struct.error("no string")
    return _exactly(file, length).decode()


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, _exactly(file, struct.calcsize(form)))


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise struct.error("truncated")
    return data
