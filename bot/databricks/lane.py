"""Threads that own connections to a SQL warehouse, for one kind of statement: who of them is free, and how long to wait for one.

A thread is free again when it is really done, whoever still waits for its answer: in a lane of one thread no statement overtakes another.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from bot.databricks.connection import Address, Answer, Connection, Value
from bot.databricks.failures import Ending, Failure
from bot.databricks.worker import Worker


class Lane:
    """Belongs to the event loop."""

    def __init__(
        self, name: str, address: Address, *, threads: int, max_waiting: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The bounds.

        Args:
            name: of its threads.
            address: of the warehouse.
            threads: connections at the same time.
            max_waiting: statements that wait for one; one more is refused.
            seconds: that a statement may take; after as many, rounded down, the warehouse itself gives up on it.
            clock: monotonic seconds, by which connections grow old.
        """
        self.seconds = seconds
        self._max_waiting = max_waiting
        limit = max(1, int(seconds))
        self._threads = [(Worker[Any](f"{name}-{n}"), Connection(address, statement_seconds=limit, clock=clock)) for n in range(threads)]
        self._free: asyncio.LifoQueue[int] = asyncio.LifoQueue()
        for n in range(threads):
            self._free.put_nowait(n)
        self._waiting = 0
        self._under_way: set[asyncio.Future[Any]] = set()
        self._closed = False
        self.refused = 0
        """Statements that found too many waiting."""

    async def attempt(self, statement: str, parameters: Mapping[str, Value], headers: Mapping[str, str], ends: float) -> Answer:
        """One statement, sent once at most. `ends`: second of the event loop by which there must be an answer. Raises `Failure`."""
        number = await self._thread(ends)
        worker, connection = self._threads[number]
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
        raise Failure(Ending.LOST, f"The SQL warehouse did not answer within {self.seconds:g} seconds.")

    async def aclose(self, seconds: float) -> None:
        """End the sessions, in their own threads, and the threads; those that take longer than `seconds` are left behind."""
        self._closed = True
        started = [(worker, connection) for worker, connection in self._threads if worker.started]
        closing = [asyncio.wrap_future(worker.submit(connection.close)) for worker, connection in started]
        for worker, _ in started:
            worker.stop()
        if closing:
            done, late = await asyncio.wait(closing, timeout=seconds)
            for future in done:
                future.exception()
            for future in late | self._under_way:  # nobody hears of them any more
                future.cancel()

    def _release(self, number: int, done: "asyncio.Future[Any]") -> None:
        """The thread is free again, whoever still waits for its answer."""
        self._under_way.discard(done)
        if not done.cancelled():
            done.exception()
        self._free.put_nowait(number)

    async def _thread(self, ends: float) -> int:
        if self._closed:
            raise Failure(Ending.AWAY, "The bot is stopping.")
        if self._free.empty() and self._waiting >= self._max_waiting:
            self.refused += 1
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
