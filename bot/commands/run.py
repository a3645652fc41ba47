"""`python -m bot run`: the production process, Discord client and HTTP side, until SIGINT or SIGTERM."""

import argparse
import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from bot.commands.env_file import add_env_file
from bot.commands.serving import begun, refuse, start, until_stopped

if TYPE_CHECKING:  # heavy imports stay off `--help`
    import aiohttp

    from config.settings import Settings

SHARDING = {
    4010: "Discord does not know such a shard; correct SHARD_IDS and SHARD_COUNT, or remove both",
    4011: "Discord wants more shards for so many servers; set a larger one, the same in all processes, or remove it",
}
"""Close codes of the gateway (https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_env_file(parser)


def run(args: argparse.Namespace) -> int:
    """0 after a clean stop, 78 on settings that cannot be used: every problem is listed at once."""
    return start(args, ["DISCORD_TOKEN", "VOSK_MODEL_PATH|VOSK_MODEL_NAME|VOSK_LANGUAGE"], serve)


async def serve(settings: "Settings", connector: "aiohttp.BaseConnector | None" = None) -> int:
    """Run until SIGINT, SIGTERM or a refused token. `connector`: aiohttp's, for all traffic to Discord; None for discord.py's own."""
    return await until_stopped(lambda stopping, started: _serve(settings, connector, stopping, started))


async def _serve(settings: "Settings", connector: "aiohttp.BaseConnector | None", stopping: asyncio.Event, started: asyncio.Event) -> int:
    import discord  # noqa: PLC0415

    from bot.app import open_application  # noqa: PLC0415

    token = settings.discord_token.get_secret_value() if settings.discord_token else ""
    async with open_application(settings, connector=connector) as app:
        begun(started)
        connection = asyncio.create_task(app.connect(token), name="discord")
        stop = asyncio.create_task(stopping.wait(), name="stop signal")
        await asyncio.wait({connection, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
    connection.cancel()  # the application has closed the client; this ends an attempt to reach Discord
    try:
        with suppress(asyncio.CancelledError):
            await connection
    except discord.LoginFailure:
        return refuse(["DISCORD_TOKEN: Discord refuses it; copy the token anew from the developer portal (Bot, Reset Token)"])
    except discord.ConnectionClosed as error:
        if error.code not in SHARDING:
            raise
        return refuse([f"SHARD_COUNT: {SHARDING[error.code]}"])
    return 0
