"""Rows of deletions that processes have still to carry out: one for each member and shard, gone as soon as that shard's process is done.

A row is written before anything is deleted, so a process that was away, or died halfway, finds it when it is back. Rows that name
another number of shards are those of an earlier arrangement of processes: nobody answers them, they only keep old journals from being
written, until they are too old.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, select, true

from bot.storage.database import Database
from bot.storage.tables import erasures
from moderation.forgetting import Erasure
from moderation.shards import ALL_SHARDS, Shards

KEEP = timedelta(days=30)
"""How long a process may be away and still learn of a deletion. What it wrote down before that is not taken over any more."""
BATCH = 64
"""Deletions that are taken up at once."""


class SqlErasures:
    """Implements `moderation.forgetting.ErasureStore`. Every method raises `StorageError` when the database does not do it."""

    def __init__(self, database: Database, shards: Shards = ALL_SHARDS) -> None:
        """`shards`: those of this process; a process that has all counts as one shard."""
        self._database = database
        self.alone = shards.whole
        """Whether no other process has to be asked."""
        self._count = 1 if shards.whole else shards.count or 1
        served = (erasures.c.shard_count == self._count) & erasures.c.shard.in_(shards.ids)
        self._ours = true() if shards.whole else served  # alone: those of processes that were there before, too

    async def request(self, erasure: Erasure) -> None:
        """Ask every process, this one included."""
        columns: dict[str, Any] = {column.name: bindparam(column.name) for column in erasures.columns}
        rows = [
            {"shard_count": self._count, "shard": n, "user_id": erasure.user_id, "requested_at": erasure.requested_at}
            for n in range(self._count)
        ]
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(erasures, columns), rows)

    async def ours(self) -> list[Erasure]:
        """What this process has still to do, oldest first, at most `BATCH`."""
        newest = func.max(erasures.c.requested_at)
        query = select(erasures.c.user_id, newest.label("requested_at")).where(self._ours).group_by(erasures.c.user_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(newest, erasures.c.user_id).limit(BATCH))).all()
        return [Erasure(row.user_id, row.requested_at) for row in rows]

    async def erased(self, user_ids: Collection[int], at: datetime) -> set[int]:
        """Those of them whose deletion somebody has still to carry out, and who asked for it at that time or later."""
        if not user_ids:
            return set()
        query = select(erasures.c.user_id).where(erasures.c.user_id.in_(user_ids), erasures.c.requested_at >= at)
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

    async def done(self, erasure: Erasure) -> None:
        """This process has done it. Another request of the same member stays."""
        at = erasures.c.requested_at
        same = at <= erasure.requested_at if self.alone else at == erasure.requested_at  # clocks of several machines differ
        async with self._database.write() as connection:
            await connection.execute(delete(erasures).where(self._ours, erasures.c.user_id == erasure.user_id, same))

    async def waiting(self, user_id: int) -> int:
        """Shards of other processes that have not done it yet."""
        others = (erasures.c.shard_count == self._count, ~self._ours, erasures.c.user_id == user_id)
        async with self._database.read() as connection:
            return int((await connection.execute(select(func.count()).where(*others))).scalar_one())
