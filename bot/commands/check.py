"""`python -m bot check`: the doctor. One line for each thing the bot needs, with what to do about it."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.commands.env_file import add_env_file, given_env_file

if TYPE_CHECKING:  # heavy imports stay off `--help`
    import aiohttp

    from config.settings import Settings

DISCORD_SECONDS = 10.0
"""How long Discord may take to answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    ok: bool
    detail: str
    """One sentence; for a problem, with what to do."""
    needed: bool = True
    """Whether the bot cannot run without it."""


Check = Callable[["Settings"], Awaitable[Finding]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_env_file(parser)
    parser.add_argument("--settings", action="store_true", help="list every setting with its value, default and meaning")


def run(args: argparse.Namespace) -> int:
    """0 when the bot can run, 1 when something is in the way."""
    from config.settings import InvalidSettings, Settings  # noqa: PLC0415

    try:
        settings = Settings.load(given_env_file(args))
    except InvalidSettings as error:
        for problem in error.problems:
            _print("settings", Finding(ok=False, detail=problem))
        return 1
    if args.settings:
        _print_settings(settings)
        return 0
    _print("settings", Finding(ok=True, detail="all of them can be used"))
    return asyncio.run(_all(settings))


async def _all(settings: "Settings") -> int:
    healthy = True
    for name, check in CHECKS.items():
        finding = await check(settings)
        _print(name, finding)
        healthy &= finding.ok or not finding.needed
    sys.stdout.write("\nEverything that is needed is there.\n" if healthy else "\nThe bot cannot run like this: see the lines marked ✗.\n")
    return 0 if healthy else 1


async def _model(settings: "Settings") -> Finding:
    from bot.speech.model import CACHE_DIR, MODELS_PAGE, find_model  # noqa: PLC0415
    from bot.speech.vosk import VoskTranscriber  # noqa: PLC0415
    from moderation.errors import ModelMissing  # noqa: PLC0415

    wanted = settings.vosk_model_name or settings.vosk_language
    if wanted and not settings.vosk_model_path:
        return Finding(ok=True, detail=f"{wanted} is fetched from {MODELS_PAGE} at the first start, unless {CACHE_DIR} has it")
    try:
        path = find_model(path=settings.vosk_model_path)
        transcriber = await asyncio.to_thread(VoskTranscriber.load, path)
        await transcriber.aclose()
        return Finding(ok=True, detail=f"{path} loads")
    except ModelMissing as error:
        return Finding(ok=False, detail=str(error))


async def _lexicon(settings: "Settings") -> Finding:
    from moderation.errors import LexiconInvalid  # noqa: PLC0415
    from moderation.lexicon_files import load  # noqa: PLC0415

    try:
        terms = load(settings.flag_terms_path)
    except LexiconInvalid as error:
        return Finding(ok=False, detail=f"{settings.flag_terms_path}: {'; '.join(map(str, error.problems))}")
    return Finding(ok=True, detail=f"{len(terms)} terms in {settings.flag_terms_path}")


async def _opus(_: "Settings") -> Finding:
    from bot.voice.opus import library  # noqa: PLC0415
    from moderation.errors import SourceError  # noqa: PLC0415

    try:
        path, _library = library()
    except SourceError as error:
        return Finding(ok=False, detail=str(error))
    return Finding(ok=True, detail=path)


async def _dave(_: "Settings") -> Finding:
    from bot.voice.dave import PROTOCOL_VERSION  # noqa: PLC0415

    return Finding(ok=PROTOCOL_VERSION >= 1, detail=f"protocol version {PROTOCOL_VERSION}, by davey")


async def _database(settings: "Settings") -> Finding:
    from bot.storage.database import Database  # noqa: PLC0415
    from moderation.errors import ModerationError  # noqa: PLC0415

    url = settings.database_url.get_secret_value() if settings.database_url else ""
    try:
        database = await Database.open(url)
    except ModerationError as error:
        return Finding(ok=False, detail=str(error))
    await database.aclose()
    return Finding(ok=True, detail=f"{database.where} opens")


async def _databricks(settings: "Settings") -> Finding:
    if settings.databricks_host is None:
        return Finding(ok=True, detail="not set up; the embedded defaults serve", needed=False)
    return Finding(ok=True, detail="set, but this version does not use it yet", needed=False)


async def try_token(settings: "Settings", connector: "aiohttp.BaseConnector | None" = None) -> Finding:
    """Whether Discord takes the token. `connector`: aiohttp's; None for discord.py's own."""
    import aiohttp  # noqa: PLC0415
    import discord  # noqa: PLC0415

    if settings.discord_token is None:
        return Finding(ok=False, detail="DISCORD_TOKEN is not set; make a bot at https://discord.com/developers and copy its token")
    client = discord.Client(intents=discord.Intents.none(), connector=connector)
    try:
        async with asyncio.timeout(DISCORD_SECONDS), client:
            await client.login(settings.discord_token.get_secret_value())
            return Finding(ok=True, detail="Discord accepts the token")
    except discord.LoginFailure:
        return Finding(ok=False, detail="Discord refuses DISCORD_TOKEN; copy it anew from the developer portal (Bot, Reset Token)")
    except (aiohttp.ClientError, TimeoutError, OSError, discord.HTTPException):
        return Finding(ok=False, detail="Discord cannot be reached, so the token is untried; look at this machine's network")


CHECKS: dict[str, Check] = {
    "speech model": _model,
    "lexicon": _lexicon,
    "libopus": _opus,
    "DAVE": _dave,
    "database": _database,
    "Databricks": _databricks,
    "Discord": try_token,
}


def _print(name: str, finding: Finding) -> None:
    mark = "✓" if finding.ok else "✗"
    sys.stdout.write(f"{mark} {name:<13} {finding.detail}\n")


def _print_settings(settings: "Settings") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="Settings")
    for heading in ("name", "value", "default", "what it is"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for row in settings.describe():
        table.add_row(row.name, row.value, row.default, row.description)
    console = Console()
    Console(width=max(console.width, 140)).print(table)
