"""`python -m bot check`: the doctor. One line for each thing the bot needs, with what to do about it."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands import findings
from bot.commands.env_file import add_env_file, given_env_file
from bot.commands.findings import Finding
from bot.commands.libraries import advice, foreign, missing_libraries

if TYPE_CHECKING:  # heavy imports stay off `--help`
    import aiohttp

    from config.settings import Settings

DISCORD_SECONDS = 10.0
"""How long Discord may take to answer."""


Check = Callable[["Settings"], Awaitable[Finding]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_env_file(parser)
    parser.add_argument("--settings", action="store_true", help="list every setting with its value, default and meaning")


def run(args: argparse.Namespace) -> int:
    """0 when the bot can run, 1 when something is in the way. Where settings are wrong, the rest is looked at with those that are right."""
    if missing := missing_libraries():
        _print("libraries", Finding(ok=False, detail=advice(missing)))
    try:
        from config.settings import InvalidSettings, Settings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not foreign(error):
            raise
        return 1  # without it nothing more can be looked at
    wrong: list[str] = []
    try:
        settings = Settings.load(given_env_file(args))
    except InvalidSettings as error:
        settings, wrong = error.usable, error.problems
    if args.settings and not wrong:
        _print_settings(settings)
        return 0
    for finding in _about(settings, wrong):
        _print("settings", finding)
    healthy = asyncio.run(_all(settings)) and not wrong and not missing
    sys.stdout.write("\nEverything that is needed is there.\n" if healthy else "\nThe bot cannot run like this: see the lines marked ✗.\n")
    return 0 if healthy else 1


def _about(settings: "Settings", wrong: Sequence[str]) -> list[Finding]:
    """The settings themselves: what is wrong, and what is likely not meant."""
    from config.doubts import doubts  # noqa: PLC0415

    found = [Finding(ok=False, detail=problem) for problem in wrong] or [Finding(ok=True, detail="all of them can be used")]
    return [*found, *(Finding(ok=True, detail=doubt, doubtful=True) for doubt in doubts(settings, os.environ))]


async def _all(settings: "Settings") -> bool:
    healthy = True
    for name, check in CHECKS.items():
        try:
            finding = await check(settings)
        except ModuleNotFoundError as error:
            if not (missing := foreign(error)):
                raise
            finding = Finding(ok=False, detail=f"cannot be looked at without {missing}")
        _print(name, finding)
        healthy &= finding.ok or not finding.needed
    return healthy


async def _model(settings: "Settings") -> Finding:
    from bot.speech.vosk import VoskTranscriber  # noqa: PLC0415
    from moderation.errors import ModelMissing  # noqa: PLC0415

    found = await findings.model(settings)
    if not found.ok or not settings.vosk_model_path:
        return found
    try:
        transcriber = await asyncio.to_thread(VoskTranscriber.load, Path(found.detail))
        await transcriber.aclose()
        return Finding(ok=True, detail=f"{found.detail} loads")
    except ModelMissing as error:
        return Finding(ok=False, detail=str(error))


async def _dave(_: "Settings") -> Finding:
    from bot.voice.dave import PROTOCOL_VERSION  # noqa: PLC0415

    return Finding(ok=PROTOCOL_VERSION >= 1, detail=f"protocol version {PROTOCOL_VERSION}, by davey")


async def warehouse(settings: "Settings") -> Finding:
    """Whether the SQL warehouse answers; nothing is made in it."""
    import aiohttp  # noqa: PLC0415

    from bot.databricks.opening import open_warehouse  # noqa: PLC0415
    from moderation.errors import ModerationError  # noqa: PLC0415

    async with aiohttp.ClientSession() as session:
        opened = open_warehouse(settings, session)
        if opened is None:
            return Finding(ok=True, detail="no SQL warehouse is set up; products are kept in the bot's database", needed=False)
        try:
            await opened.read("SELECT 1")
        except ModerationError as error:
            return Finding(ok=False, detail=str(error), needed=False)
        finally:
            await opened.aclose()
    return Finding(ok=True, detail="the SQL warehouse answers; products are kept there", needed=False)


async def deploying(settings: "Settings") -> Finding:
    """Whether `deploy-model-serving` has what it needs on this machine; Databricks is not asked."""
    from importlib.util import find_spec  # noqa: PLC0415

    if settings.databricks_model_full_name is None:
        return Finding(ok=True, detail="DATABRICKS_MODEL_FULL_NAME is not set; only `deploy-model-serving` needs it", needed=False)
    missing = [name for name in ("mlflow", "pandas", "databricks.sdk") if find_spec(name) is None]
    if missing:
        return Finding(ok=False, detail=f"not installed: {', '.join(missing)}; pip install '.[deploy]'", needed=False)
    return Finding(ok=True, detail="the packages are there; `deploy-model-serving --dry-run` shows what it would change", needed=False)


async def serving(settings: "Settings") -> Finding:
    """Whether the serving endpoint scores a text, and how long that takes."""
    from bot.scoring.health import TRIAL  # noqa: PLC0415
    from bot.scoring.opening import open_endpoint  # noqa: PLC0415
    from moderation.errors import ModerationError  # noqa: PLC0415

    if settings.databricks_endpoint is None:
        return Finding(ok=True, detail="no serving endpoint is set up; the scorer that comes along answers /predict", needed=False)
    started = time.monotonic()
    try:
        async with open_endpoint(settings) as endpoint:
            score, _ = await endpoint.rate(TRIAL)
    except ModerationError as error:
        return Finding(ok=False, detail=str(error), needed=not settings.flagging_provider.uses_lexicon)
    return Finding(ok=True, detail=f"answers in {time.monotonic() - started:.1f} s; a greeting scores {score.score:.2f}", needed=False)


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
    "lexicon": findings.lexicon,
    "libopus": findings.opus,
    "DAVE": _dave,
    "database": findings.database,
    "HTTP side": findings.port,
    "Databricks": warehouse,
    "toxicity": serving,
    "deploying": deploying,
    "Discord": try_token,
}


def _print(name: str, finding: Finding) -> None:
    mark = "✗" if not finding.ok else "!" if finding.doubtful else "✓"
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
