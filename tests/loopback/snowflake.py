"""Discord's ids (https://discord.com/developers/docs/reference#snowflakes)."""

import time
from datetime import UTC, datetime

DISCORD_EPOCH_MS = 1_420_070_400_000  # 2015-01-01T00:00:00Z


class Snowflakes:
    """Makes ids that grow, each in a millisecond of its own."""

    def __init__(self) -> None:
        self._last_ms = 0

    def next(self) -> int:
        """A new id, larger than any before."""
        self._last_ms = max(self._last_ms + 1, time.time_ns() // 1_000_000)
        return (self._last_ms - DISCORD_EPOCH_MS) << 22


def made_at(snowflake: int) -> datetime:
    """When an id was made, UTC."""
    return datetime.fromtimestamp(((snowflake >> 22) + DISCORD_EPOCH_MS) / 1000, tz=UTC)


def shard_of(guild_id: int, shards: int) -> int:
    """Which shard serves a guild (https://discord.com/developers/docs/events/gateway#sharding)."""
    return (guild_id >> 22) % shards
