"""Which servers this process looks after. Discord deals servers out to shards by their id; a process runs some of them, or all."""

from dataclasses import dataclass

SHARD_SHIFT = 22
"""A server's shard is `(id >> 22) % count` (https://docs.discord.com/developers/events/gateway#sharding)."""


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of this process. Without `ids` it has all there are; what belongs to no server is shard 0's."""

    ids: tuple[int, ...] = ()
    count: int | None = None
    """How many there are in all processes; None: as many as Discord advises, and all of them are here."""

    @property
    def whole(self) -> bool:
        """Whether no other process has any."""
        return not self.ids or self.count is None or len(set(self.ids)) == self.count

    @property
    def first(self) -> bool:
        """Whether this process does what only one of them is to do."""
        return self.whole or 0 in self.ids

    def serves(self, guild_id: int) -> bool:
        """Whether that server is this process's."""
        return self.whole or (guild_id >> SHARD_SHIFT) % (self.count or 1) in self.ids


ALL_SHARDS = Shards()
"""One process for everything."""
