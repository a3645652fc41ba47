"""`python -m bot run`: the production process, Discord client and HTTP side, until SIGINT or SIGTERM."""

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from bot.commands.env_file import add_env_file, given_env_file

if TYPE_CHECKING:  # heavy imports stay off `--help`
    import aiohttp

    from config.settings import Settings

EX_CONFIG = 78
"""sysexits.h: something is wrong with the configuration."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_env_file(parser)


def run(args: argparse.Namespace) -> int:
    """0 after a clean stop, 78 on settings that cannot be used: every problem is listed at once."""
    from config import logs  # noqa: PLC0415
    from config.settings import InvalidSettings, Settings  # noqa: PLC0415

    os.umask(0o077)  # what it writes holds transcripts
    try:
        settings = Settings.load(given_env_file(args), required=["DISCORD_TOKEN", "VOSK_MODEL_PATH|VOSK_MODEL_NAME|VOSK_LANGUAGE"])
    except InvalidSettings as error:
        return _refuse(error.problems)
    from moderation.context import FIELDS  # noqa: PLC0415

    logs.configure(settings.log_level, settings.log_format, FIELDS)
    from moderation.errors import sentences  # noqa: PLC0415

    try:
        return asyncio.run(serve(settings))
    except Exception as error:
        if told := sentences(error):
            return _refuse(told)
        raise


def _refuse(problems: list[str]) -> int:
    sys.stderr.write("Earshot cannot start:\n" + "".join(f"  - {p}\n" for p in problems))
    sys.stderr.write("`python -m bot check` looks at everything and says what to do.\n")
    return EX_CONFIG


async def serve(settings: "Settings", connector: "aiohttp.BaseConnector | None" = None) -> int:
    """Run until SIGINT, SIGTERM or a refused token. `connector`: aiohttp's, for all traffic to Discord; None for discord.py's own."""
    stopping, started = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    work = asyncio.create_task(_serve(settings, connector, stopping, started), name="bot")
    stop = asyncio.create_task(stopping.wait(), name="stop signal")
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not started.is_set():  # a model that loads or downloads is not waited for
        work.cancel()
    with suppress(asyncio.CancelledError):
        return await work
    return 0


async def _serve(settings: "Settings", connector: "aiohttp.BaseConnector | None", stopping: asyncio.Event, started: asyncio.Event) -> int:
    import discord  # noqa: PLC0415

    from bot.app import open_application  # noqa: PLC0415

    token = settings.discord_token.get_secret_value() if settings.discord_token else ""
    async with open_application(settings, connector=connector) as app:
        started.set()
        connection = asyncio.create_task(app.connect(token), name="discord")
        stop = asyncio.create_task(stopping.wait(), name="stop signal")
        await asyncio.wait({connection, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
    connection.cancel()  # the application has closed the client; this ends an attempt to reach Discord
    try:
        with suppress(asyncio.CancelledError):
            await connection
    except discord.LoginFailure:
        return _refuse(["DISCORD_TOKEN: Discord refuses it; copy the token anew from the developer portal (Bot, Reset Token)"])
    return 0
