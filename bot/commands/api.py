"""`python -m bot api`: the HTTP side alone, until SIGINT or SIGTERM. No Discord token is needed."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from bot.commands.env_file import add_env_file
from bot.commands.serving import begun, start, until_stopped

if TYPE_CHECKING:  # heavy imports stay off `--help`
    from config.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_env_file(parser)


def run(args: argparse.Namespace) -> int:
    """0 after a clean stop, 78 on settings that cannot be used: every problem is listed at once."""
    return start(args, ["VOSK_MODEL_PATH|VOSK_MODEL_NAME|VOSK_LANGUAGE"], serve)


async def serve(settings: "Settings") -> int:
    """Run until told to stop."""
    return await until_stopped(lambda stopping, started: _serve(settings, stopping, started))


async def _serve(settings: "Settings", stopping: asyncio.Event, started: asyncio.Event) -> int:
    from bot.http_only import open_http_only  # noqa: PLC0415

    async with open_http_only(settings):
        begun(started)
        await stopping.wait()
    return 0
