"""What nobody heard of the watched channels: counted second by second, kept over restarts. Time is an argument."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from moderation.errors import StorageError
from moderation.ports import WatchStore
from moderation.seats import Watched

log = logging.getLogger(__name__)

SAVE_SECONDS = 60.0
"""Between two times that the counts are saved. What a crash loses of them counts as not running."""


@dataclass(slots=True)
class Minutes:
    """Of one watched channel."""

    since: datetime
    """Since when it is counted."""
    uncovered: float = 0.0
    """Seconds with people in it and nobody listening."""
    down: float = 0.0
    """Seconds in which the bot did not run: whether people were there, nobody knows."""


class MinuteBook:
    """Of all watched channels of all servers: as many as can be watched."""

    def __init__(self, store: WatchStore, now: datetime) -> None:
        self._store = store
        self._channels: dict[tuple[int, int], Minutes] = {}
        self._saved_at = now

    def load(self, kept: Sequence[Watched], now: datetime) -> None:
        """Go on where the last process ended."""
        for each in kept:
            down = max((now - each.counted_until).total_seconds(), 0.0) if each.counted_until else 0.0
            since = each.counted_since or now
            self._channels[each.guild_id, each.channel_id] = Minutes(since, each.uncovered_seconds, each.down_seconds + down)

    def of(self, guild_id: int, channel_id: int, now: datetime) -> Minutes:
        """The channel's; counted from `now` when it is new."""
        return self._channels.setdefault((guild_id, channel_id), Minutes(now))

    def drop(self, guild_id: int, channel_id: int) -> None:
        """It is watched no more."""
        self._channels.pop((guild_id, channel_id), None)

    def due(self, now: datetime) -> bool:
        """Whether it is time to save."""
        return (now - self._saved_at).total_seconds() >= SAVE_SECONDS

    async def save(self, now: datetime) -> None:
        """All of it. What the database does not take now is in the next save."""
        self._saved_at = now
        rows = [Watched(g, c, m.uncovered, m.down, m.since, now) for (g, c), m in self._channels.items()]
        try:
            await self._store.save_counts(rows)
        except StorageError as error:
            log.error("what was not covered was not saved, trying again", extra={"code": error.code})
