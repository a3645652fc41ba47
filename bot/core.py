"""What every audio source is run through, made from settings: the speech model and the detectors. Live calls and replay share it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.speech.model import find_model
from bot.speech.vosk import VoskTranscriber
from bot.speech.words import ModelVocabulary
from config.settings import Settings
from moderation.detectors.lexicon import LexiconDetector, TermsOf


@dataclass(frozen=True, slots=True)
class Core:
    """The transcriber and the detectors of a process."""

    transcriber: VoskTranscriber
    lexicon: LexiconDetector
    vocabulary: ModelVocabulary

    @property
    def detectors(self) -> tuple[LexiconDetector, ...]:
        """All of them."""
        return (self.lexicon,)


@asynccontextmanager
async def open_core(settings: Settings, *, lexicon: Path | None = None, terms_of: TermsOf | None = None) -> AsyncIterator[Core]:
    """Load the lexicon and the speech model, off the event loop: a large model takes seconds.

    Args:
        settings: checked already.
        lexicon: instead of the one that the settings name.
        terms_of: reads a guild's own terms.

    Raises `LexiconInvalid` with line numbers, `ModelMissing` saying what to do.
    """
    detector = await LexiconDetector.from_file(lexicon or settings.flag_terms_path, terms_of)

    def load() -> tuple[VoskTranscriber, Path]:
        path = find_model(path=settings.vosk_model_path, name=settings.vosk_model_name, language=settings.vosk_language)
        return VoskTranscriber.load(path, threads=settings.earshot_workers), path

    transcriber, model = await asyncio.to_thread(load)
    try:
        yield Core(transcriber, detector, ModelVocabulary(transcriber, model))
    finally:
        await transcriber.aclose()
