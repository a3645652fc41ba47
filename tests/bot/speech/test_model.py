"""Finding and checking models: whatever is wrong with a folder, it is said, and libvosk never aborts the process."""

import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.speech.model import BUNDLED_MODEL, PROJECT, check_model, find_model
from moderation.errors import ModelMissing
from tests.bot.speech.audio import CONVERSATION, MODEL

pytestmark = pytest.mark.integration

Edit = Callable[[Path], None]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return copy_model(tmp_path / "model")


def copy_model(to: Path) -> Path:
    """A copy whose files are links: replace them, do not write into them."""
    return Path(shutil.copytree(MODEL, to, copy_function=os.link if same_device(to) else shutil.copy2))


def same_device(path: Path) -> bool:
    return path.parent.stat().st_dev == MODEL.stat().st_dev


def put(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def cut(name: str, size: int) -> Edit:
    return lambda model: put(model / name, (model / name).read_bytes()[:size])


def swap(name: str, old: bytes, new: bytes) -> Edit:
    return lambda model: put(model / name, (model / name).read_bytes().replace(old, new))


def write(name: str, data: bytes) -> Edit:
    return lambda model: put(model / name, data)


def remove(name: str) -> Edit:
    def edit(model: Path) -> None:
        path = model / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return edit


def folder_at(name: str) -> Edit:
    def edit(model: Path) -> None:
        (model / name).unlink()
        (model / name).mkdir()

    return edit


def zeros_from(name: str, start: int) -> Edit:
    def edit(model: Path) -> None:
        data = (model / name).read_bytes()
        put(model / name, data[:start] + bytes(len(data) - start))

    return edit


def ivector(*names: str) -> Edit:
    def edit(model: Path) -> None:
        for name in names:
            put(model / "ivector" / name, b"\0B<IvectorExtractor> " if name == "final.ie" else b"\0Bdata")

    return edit


BROKEN: dict[str, tuple[Edit, str]] = {
    "no acoustic model": (remove("am/final.mdl"), "am/final.mdl is missing"),
    "empty acoustic model": (cut("am/final.mdl", 0), "am/final.mdl is empty"),
    "acoustic model is text": (write("am/final.mdl", b"hello\n" * 99), "am/final.mdl does not start as a Kaldi file"),
    "acoustic model is a Git LFS pointer": (write("am/final.mdl", b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
    "acoustic model is a web page": (write("am/final.mdl", b"<!DOCTYPE html><p>Not found"), "web page"),
    "acoustic model is a zip": (write("am/final.mdl", b"PK\3\4" + bytes(100)), "zip file"),
    "acoustic model is a folder": (folder_at("am/final.mdl"), "is not a file"),
    "acoustic model ends in zeros": (zeros_from("am/final.mdl", 2_000_000), "am/final.mdl ends in zeros"),
    "no features": (remove("conf/mfcc.conf"), "conf/mfcc.conf is missing"),
    "features cut": (cut("conf/mfcc.conf", 1), "conf/mfcc.conf line 1"),
    "feature size 0": (swap("conf/mfcc.conf", b"--dither=0", b"--frame-length=0"), "--frame-length must be above 0"),
    "feature rate no number": (swap("conf/mfcc.conf", b"--dither=0", b"--sample-frequency=x"), "--sample-frequency must be above 0"),
    "highest frequency cut": (cut("conf/mfcc.conf", 80), "--high-freq is cut: 760 Hz"),
    "no configuration": (remove("conf/model.conf"), "conf/model.conf is missing"),
    "empty configuration": (cut("conf/model.conf", 0), "conf/model.conf is empty"),
    "configuration cut before the silence phones": (cut("conf/model.conf", 103), "--endpoint.silence-phones is missing"),
    "silence phones no numbers": (swap("conf/model.conf", b"phones=1", b"phones=x"), "--endpoint.silence-phones is missing or not"),
    "subsampling 0": (swap("conf/model.conf", b"factor=3", b"factor=0"), "--frame-subsampling-factor must be above 0"),
    "configuration is binary": (write("conf/model.conf", b"--a=\0\0\0"), "not a text file"),
    "no graph": (remove("graph"), "graph/HCLG.fst (or graph/HCLr.fst and graph/Gr.fst) is missing"),
    "no grammar": (remove("graph/Gr.fst"), "graph/Gr.fst is missing"),
    "no lexicon": (remove("graph/HCLr.fst"), "graph/HCLr.fst is missing"),
    "grammar of another kind": (write("graph/Gr.fst", b"x" * 10_000), "graph/Gr.fst is not an OpenFst graph"),
    "grammar cut in its header": (cut("graph/Gr.fst", 30), "graph/Gr.fst is truncated in its header"),
    "grammar cut": (cut("graph/Gr.fst", 775_858), "graph/Gr.fst is truncated: 775858 bytes of at least"),
    "grammar without its last byte": (cut("graph/Gr.fst", 1_551_716), "graph/Gr.fst is truncated"),
    "grammar ends in zeros": (zeros_from("graph/Gr.fst", 100_000), "graph/Gr.fst ends in zeros"),
    "lexicon ends in zeros": (zeros_from("graph/HCLr.fst", 100_000), "graph/HCLr.fst ends in zeros"),
    "one-piece graph of another kind": (write("graph/HCLG.fst", b"x" * 100), "graph/HCLG.fst is not an OpenFst graph"),
    "header with an absurd name": (
        write("graph/Gr.fst", struct.pack("<Ii", 0x7EB2FDD6, 2**31 - 1) + bytes(100)),
        "truncated in its header",
    ),
    "no disambiguation symbols": (remove("graph/disambig_tid.int"), "graph/disambig_tid.int is missing"),
    "disambiguation symbol cut": (cut("graph/disambig_tid.int", 2), "graph/disambig_tid.int is truncated"),
    "no words": (remove("graph/words.txt"), "graph/words.txt is missing"),
    "words cut in a word": (cut("graph/words.txt", 8_648), "graph/words.txt line"),
    "words cut in a number": (cut("graph/words.txt", 12_972), "graph/words.txt is truncated in its last line"),
    "no word boundaries": (remove("graph/phones/word_boundary.int"), "graph/phones/word_boundary.int is missing"),
    "word boundaries cut": (cut("graph/phones/word_boundary.int", 414), "graph/phones/word_boundary.int line"),
    "word boundaries cut between lines": (cut("graph/phones/word_boundary.int", 1_645), "it lacks 1 of the phones in am/final.mdl"),
    "i-vectors without an extractor": (ivector("final.dubm"), "ivector/final.ie is missing"),
    "i-vectors in part": (ivector("final.ie", "final.dubm"), "ivector/final.mat is missing"),
    "i-vectors without their config": (
        ivector("final.ie", "final.dubm", "final.mat", "global_cmvn.stats", "splice.conf"),
        "ivector/online_cmvn.conf is missing",
    ),
    "rescoring in part": (write("rescore/G.carpa", b"\0Bx"), "rescore/G.fst is missing"),
    "RNN in part": (write("rnnlm/final.raw", b"\0B<Nnet3> "), "rnnlm/feat_embedding.final.mat is missing"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_refused_and_the_file_named(model: Path, name: str) -> None:
    edit, message = BROKEN[name]
    edit(model)
    with pytest.raises(ModelMissing) as caught:
        check_model(model)
    assert message in str(caught.value)
    assert str(model) in str(caught.value)


def test_the_bundled_model_is_whole() -> None:
    check_model(MODEL)
    assert BUNDLED_MODEL == MODEL


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="nowhere: there is no such folder"):
        check_model(tmp_path / "nowhere")


def test_a_zip_is_recognised(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as file:
        file.writestr("model/am/final.mdl", "x")
    with pytest.raises(ModelMissing, match=r"this is a zip file\. Unpack it"):
        check_model(tmp_path / "model.zip")
    with pytest.raises(ModelMissing, match=r"model\.zip is still packed"):
        check_model(tmp_path)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "final.mdl").write_bytes(b"\0B<TransitionModel>")
    with pytest.raises(ModelMissing, match="this is not a folder"):
        check_model(tmp_path / "final.mdl")


def test_a_model_one_level_deeper_is_pointed_at(model: Path) -> None:
    with pytest.raises(ModelMissing, match="one level deeper") as caught:
        check_model(model.parent)
    assert str(model) in str(caught.value)


def test_an_empty_folder_and_a_speaker_model_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"am/final\.mdl is missing"):
        check_model(tmp_path)
    (tmp_path / "final.ext.raw").write_bytes(b"\0B")
    with pytest.raises(ModelMissing, match="speaker identification model"):
        check_model(tmp_path)


def test_the_older_flat_layout_is_accepted(tmp_path: Path) -> None:
    names = ("am/final.mdl", "conf/mfcc.conf", "graph/HCLr.fst", "graph/Gr.fst", "graph/disambig_tid.int", "graph/words.txt")
    for name in (*names, "graph/phones/word_boundary.int"):
        shutil.copy(MODEL / name, tmp_path)
    check_model(tmp_path)
    (tmp_path / "word_boundary.int").unlink()
    with pytest.raises(ModelMissing, match=r"word_boundary\.int is missing"):
        check_model(tmp_path)


def test_words_may_be_inside_the_grammar(model: Path) -> None:
    """The official small models ship no words.txt: their Gr.fst carries the words (flag 2 of the OpenFst header)."""
    data = bytearray((model / "graph/Gr.fst").read_bytes())
    (at,) = [data.index(b"standard") + len(b"standard") + 4]
    struct.pack_into("<i", data, at, struct.unpack_from("<i", data, at)[0] | 2)
    put(model / "graph/Gr.fst", bytes(data))
    (model / "graph/words.txt").unlink()
    check_model(model)


LOAD_AND_LISTEN = """
import asyncio, sys, wave
from pathlib import Path
from bot.speech.vosk import VoskTranscriber
from moderation.errors import ModelMissing, RecognizerFailed

async def listen(path, pcm):
    transcriber = VoskTranscriber.load(path, threads=1)
    recognizer = await transcriber.open()
    await recognizer.accept(pcm + bytes(64000))
    await recognizer.finish()
    await transcriber.aclose()

pcm = wave.open(sys.argv[1]).readframes(10**7)
for path in sys.stdin.read().split("\\n"):
    try:
        asyncio.run(listen(Path(path), pcm))
        print(path, "loaded", flush=True)
    except (ModelMissing, RecognizerFailed) as error:
        print(path, error.code, flush=True)
"""


def listen(*folders: Path) -> subprocess.CompletedProcess[str]:
    """Load each model and transcribe with it, in a process that may die of it; a line `folder outcome` for each."""
    return subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-c", LOAD_AND_LISTEN, str(CONVERSATION / "ben_02.wav")],
        input="\n".join(map(str, folders)),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=PROJECT,
    )


def test_no_truncated_file_aborts_the_process(tmp_path: Path) -> None:
    """Every file cut at many lengths: it is refused, or libvosk loads what is left; the process always lives."""
    folders = []
    for file in sorted(p for p in MODEL.rglob("*") if p.is_file() and p.name != "README.md"):
        size = file.stat().st_size
        for keep in sorted({0, 1, 2, min(20, size // 3), size // 4, size // 2, size * 3 // 4, max(size - 100, 0), size - 1}):
            folders.append(copy_model(tmp_path / f"{file.name}-{keep}"))
            cut(str(file.relative_to(MODEL)), keep)(folders[-1])
    child = listen(*folders)
    outcomes = dict(line.rsplit(" ", 1) for line in child.stdout.splitlines())
    assert child.returncode == 0, f"died at {folders[len(outcomes)]}: {child.stderr[-500:]}"
    assert set(outcomes) == {str(f) for f in folders}
    assert set(outcomes.values()) <= {"loaded", "model-missing"}
    cut_mdl = [o for path, o in outcomes.items() if "/final.mdl-" in path]
    assert cut_mdl == ["model-missing"] * len(cut_mdl)


def test_parts_that_do_not_fit_are_refused_on_loading(model: Path) -> None:
    """Features of another size pass every check of files; only libvosk can tell."""
    swap("conf/mfcc.conf", b"--num-ceps=40", b"--num-ceps=20")(model)
    check_model(model)
    child = listen(model)
    assert child.stdout.split()[-1:] == ["model-missing"]


def test_a_path_may_be_relative_to_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model(path="tests/speech/vosk-model-tiny-en") == MODEL
    copy_model(tmp_path / "mine")
    assert find_model(path="mine").resolve() == tmp_path / "mine"
    assert find_model(path=str(MODEL)) == MODEL


def test_the_bundled_model_is_used_only_on_request() -> None:
    with pytest.raises(ModelMissing, match="VOSK_MODEL_PATH"):
        find_model()
    assert find_model(bundled=True) == MODEL


def test_a_cached_model_is_found_by_name_and_by_language(tmp_path: Path) -> None:
    def no_download(name: str | None, language: str | None, cache: Path) -> Path:
        raise AssertionError("must not download")

    for name in ("vosk-model-en-us-0.22", "vosk-model-small-en-us-0.15", "vosk-model-small-en-in-0.4"):
        copy_model(tmp_path / name)
    assert find_model(name="vosk-model-en-us-0.22", cache_dir=tmp_path, download=no_download).name == "vosk-model-en-us-0.22"
    assert find_model(language="en-us", cache_dir=tmp_path, download=no_download).name == "vosk-model-small-en-us-0.15"


def test_a_broken_cached_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vosk-model-small-en-us-0.15").mkdir()
    with pytest.raises(ModelMissing, match=r"am/final\.mdl is missing"):
        find_model(name="vosk-model-small-en-us-0.15", cache_dir=tmp_path)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", " ", ".hidden"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        find_model(name=name, cache_dir=tmp_path)


def test_checking_imports_no_vosk() -> None:
    code = "import sys; from bot.speech.model import *; check_model(BUNDLED_MODEL); print('vosk' not in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)  # noqa: S603
    assert child.stdout.strip() == "True"
