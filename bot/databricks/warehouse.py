"""A Databricks SQL warehouse, from asyncio. The event loop never waits for the connector: threads own the connections.

read / change ─▶ a free worker (bounded wait) ─▶ its thread: its connection ─▶ the warehouse
              ◀─ rows, or what became of it: not done (`CatalogueUnavailable`), or nobody knows (`OutcomeUnknown`)
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from bot.databricks.auth import Credentials
from bot.databricks.connection import Address, Answer, Connection, Value
from bot.databricks.failures import Ending, Failure, StatementRefused
from bot.databricks.worker import Worker
from moderation.errors import CatalogueUnavailable, ModerationError, OutcomeUnknown

WORKERS = 2
"""Connections at the same time: a slow statement does not stop all others, and few people change a catalogue at once."""
MAX_WAITING = 32
"""Statements that wait for a worker; one more is refused."""
DEADLINE = 25.0
"""Seconds that a statement may take, waiting and repeats included."""
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
        workers: int = WORKERS,
        max_waiting: int = MAX_WAITING,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deadline`: seconds; `clock`: monotonic seconds, by which connections grow old."""
        self._credentials = credentials
        self._deadline = deadline
        self._max_waiting = max_waiting
        seconds = max(1, int(deadline))
        self._workers = [
            (Worker[Any](f"databricks-{n}"), Connection(address, statement_seconds=seconds, clock=clock)) for n in range(workers)
        ]
        self._free: asyncio.LifoQueue[int] = asyncio.LifoQueue()
        for n in range(workers):
            self._free.put_nowait(n)
        self._waiting = 0
        self._under_way: set[asyncio.Future[Any]] = set()
        self._closed = False
        self.outcomes: Counter[str] = Counter()
        """Attempts since the start, by how they ended: `ok`, an `Ending`'s value, `full` (too many waited)."""

    async def read(self, statement: str, parameters: Mapping[str, Value] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query, which may be sent twice. Raises `CatalogueUnavailable`, `StatementRefused`."""
        try:
            return (await self._perform(statement, parameters or {}, repeat_lost=True)).rows
        except Failure as failure:
            raise _unavailable(failure) from None

    async def change(self, statement: str, parameters: Mapping[str, Value] | None = None) -> int:
        """How many rows a statement changed, -1 where the warehouse did not say. It is carried out once or not at all.

        Raises `CatalogueUnavailable` or `StatementRefused` when it was not carried out, `OutcomeUnknown` when it may have been.
        """
        try:
            return (await self._perform(statement, parameters or {}, repeat_lost=False)).changed
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
        started = [(worker, connection) for worker, connection in self._workers if worker.started]
        closing = [asyncio.wrap_future(worker.submit(connection.close)) for worker, connection in started]
        for worker, _ in started:
            worker.stop()
        if closing:
            done, late = await asyncio.wait(closing, timeout=CLOSE_SECONDS)
            for future in done:
                future.exception()
            for future in late | self._under_way:  # their threads are left behind; nobody hears of them any more
                future.cancel()

    async def _perform(self, statement: str, parameters: Mapping[str, Value], *, repeat_lost: bool) -> Answer:
        ends = asyncio.get_running_loop().time() + self._deadline
        seen: Counter[Ending] = Counter()
        while True:
            headers = await self._sign_in()
            try:
                answer = await self._attempt(statement, parameters, headers, ends)
            except Failure as failure:
                self.outcomes[failure.ending.value] += 1
                seen[failure.ending] += 1
                if failure.ending is Ending.TOKEN_REFUSED:
                    self._credentials.rejected(headers)
                if not _again(failure.ending, seen, repeat_lost=repeat_lost) or asyncio.get_running_loop().time() >= ends:
                    raise
                if failure.ending is Ending.CONFLICT:
                    await asyncio.sleep(CONFLICT_PAUSE * seen[Ending.CONFLICT])
            else:
                self.outcomes["ok"] += 1
                return answer

    async def _sign_in(self) -> Mapping[str, str]:
        try:
            return await self._credentials.headers()
        except ModerationError as error:
            raise CatalogueUnavailable(str(error)) from None

    async def _attempt(self, statement: str, parameters: Mapping[str, Value], headers: Mapping[str, str], ends: float) -> Answer:
        number = await self._worker(ends)
        worker, connection = self._workers[number]
        ticket = _Ticket()
        future = asyncio.wrap_future(worker.submit(lambda: connection.run(statement, parameters, headers, ticket.claim)))
        self._under_way.add(future)
        future.add_done_callback(lambda done: self._release(number, done))
        try:
            done, _ = await asyncio.wait({future}, timeout=max(0.0, ends - asyncio.get_running_loop().time()))
        except asyncio.CancelledError:
            ticket.claim()
            raise
        if done:
            answer: Answer = future.result()
            return answer
        if ticket.claim():
            raise Failure(Ending.AWAY, "The SQL warehouse was not ready in time. Try again in a minute; check that it runs.")
        raise Failure(Ending.LOST, f"The SQL warehouse did not answer within {self._deadline:g} seconds.")

    def _release(self, number: int, done: "asyncio.Future[Any]") -> None:
        """The thread is free again, whoever still waits for its answer."""
        self._under_way.discard(done)
        if not done.cancelled():
            done.exception()
        self._free.put_nowait(number)

    async def _worker(self, ends: float) -> int:
        if self._closed:
            raise Failure(Ending.AWAY, "The bot is stopping.")
        if self._free.empty() and self._waiting >= self._max_waiting:
            self.outcomes["full"] += 1
            raise Failure(Ending.AWAY, "Too many wait for the SQL warehouse. Try again in a minute.")
        self._waiting += 1
        try:
            async with asyncio.timeout_at(ends):
                return await self._free.get()
        except TimeoutError:
            raise Failure(Ending.AWAY, "All connections to the SQL warehouse are busy. Try again in a minute.") from None
        finally:
            self._waiting -= 1


class _Ticket:
    """Who is first: the thread, which sends, or the caller, who no longer waits. A lock that is never released."""

    def __init__(self) -> None:
        self._taken = threading.Lock()

    def claim(self) -> bool:
        """Whether nobody was first."""
        return self._taken.acquire(blocking=False)


def _again(ending: Ending, seen: Counter[Ending], *, repeat_lost: bool) -> bool:
    """Whether to repeat: only what surely was not carried out, or may be carried out twice."""
    most = {Ending.SESSION_GONE: 1, Ending.TOKEN_REFUSED: 1, Ending.CONFLICT: CONFLICT_REPEATS, Ending.LOST: int(repeat_lost)}
    return seen[ending] <= most.get(ending, 0)


def _unavailable(failure: Failure) -> CatalogueUnavailable:
    if failure.ending is Ending.REFUSED:
        return StatementRefused(str(failure), failure.error_class)
    return CatalogueUnavailable(str(failure))
