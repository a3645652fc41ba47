"""The bot as a process of its own, to be killed: `python -m bot run`, but Discord is a loopback in another process.

Settings come from the environment, as always; `LOOPBACK_PORT` and `LOOPBACK_AUTHORITY` (a PEM file) say where Discord is.
"""

import asyncio
import os
import sys
from pathlib import Path

from bot.commands.run import serve
from config import logs
from config.settings import Settings
from tests.loopback.resolver import connector_to


async def main() -> int:
    """Run until a signal."""
    settings = Settings.load(None, required=["DISCORD_TOKEN"])
    logs.configure(settings.log_level, settings.log_format)
    authority = Path(os.environ["LOOPBACK_AUTHORITY"]).read_text(encoding="ascii")  # noqa: ASYNC240 - nothing else runs yet
    return await serve(settings, connector_to(int(os.environ["LOOPBACK_PORT"]), authority))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
