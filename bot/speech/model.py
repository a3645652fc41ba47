"""Finding a Vosk model on disk and checking it before libvosk does.

libvosk raises on most broken models, but aborts or crashes the whole process on some: a `model.conf` cut before
`--endpoint.silence-phones`, a number cut in `disambig_tid.int`, zero frame sizes, a graph that ends in zeros (measured with vosk
0.3.45). Nothing here imports vosk.

Layout (vosk-api `Model::ConfigureV2`; the older `ConfigureV1` has the same names without folders):

    am/final.mdl   conf/mfcc.conf   conf/model.conf
    graph/HCLG.fst, or graph/HCLr.fst + graph/Gr.fst + graph/disambig_tid.int
    graph/words.txt (optional where Gr.fst carries the words)   graph/phones/word_boundary.int
    ivector/* (optional)   rescore/* (optional)   rnnlm/* (optional)
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.speech.kaldi import (
    check_config,
    check_features,
    check_fst,
    check_integers,
    check_mdl,
    check_word_boundary,
    check_words,
    fst_has_words,
)
from moderation.errors import ModelMissing

PROJECT = Path(__file__).resolve().parents[2]
"""Folder that relative model paths are looked up in when the working directory does not have them."""

BUNDLED_MODEL = PROJECT / "tests" / "speech" / "vosk-model-tiny-en"
"""A tiny real model for the demo and tests. It never heard a human voice: not for moderating people."""

CACHE_DIR = Path.home() / ".cache" / "vosk"
"""Where vosk's own downloader keeps models on Linux."""

MODELS_PAGE = "https://alphacephei.com/vosk/models"

Download = Callable[[str | None, str | None, Path], Path]
"""(model name, language, cache folder) → the folder of the downloaded model; raises `ModelMissing`."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a model keeps its files, relative to its folder."""

    acoustic: str
    features: tuple[str, str]
    config: str | None
    graph: str
    boundary: str

    def graph_file(self, name: str) -> str:
        return f"{self.graph}{name}"


_FOLDERS = _Layout("am/final.mdl", ("conf/mfcc.conf", "conf/fbank.conf"), "conf/model.conf", "graph/", "graph/phones/word_boundary.int")
_FLAT = _Layout("final.mdl", ("mfcc.conf", "fbank.conf"), None, "", "word_boundary.int")

_IVECTOR = ("final.dubm", "final.mat", "global_cmvn.stats", "splice.conf")
_RNNLM = ("feat_embedding.final.mat", "special_symbol_opts.conf", "word_feats.txt")


def find_model(
    *,
    path: str | None = None,
    name: str | None = None,
    language: str | None = None,
    cache_dir: Path = CACHE_DIR,
    bundled: bool = False,
    download: Download | None = None,
) -> Path:
    """The folder of a checked model: `path`, else `name`/`language` from the cache or by download, else the bundled one.

    Args:
        path: `VOSK_MODEL_PATH`: absolute, or relative to the working directory or the project.
        name: `VOSK_MODEL_NAME`, e.g. `vosk-model-small-en-us-0.15`.
        language: `VOSK_LANGUAGE`, e.g. `en-us`: the small model of that language.
        cache_dir: where downloaded models are kept.
        bundled: fall back on the tiny test model. For the demo and tests only.
        download: fetches what the cache does not have; None is vosk's own downloader.

    Raises:
        ModelMissing: none is set, the set one is unusable, or it could not be downloaded; says what to do.
    """
    if path:
        found = _absolute(path)
    elif name or language:
        found = _cached(name, language, cache_dir) or _fetch(name, language, cache_dir, download)
    elif bundled:
        found = BUNDLED_MODEL
    else:
        raise ModelMissing(
            f"No speech model is set. Download one from {MODELS_PAGE}, unpack it and set VOSK_MODEL_PATH to its folder, "
            "or set VOSK_MODEL_NAME or VOSK_LANGUAGE to have it downloaded."
        )
    check_model(found)
    return found


def check_model(path: Path) -> None:
    """Check that a folder holds a whole Vosk model, without reading its large files.

    Raises:
        ModelMissing: names the file that is missing, empty, truncated or of another kind, and what to do.
    """
    try:
        _check_folder(path)
        layout = _layout(path)
        _check_acoustic(path, layout)
        _check_graph(path, layout)
        _check_extras(path)
    except OSError as error:
        raise ModelMissing(f"Speech model {path}: cannot read {error.filename or 'it'}: {error.strerror or error}.") from error


def _absolute(path: str) -> Path:
    given = Path(path).expanduser()
    return given if given.is_absolute() or given.exists() else PROJECT / given


def _cached(name: str | None, language: str | None, cache_dir: Path) -> Path | None:
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ModelMissing(f"VOSK_MODEL_NAME is no model name: use one of {MODELS_PAGE}, such as vosk-model-small-en-us-0.15.")
        return cache_dir / name if (cache_dir / name).is_dir() else None
    wanted = re.compile(rf"vosk-model(-small)?-{re.escape(language or '')}(-[0-9].*)?")
    found = [p for p in cache_dir.glob("vosk-model-*") if p.is_dir() and wanted.fullmatch(p.name)]
    return min(found, key=lambda p: ("-small-" not in p.name, p.name), default=None)


def _fetch(name: str | None, language: str | None, cache_dir: Path, download: Download | None) -> Path:
    if download is not None:
        return download(name, language, cache_dir)
    from bot.speech.vosk import download_model  # noqa: PLC0415 (vosk is imported only when it must fetch)

    return download_model(name, language, cache_dir)


def _check_folder(path: Path) -> None:
    if not path.exists():
        raise ModelMissing(
            f"Speech model {path}: there is no such folder. Download a model from {MODELS_PAGE} and set VOSK_MODEL_PATH to it."
        )
    if path.is_dir():
        return
    if path.is_file() and zipfile.is_zipfile(path):
        raise ModelMissing(f"Speech model {path}: this is a zip file. Unpack it and set VOSK_MODEL_PATH to the folder inside.")
    raise ModelMissing(f"Speech model {path}: this is not a folder. VOSK_MODEL_PATH must be the folder of an unpacked Vosk model.")


def _layout(path: Path) -> _Layout:
    for layout in (_FOLDERS, _FLAT):
        if (path / layout.acoustic).exists():
            return layout
    for child in _children(path):
        if any((child / layout.acoustic).exists() for layout in (_FOLDERS, _FLAT)):
            raise ModelMissing(f"Speech model {path}: the model is one level deeper. Set VOSK_MODEL_PATH to {child}.")
        if child.suffix == ".zip":
            raise ModelMissing(
                f"Speech model {path}: {child.name} is still packed. Unpack it and set VOSK_MODEL_PATH to the folder inside."
            )
    if (path / "final.ext.raw").exists():
        raise ModelMissing(f"Speech model {path}: this is a speaker identification model (vosk-model-spk). Set a speech model.")
    raise ModelMissing(f"Speech model {path}: am/final.mdl is missing, so this is no Vosk model or a part of one. Unpack it again.")


def _children(path: Path, limit: int = 100) -> Iterator[Path]:
    for number, child in enumerate(path.iterdir()):
        if number >= limit:
            return
        yield child


def _check_acoustic(path: Path, layout: _Layout) -> None:
    check_mdl(path, layout.acoustic)
    features = [name for name in layout.features if (path / name).exists()]
    check_features(path, features[0] if features else layout.features[0])
    if layout.config:
        check_config(path, layout.config, above={"frame-subsampling-factor": 0}, phones="endpoint.silence-phones")


def _check_graph(path: Path, layout: _Layout) -> None:
    name = layout.graph_file
    carries_words = False
    if (path / name("HCLG.fst")).exists():
        check_fst(path, name("HCLG.fst"))
    else:
        if not (path / name("HCLr.fst")).exists() and not (path / name("Gr.fst")).exists():
            raise ModelMissing(
                f"Speech model {path}: {name('HCLG.fst')} (or {name('HCLr.fst')} and {name('Gr.fst')}) is missing. Unpack it again."
            )
        check_fst(path, name("HCLr.fst"))
        check_fst(path, name("Gr.fst"))
        check_integers(path, name("disambig_tid.int"))
        carries_words = fst_has_words(path, name("Gr.fst"))
    if not carries_words:
        check_words(path, name("words.txt"))
    check_word_boundary(path, layout.boundary, layout.acoustic)


def _check_extras(path: Path) -> None:
    """The optional parts: once the file that libvosk looks for is there, it wants the others too."""
    if (path / "ivector").is_dir():
        check_mdl(path, "ivector/final.ie", start=b"<IvectorExtractor>")
        for name in _IVECTOR:
            check_mdl(path, f"ivector/{name}", start=None)
        if not (path / "ivector/online_cmvn.conf").exists():
            raise ModelMissing(f"Speech model {path}: ivector/online_cmvn.conf is missing. Unpack it again.")
    if (path / "rescore/G.carpa").exists():
        check_mdl(path, "rescore/G.carpa", start=None)
        check_fst(path, "rescore/G.fst")
    if (path / "rnnlm/final.raw").exists():
        check_mdl(path, "rnnlm/final.raw", start=b"<Nnet3>")
        for name in _RNNLM:
            check_mdl(path, f"rnnlm/{name}", start=None)
