"""The vocabulary of a model, read from its files."""

import shutil
import struct
from pathlib import Path

import pytest

from bot.speech.vosk import VoskTranscriber
from bot.speech.words import ModelVocabulary, model_words
from tests.bot.speech.audio import MODEL

pytestmark = pytest.mark.integration


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shutil.copytree(MODEL, tmp_path / "model")
    return tmp_path / "model"


def string(text: str) -> bytes:
    return struct.pack("<i", len(text.encode())) + text.encode()


def symbols(*words: str) -> bytes:
    """A symbol table as OpenFst's `SymbolTableImpl::Write` lays it out."""
    rows = b"".join(string(word) + struct.pack("<q", n) for n, word in enumerate(words))
    return struct.pack("<i", 2125658996) + string("words") + struct.pack("<qq", len(words), len(words)) + rows


def graph(flags: int, *tables: bytes) -> bytes:
    """The head of a graph file, as OpenFst's `FstHeader::Write` lays it out, with symbol tables after it."""
    return (
        struct.pack("<I", 0x7EB2FDD6)
        + string("const")
        + string("standard")
        + struct.pack("<iiQqqq", 2, flags, 0, 0, 1, 0)
        + b"".join(tables)
    )


def test_the_list_of_the_model_is_its_words_without_marks() -> None:
    words = model_words(MODEL)
    assert words is not None
    assert len(words) == 1620
    assert {"idiot", "let's", "a"} <= set(words)
    assert not {"<eps>", "[unk]", "#0"} & set(words)


async def test_the_model_hears_exactly_the_words_that_it_lists() -> None:
    transcriber = VoskTranscriber.load(MODEL, threads=1)
    vocabulary = ModelVocabulary(transcriber, MODEL)
    assert all(vocabulary.hears(word) for word in vocabulary.words() or ())
    assert not vocabulary.hears("imbecile")
    await transcriber.aclose()


@pytest.mark.parametrize("tables", [(2, ("<eps>", "kiss", "naïve", "#0")), (3, ("x1", "x2"), ("<eps>", "kiss", "naïve"))])
def test_words_inside_the_graph_are_read(model: Path, tables: tuple[int, *tuple[tuple[str, ...], ...]]) -> None:
    flags, *lists = tables
    (model / "graph/words.txt").unlink()
    (model / "graph/Gr.fst").write_bytes(graph(flags, *(symbols(*words) for words in lists)))
    assert model_words(model) == ["kiss", "naïve"]


def test_a_model_that_lists_its_words_nowhere_has_none(model: Path) -> None:
    (model / "graph/words.txt").unlink()
    assert model_words(model) is None, "the graph of this model carries no words"
    whole = graph(2, symbols("<eps>", "kiss"))
    for cut in (0, 3, 20, len(whole) - 3):
        (model / "graph/Gr.fst").write_bytes(whole[:cut])
        assert model_words(model) is None
    (model / "graph/Gr.fst").write_bytes(graph(2, struct.pack("<i", 2125658996) + struct.pack("<i", 1 << 30)))
    assert model_words(model) is None


def test_the_flat_layout_is_read_too(tmp_path: Path) -> None:
    shutil.copy(MODEL / "graph/words.txt", tmp_path)
    assert len(model_words(tmp_path) or ()) == 1620
