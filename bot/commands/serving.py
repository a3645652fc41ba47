"""What the commands that serve have in common: settings checked first, signals that stop them cleanly, refusals in plain words."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

from bot.commands.env_file import given_env_file
from bot.commands.findings import at_start

if TYPE_CHECKING:  # heavy imports stay off `--help`
    from config.settings import Settings

log = logging.getLogger(__name__)

EX_CONFIG = 78
"""sysexits.h: something is wrong with the configuration."""

EX_SOFTWARE = 70
"""sysexits.h: an internal fault. Its configuration was good enough to start, so it may be started anew."""

log = logging.getLogger(__name__)

Serve = Callable[[asyncio.Event, asyncio.Event], Coroutine[None, None, int]]
"""Takes the event that asks it to stop, and the one that it sets once it has started."""


def start(args: argparse.Namespace, required: Sequence[str], serve: "Callable[[Settings], Awaitable[int]]") -> int:
    """Read the settings, look at what they name, and run. 78 with every problem there is, where something is in the way."""
    from config import logs  # noqa: PLC0415
    from config.doubts import doubts  # noqa: PLC0415
    from config.settings import InvalidSettings, Settings  # noqa: PLC0415

    os.umask(0o077)  # what it writes holds transcripts
    try:
        settings = Settings.load(given_env_file(args), required=required)
        wrong: list[str] = []
    except InvalidSettings as error:
        settings, wrong = error.usable, error.problems
    found, doubtful = asyncio.run(at_start(settings)), doubts(settings, os.environ)
    if problems := [*wrong, *(f.detail for f in found if not f.ok)]:
        return refuse([*problems, *doubtful])
    from moderation.context import FIELDS  # noqa: PLC0415

    logs.configure(settings.log_level, settings.log_format, FIELDS)
    for advice in (*doubtful, *(f.detail for f in found if f.doubtful)):
        log.warning("it starts, but this is likely not meant", extra={"advice": advice})
    from moderation.errors import sentences  # noqa: PLC0415

    async def run() -> int:
        return await serve(settings)

    try:
        return asyncio.run(run())
    except Exception as error:
        if told := sentences(error):
            return refuse(told)
        raise


def refuse(problems: Sequence[str]) -> int:
    """Say why it does not start, each reason once; the exit code."""
    sys.stderr.write("Earshot cannot start:\n" + "".join(f"  - {p}\n" for p in dict.fromkeys(problems)))
    sys.stderr.write("`python -m bot check` looks at everything and says what to do.\n")
    return EX_CONFIG


def begun(started: asyncio.Event) -> None:
    """It serves now. What was loaded stays for good: full garbage collections, which stop every thread, look at it no more."""
    gc.collect()
    gc.freeze()
    started.set()


async def until_stopped(serve: Serve) -> int:
    """Run it until SIGINT or SIGTERM, or until it ends by itself."""
    stopping, started = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    work = asyncio.create_task(serve(stopping, started), name="bot")
    stop = asyncio.create_task(stopping.wait(), name="stop signal")
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not started.is_set():  # a model that loads or downloads is not waited for
        work.cancel()
    try:
        return await work
    except asyncio.CancelledError:
        return 0
    except Exception:
        if not started.is_set():
            raise
        log.exception("Earshot ended by a fault of its own")
        return EX_SOFTWARE
