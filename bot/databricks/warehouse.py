"""A Databricks SQL warehouse, from asyncio. The event loop never waits for the connector: threads own the connections.

read   ─▶ one of a few threads ─▶ its connection ─▶ the warehouse
change ─▶ the one thread for changes ─▶ its connection ─▶ the warehouse
       ◀─ rows, or what became of it: not done (`CatalogueUnavailable`), or nobody knows (`OutcomeUnknown`)

Changes have a thread of their own: one that is slow is never overtaken by the next, which would be undone when the first one lands.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from bot.databricks.auth import Credentials
from bot.databricks.connection import Address, Answer, Value
from bot.databricks.failures import Ending, Failure, StatementRefused
from bot.databricks.lane import Lane
from moderation.errors import CatalogueUnavailable, ModerationError, OutcomeUnknown

READERS = 2
"""Connections for queries: a slow one does not stop all others."""
MAX_WAITING = 32
"""Statements of a kind that wait for a thread; one more is refused."""
DEADLINE = 25.0
"""Seconds that a query may take, waiting and repeats included: enough for a serverless warehouse to wake."""
CHANGE_SECONDS = 8.0
"""The same for a change: less than its asker waits (`moderation.catalogue.WRITE_SECONDS`), so that the warehouse gives up first."""
CLOSE_SECONDS = 5.0
"""How long closing waits for sessions to be ended; afterwards the warehouse ends them itself."""
CONFLICT_REPEATS = 3
"""How often a statement is repeated that lost a race against another writer: nothing of it was carried out."""
CONFLICT_PAUSE = 0.05
"""Seconds before the first such repeat; the next ones wait longer."""


class Warehouse:
    """What a statement needs from outside. Belongs to the event loop."""

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        *,
        readers: int = READERS,
        max_waiting: int = MAX_WAITING,
        deadline: float = DEADLINE,
        change_seconds: float = CHANGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deadline`, `change_seconds`: seconds; `clock`: monotonic seconds, by which connections grow old."""
        self._credentials = credentials
        self._reads = Lane("databricks-read", address, threads=readers, max_waiting=max_waiting, seconds=deadline, clock=clock)
        self._changes = Lane("databricks-change", address, threads=1, max_waiting=max_waiting, seconds=change_seconds, clock=clock)
        self._closed = False
        self._outcomes: Counter[str] = Counter()

    @property
    def outcomes(self) -> Counter[str]:
        """Attempts since the start, by how they ended: `ok`, an `Ending`'s value, `full` (too many waited)."""
        return self._outcomes + Counter(full=self._reads.refused + self._changes.refused)

    async def read(self, statement: str, parameters: Mapping[str, Value] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query, which may be sent twice. Raises `CatalogueUnavailable`, `StatementRefused`."""
        try:
            return (await self._perform(self._reads, statement, parameters or {}, repeat_lost=True)).rows
        except Failure as failure:
            raise _unavailable(failure) from None

    async def change(self, statement: str, parameters: Mapping[str, Value] | None = None) -> int:
        """How many rows a statement changed, -1 where the warehouse did not say. It is carried out once or not at all.

        Raises `CatalogueUnavailable` or `StatementRefused` when it was not carried out, `OutcomeUnknown` when it may have been.
        """
        try:
            return (await self._perform(self._changes, statement, parameters or {}, repeat_lost=False)).changed
        except Failure as failure:
            if failure.ending is Ending.LOST:
                raise OutcomeUnknown(f"{failure} Whether the change was made cannot be told; look again.") from None
            raise _unavailable(failure) from None

    async def aclose(self) -> None:
        """End the sessions, in their own threads, and the threads. Twice does no harm."""
        if self._closed:
            return
        self._closed = True
        await self._credentials.aclose()
        await asyncio.gather(self._reads.aclose(CLOSE_SECONDS), self._changes.aclose(CLOSE_SECONDS))

    async def _perform(self, lane: Lane, statement: str, parameters: Mapping[str, Value], *, repeat_lost: bool) -> Answer:
        ends = asyncio.get_running_loop().time() + lane.seconds
        seen: Counter[Ending] = Counter()
        while True:
            headers = await self._sign_in(ends)
            try:
                answer = await lane.attempt(statement, parameters, headers, ends)
            except Failure as failure:
                self._outcomes[failure.ending.value] += 1
                seen[failure.ending] += 1
                if failure.ending is Ending.TOKEN_REFUSED:
                    self._credentials.rejected(headers)
                if not _again(failure.ending, seen, repeat_lost=repeat_lost) or asyncio.get_running_loop().time() >= ends:
                    raise
                if failure.ending is Ending.CONFLICT:
                    await asyncio.sleep(CONFLICT_PAUSE * seen[Ending.CONFLICT])
            else:
                self._outcomes["ok"] += 1
                return answer

    async def _sign_in(self, ends: float) -> Mapping[str, str]:
        try:
            async with asyncio.timeout_at(ends):
                return await self._credentials.headers()
        except TimeoutError:
            raise CatalogueUnavailable("Databricks gave no token in time. Try again in a minute.") from None
        except ModerationError as error:
            raise CatalogueUnavailable(str(error)) from None


def _again(ending: Ending, seen: Counter[Ending], *, repeat_lost: bool) -> bool:
    """Whether to repeat: only what surely was not carried out, or may be carried out twice."""
    most = {Ending.SESSION_GONE: 1, Ending.TOKEN_REFUSED: 1, Ending.CONFLICT: CONFLICT_REPEATS, Ending.LOST: int(repeat_lost)}
    return seen[ending] <= most.get(ending, 0)


def _unavailable(failure: Failure) -> CatalogueUnavailable:
    if failure.ending is Ending.REFUSED:
        return StatementRefused(str(failure), failure.error_class)
    return CatalogueUnavailable(str(failure))
