"""Deleting a member's data, in every place of every process.

    forget ─▶ a row for every process ─▶ all places of this one, rows of all servers ─▶ wait until the others are done, for a moment
                       └─▶ catch_up, in each other process ─▶ all its places, rows of its own servers ─▶ its row goes

Each process deletes from its memory and journal whatever is there when it learns of the request: what the member said meanwhile goes, too.
Of the other processes' servers it then leaves the rows alone: the member may have spoken there since.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from inspect import isawaitable
from typing import Protocol

from moderation.errors import ModerationError, StorageError
from moderation.shards import ALL_SHARDS, Shards

log = logging.getLogger(__name__)

MAX_UNFINISHED = 1024
"""Deletions that failed and wait for another attempt. When full, the oldest goes (and is counted)."""
PATIENCE_SECONDS = 5.0
"""How long a member waits for the other processes."""
LOOK_SECONDS = 0.1
"""Between two looks at whether they are done."""
REQUESTS = "other parts of this bot"
"""What the place is called that passes the request on."""

Gone = Awaitable[int | None] | int | None
"""How much is gone, where that is known."""
Forget = Callable[[int], Gone]
"""Deletes everything about that user."""
ForgetRows = Callable[[int, Shards], Gone]
"""Deletes everything about that user in those shards' servers."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """A member asked for deletion."""

    user_id: int
    requested_at: datetime
    """Wall time, UTC."""


class ErasureStore(Protocol):
    """What each process has still to do. Every method may raise `StorageError`."""

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        ...

    async def request(self, erasure: Erasure) -> None:
        """Ask every process, this one included."""
        ...

    async def ours(self) -> list[Erasure]:
        """What this process has still to do, oldest first."""
        ...

    async def done(self, erasure: Erasure) -> None:
        """This process has done it."""
        ...

    async def waiting(self, user_id: int) -> int:
        """How much of the other processes has not done it yet."""
        ...


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What deleting a member's data came to."""

    removed: int
    """Rows, audio and alerts that are gone."""
    failed: tuple[str, ...] = ()
    """Places that did not do it; they are asked again."""
    elsewhere: bool = False
    """Whether another process has not confirmed yet."""


class Forgetting:
    """All places that hold something about members, in the order in which they must be asked: sources first, rows last."""

    def __init__(
        self,
        sources: Mapping[str, Forget],
        rows: Mapping[str, ForgetRows],
        erasures: ErasureStore,
        *,
        shards: Shards = ALL_SHARDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """What people call each place → how it forgets. `shards`: this process's; `now`: wall time; `patience`: seconds for the others."""
        self._sources = dict(sources)
        self._rows = dict(rows)
        self._erasures = erasures
        self._shards = shards
        self._now = now
        self._patience = patience
        self._under_way: set[int] = set()
        self._unfinished: OrderedDict[int, None] = OrderedDict()
        self.given_up = 0
        """Requests that failed and are not tried again because too many others wait."""

    @property
    def places(self) -> Mapping[str, Forget | ForgetRows]:
        """All of them, in their order."""
        return {**self._sources, **self._rows}

    async def forget(self, user_id: int) -> Forgotten:
        """Delete everything about that user everywhere; the other processes have a moment to confirm."""
        forgotten = await self._everywhere(user_id)
        return Forgotten(forgotten.removed, forgotten.failed, elsewhere=not await self._confirmed(user_id))

    async def retry(self) -> int:
        """Ask again where it failed; how many requests are still unfinished."""
        for user_id in list(self._unfinished):
            await self._everywhere(user_id)
        return len(self._unfinished)

    async def catch_up(self) -> bool:
        """Do what was asked for in other processes; whether all of it is done. Raises `StorageError`."""
        complete = True
        for erasure in await self._erasures.ours():
            if erasure.user_id in self._under_way:
                continue  # asked for here: it is done in a moment
            with self._busy_with(erasure.user_id):
                _, failed = await self._ask(erasure.user_id, self._shards)
            complete = complete and not failed
            if not failed:
                await self._erasures.done(erasure)
        return complete

    async def _everywhere(self, user_id: int) -> Forgotten:
        """This process and all rows; the others are asked."""
        erasure = Erasure(user_id, self._now())
        with self._busy_with(user_id):
            asked = await self._tried(REQUESTS, partial(self._erasures.request, erasure))
            removed, failed = await self._ask(user_id, ALL_SHARDS)
            if not failed and asked is not None:
                await self._tried(REQUESTS, partial(self._erasures.done, erasure))  # if not: it is done once more
        failed = failed if asked is not None else (REQUESTS, *failed)
        self._unfinished.pop(user_id, None)
        if failed:
            self._unfinished[user_id] = None
            if len(self._unfinished) > MAX_UNFINISHED:
                self._unfinished.popitem(last=False)
                self.given_up += 1
        return Forgotten(removed, failed)

    async def _ask(self, user_id: int, shards: Shards) -> tuple[int, tuple[str, ...]]:
        """How much is gone, and which places failed.

        A source that fails does not keep the others from it. Rows come one after another: the first note what the later ones know, which
        cards are to be edited.
        """
        removed, failed = 0, []
        for place, forget in self._sources.items():
            gone = await self._tried(place, partial(forget, user_id))
            if gone is None:
                failed.append(place)
            removed += gone or 0
        for place, forget_rows in self._rows.items():
            gone = await self._tried(place, partial(forget_rows, user_id, shards))
            if gone is None:
                return removed, (*failed, place)
            removed += gone
        return removed, tuple(failed)

    async def _tried(self, place: str, act: Callable[[], Gone]) -> int | None:
        """How much is gone; None where it failed."""
        try:
            result = act()
            return (await result if isawaitable(result) else result) or 0
        except ModerationError as error:
            log.error("a member's data was not deleted, trying again later", extra={"place": place, "code": error.code})
            return None

    async def _confirmed(self, user_id: int) -> bool:
        """Whether all other processes are done before the patience ends."""
        if self._erasures.alone:
            return True
        clock = asyncio.get_running_loop().time
        end = clock() + self._patience
        try:
            while await self._erasures.waiting(user_id):
                if clock() >= end:
                    return False
                await asyncio.sleep(LOOK_SECONDS)
        except StorageError:
            return False
        return True

    @contextmanager
    def _busy_with(self, user_id: int) -> Iterator[None]:
        self._under_way.add(user_id)
        try:
            yield
        finally:
            self._under_way.discard(user_id)
