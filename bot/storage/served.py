"""Rows of the servers that this process looks after: several processes share a database, and leave each other's rows alone."""

from sqlalchemy import Column, ColumnElement, true

from moderation.shards import SHARD_SHIFT, Shards


def served(guild_id: Column[int], shards: Shards) -> ColumnElement[bool]:
    """A condition: the row's server is one of these shards'."""
    if shards.whole:
        return true()
    return (guild_id // (1 << SHARD_SHIFT) % shards.count).in_(shards.ids)  # PostgreSQL has no `bigint >> bigint`
