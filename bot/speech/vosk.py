"""libvosk: models, recognisers and downloads. The only module that imports vosk."""

import contextlib
import ctypes
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import vosk

from bot.speech import results
from bot.speech.model import MODELS_PAGE, check_model
from bot.speech.pool import EnginePool, Limits, SpeechStats
from bot.speech.recognizer import VoskRecognizer
from moderation.errors import ModelMissing
from moderation.models import BYTES_PER_SECOND, SAMPLE_RATE, SAMPLE_WIDTH

STALL_SECONDS = 30.0
"""Silence of the download server that ends a download."""

_MALLOC_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


class VoskTranscriber:
    """Recognisers that share one model. Implements `moderation.ports.Transcriber`."""

    def __init__(self, model: Any, *, threads: int | None = None, limits: Limits | None = None) -> None:  # noqa: ANN401 (vosk is untyped)
        """`model`: a `vosk.Model`; `load` makes one from a folder. `threads`: decoding threads, None for one a core."""
        self._model = model
        self._pool = EnginePool(lambda: VoskEngine(model), threads=threads, limits=limits)

    @classmethod
    def load(cls, path: Path, *, threads: int | None = None, limits: Limits | None = None) -> Self:
        """Check a model, load it and try it once. Takes seconds for a large one: call it in a thread.

        Raises:
            ModelMissing: the model is incomplete or its parts do not fit together.
        """
        check_model(path)
        vosk.SetLogLevel(-1)
        try:
            model = vosk.Model(str(path))
            engine = VoskEngine(model)
            engine.feed(bytes(BYTES_PER_SECOND))
            engine.end(flush=True)
        except Exception:  # vosk raises nothing more specific
            raise ModelMissing(
                f"Speech model {path}: libvosk cannot use it (its own error stands above). A file is truncated, or files of "
                "different models are mixed. Download or unpack the model again."
            ) from None
        return cls(model, threads=threads, limits=limits)

    async def open(self) -> VoskRecognizer:
        """A recogniser for one live speaker; close it when they leave.

        Raises:
            RecognizerFailed: too many are open, or libvosk could not make one.
        """
        return VoskRecognizer(self._pool, await self._pool.take())

    def hears(self, word: str) -> bool:
        """Whether the model's vocabulary holds the word."""
        try:
            return results.is_word(word) and "\0" not in word and bool(self._model.vosk_model_find_word(word) >= 0)
        except UnicodeEncodeError:
            return False

    def on_decoded(self, told: Callable[[float], None]) -> None:
        """`told`, on a decoding thread, how many seconds each piece of audio took."""
        self._pool.decoded = told

    def stats(self) -> SpeechStats:
        """Counters, for metrics."""
        return self._pool.stats()

    async def aclose(self) -> None:
        """Wait for the jobs that run, then stop the threads; recognisers still open fail from then on. Idempotent."""
        await self._pool.aclose()


class VoskEngine:
    """A KaldiRecognizer and its counters. Implements `bot.speech.pool.Engine`."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 (vosk is untyped)
        self._recognizer: Any = vosk.KaldiRecognizer(model, SAMPLE_RATE)
        self._recognizer.SetWords(True)
        self.samples = 0
        self.utterances = 0

    def feed(self, pcm: bytes) -> bool:
        """Decode whole samples; whether libvosk's endpointer ended an utterance."""
        self.samples += len(pcm) // SAMPLE_WIDTH
        return bool(pcm) and bool(self._recognizer.AcceptWaveform(pcm))

    def partial(self) -> str:
        """The utterance so far, as JSON."""
        return str(self._recognizer.PartialResult())

    def end(self, *, flush: bool) -> str:
        """The utterance, as JSON; without `flush` the last few hundred milliseconds stay behind for the next."""
        self.utterances += 1
        return str(self._recognizer.FinalResult() if flush else self._recognizer.Result())

    def free(self) -> None:
        """Free libvosk's side and hand the memory back, which glibc does not do by itself (20 of them: 229 MB before, 53 after)."""
        self._recognizer = None
        if _MALLOC_TRIM is not None:
            _MALLOC_TRIM(0)


class _Downloader(vosk.Model):  # type: ignore[misc]
    """Vosk's own downloader without the model that its constructor would load."""

    def __init__(self) -> None:
        pass

    def __del__(self) -> None:
        pass


def download_model(name: str | None, language: str | None, cache_dir: Path) -> Path:
    """Download a model with vosk's own downloader (and its progress bar) and put it, checked, into the cache folder.

    Args:
        name: the model's name; None picks the small model of `language`.
        language: such as `en-us`; used when there is no name.
        cache_dir: made if need be. A download that breaks off leaves nothing there.

    Returns:
        The model's folder.

    Raises:
        ModelMissing: there is no such model, or it cannot be fetched; says what to download by hand and where to put it.
    """
    wanted = name or f"for language {language}"
    by_hand = f"Download {name or 'one'} by hand from {MODELS_PAGE}, unpack it into {cache_dir} or set VOSK_MODEL_PATH to its folder."
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=cache_dir) as folder, _vosk_downloads_into(Path(folder)):
            found = Path(_Downloader().get_model_path(name, language))
            check_model(found)
            target = cache_dir / found.name
            if not target.exists():
                found.rename(target)
            return target
    except SystemExit:
        raise ModelMissing(f"Speech model {wanted}: vosk's list has no such model. {MODELS_PAGE} shows what there is.") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelMissing(f"Speech model {wanted}: it cannot be downloaded ({type(error).__name__}). {by_hand}") from error


@contextlib.contextmanager
def _vosk_downloads_into(folder: Path) -> Iterator[None]:
    """Vosk keeps its folders in a module variable, prints errors on stdout and never gives up on a server that went silent."""
    folders, timeout = vosk.MODEL_DIRS, socket.getdefaulttimeout()
    vosk.MODEL_DIRS = [folder]
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        vosk.MODEL_DIRS = folders
        socket.setdefaulttimeout(timeout)
