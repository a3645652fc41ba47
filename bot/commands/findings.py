"""Single looks at what the bot needs. The doctor makes all of them; a start makes the cheap ones first, to tell every problem at once."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # heavy imports stay off `--help`
    from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    ok: bool
    detail: str
    """One sentence; for a problem, with what to do."""
    needed: bool = True
    """Whether the bot cannot run without it."""
    doubtful: bool = False
    """It works, and is likely not what was meant."""


NO_TERMS = "has no term that flags, so the lexicon finds nothing; add terms, or set FLAG_TERMS_PATH to `starter` or to your own"
SAMPLE = (
    "the sample: placeholders and mild insults, no threats; set FLAG_TERMS_PATH to `starter` or to your own, or take presets "
    "with /lexicon preset"
)


async def model(settings: "Settings") -> Finding:
    """Whether the folder that is set holds a whole model; nothing is loaded or fetched."""
    from bot.speech.model import CACHE_DIR, MODELS_PAGE, find_model  # noqa: PLC0415
    from moderation.errors import ModelMissing  # noqa: PLC0415

    wanted = settings.vosk_model_name or settings.vosk_language
    if wanted and not settings.vosk_model_path:
        return Finding(ok=True, detail=f"{wanted} is fetched from {MODELS_PAGE} at the first start, unless {CACHE_DIR} has it")
    try:
        return Finding(ok=True, detail=str(await asyncio.to_thread(find_model, path=settings.vosk_model_path)))
    except ModelMissing as error:
        return Finding(ok=False, detail=str(error))


async def lexicon(settings: "Settings") -> Finding:
    """Whether every term can be used."""
    from config.settings import SAMPLE_LEXICON  # noqa: PLC0415
    from moderation.errors import LexiconInvalid  # noqa: PLC0415
    from moderation.lexicon_files import load  # noqa: PLC0415
    from moderation.terms import TermType  # noqa: PLC0415

    path = settings.flag_terms_path
    try:
        terms = load(path)
    except LexiconInvalid as error:
        return Finding(ok=False, detail=f"FLAG_TERMS_PATH: {path}: {'; '.join(map(str, error.problems))}")
    if all(term.type is TermType.ALLOW for term in terms):
        return Finding(ok=True, detail=f"FLAG_TERMS_PATH: {path} {NO_TERMS}", doubtful=True)
    if path == SAMPLE_LEXICON:
        return Finding(ok=True, detail=f"{len(terms)} terms in {path}, {SAMPLE}")
    return Finding(ok=True, detail=f"{len(terms)} terms in {path}")


async def opus(_: "Settings") -> Finding:
    """Which libopus there is."""
    from bot.voice.opus import library  # noqa: PLC0415
    from moderation.errors import SourceError  # noqa: PLC0415

    try:
        path, _library = library()
    except SourceError as error:
        return Finding(ok=False, detail=str(error))
    return Finding(ok=True, detail=path)


async def database(settings: "Settings") -> Finding:
    """Whether it opens; a SQLite file that is not there yet is not made."""
    from bot.storage.database import Database, file_to_make  # noqa: PLC0415
    from moderation.errors import ModerationError  # noqa: PLC0415

    try:
        if (path := file_to_make(settings.database_url.get_secret_value())) is not None:
            return Finding(ok=True, detail=f"{path} is made at the first start")
        opened = await Database.open(settings.database_url.get_secret_value())
    except ModerationError as error:
        return Finding(ok=False, detail=str(error))
    await opened.aclose()
    return Finding(ok=True, detail=f"{opened.where} opens")


async def port(settings: "Settings") -> Finding:
    """Whether the HTTP side could listen."""
    from bot.api.app import create_app, serve  # noqa: PLC0415
    from moderation.errors import SettingsError  # noqa: PLC0415

    token = settings.api_token.get_secret_value() if settings.api_token is not None else None
    try:
        async with serve(create_app({}, token=token, max_body=1), settings.api_host, settings.api_port):
            return Finding(ok=True, detail=f"{settings.api_host} port {settings.api_port} is free")
    except SettingsError as error:
        return Finding(ok=False, detail=" ".join(error.problems))


async def at_start(settings: "Settings") -> list[Finding]:
    """What a quick look before the start tells, all of it at once."""
    looks = [lexicon, opus, database, port]
    if settings.vosk_model_path:
        looks.insert(0, model)
    return [await look(settings) for look in looks]
