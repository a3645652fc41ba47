"""What every audio source is run through, made from settings: the speech model and the detectors. Live calls and replay share it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from bot.scoring.answers import CATEGORY_NAMES
from bot.scoring.opening import Scoring, open_scoring
from bot.speech.model import find_model
from bot.speech.vosk import VoskTranscriber
from bot.speech.words import ModelVocabulary
from config.settings import Settings
from moderation.detectors.lexicon import LexiconDetector, TermsOf
from moderation.detectors.toxicity import CATEGORY
from moderation.errors import LexiconInvalid
from moderation.ports import Detector
from moderation.vad import VoiceGate

T = TypeVar("T")

log = logging.getLogger(__name__)

LEXICON_POLL_SECONDS = 2.0
"""How often the lexicon file is looked at for changes."""
KNOWN_CATEGORIES = CATEGORY_NAMES | {CATEGORY}
"""Of toxicity scores."""


@dataclass(frozen=True, slots=True)
class Core:
    """The transcriber and the detectors of a process."""

    transcriber: VoskTranscriber
    lexicon: LexiconDetector
    vocabulary: ModelVocabulary
    scoring: Scoring
    detectors: tuple[Detector, ...]
    """Those that calls go through, as FLAGGING_PROVIDER says."""
    gate: Callable[[], VoiceGate] | None = None
    """Makes speakers' voice gates; None decodes everything."""

    @property
    def categories(self) -> frozenset[str]:
        """That flags may have, a server's own terms and unusual endpoints apart."""
        return self.lexicon.lexicon.categories | KNOWN_CATEGORIES

    async def watch_lexicon(self) -> None:
        """Take over a changed lexicon file; a bad one is refused and the old one stays."""
        while True:
            await asyncio.sleep(LEXICON_POLL_SECONDS)
            try:
                await self.lexicon.refresh()
            except LexiconInvalid as error:
                log.error(
                    "the changed lexicon is refused, the old one stays",
                    extra={"problems": len(error.problems), "first": str(error.problems[0])},
                )


@asynccontextmanager
async def open_core(settings: Settings, *, lexicon: Path | None = None, terms_of: TermsOf | None = None) -> AsyncIterator[Core]:
    """Load the lexicon and the speech model, off the event loop: a large model takes seconds.

    Args:
        settings: checked already.
        lexicon: instead of the one that the settings name.
        terms_of: reads a guild's own terms.

    Raises `LexiconInvalid` with line numbers, `ModelMissing` saying what to do.
    """
    path = lexicon or settings.flag_terms_path
    try:
        detector = await LexiconDetector.from_file(path, terms_of)
    except LexiconInvalid as error:
        raise LexiconInvalid(error.problems, where=str(path)) from None

    def load() -> tuple[VoskTranscriber, Path]:
        path = find_model(path=settings.vosk_model_path, name=settings.vosk_model_name, language=settings.vosk_language)
        return VoskTranscriber.load(path, threads=settings.earshot_workers), path

    transcriber, model = await _in_daemon_thread(load)
    try:
        async with open_scoring(settings) as scoring:
            live = (detector,) if settings.flagging_provider.uses_lexicon else ()
            gate = VoiceGate if settings.earshot_vad else None
            yield Core(transcriber, detector, ModelVocabulary(transcriber, model), scoring, (*live, *scoring.detectors), gate)
    finally:
        await transcriber.aclose()


async def _in_daemon_thread(work: Callable[[], T]) -> T:
    """Like `asyncio.to_thread`, but a process that stops does not wait for it: a download may take minutes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", result))

    def run() -> None:
        result: T | None = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="load", daemon=True).start()
    return await done
