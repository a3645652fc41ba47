"""The copy of all products in memory: who reads it never waits for a store. A stopped warehouse needs minutes to wake."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from moderation.errors import CatalogueUnavailable, ModerationError
from moderation.ports import ProductStore
from moderation.product_index import ProductIndex
from moderation.products import Product

log = logging.getLogger(__name__)

REFRESH_SECONDS = 60.0
ACTIVE_SECONDS = 10 * 60.0
"""After so long without anybody who reads or changes products, a store that costs money while it is asked is left alone …"""
IDLE_SECONDS = 24 * 3600.0
"""… and asked this often. Whoever reads then gets the copy, and begins a load."""
LOAD_SECONDS = 30.0
"""How long a load may take."""
FIRST_PAUSE = 1.0
"""Seconds after a first failed load; they double up to the time between loads …"""
MAX_PAUSE = 3600.0
"""… or, while nobody reads, to this."""


class ProductCopy:
    """Belongs to the event loop. `run` keeps it fresh; while the store is away it stays readable and says since when it may be wrong."""

    def __init__(
        self,
        store: ProductStore,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        idle_seconds: float | None = None,
        load_seconds: float = LOAD_SECONDS,
        first_pause: float = FIRST_PAUSE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """How often to load.

        Args:
            store: is read.
            refresh_seconds: between loads.
            idle_seconds: between loads while nobody has read or changed products for `ACTIVE_SECONDS`; None: as often as ever.
            load_seconds: that a load may take.
            first_pause: seconds after a first failed load.
            now: wall time, aware.
            clock: monotonic seconds.
        """
        self._store = store
        self._refresh_seconds, self._load_seconds, self._first_pause = refresh_seconds, load_seconds, first_pause
        self._idle_seconds = refresh_seconds if idle_seconds is None else idle_seconds
        self._now, self._clock = now, clock
        self._used = -math.inf
        self._index: ProductIndex | None = None
        self._loaded: tuple[datetime, float] | None = None
        self._prepared = False
        self._meanwhile: dict[str, Product | None] = {}
        self._attempts = 0
        self._loading, self._wanted = asyncio.Lock(), asyncio.Event()
        self.failure: CatalogueUnavailable | None = None
        """Why the latest load failed; None when it did not."""
        self.loads: Counter[str] = Counter()
        """`ok` and `failed`, since the start."""

    def __len__(self) -> int:
        return len(self._index) if self._index is not None else 0

    @property
    def index(self) -> ProductIndex | None:
        """The products; None before the first load."""
        return self._index

    @property
    def stale_since(self) -> datetime | None:
        """When the copy was last known to be right, while the store is away; None while all is well."""
        return self._loaded[0] if self.failure is not None and self._loaded is not None else None

    @property
    def age(self) -> float:
        """Seconds since the last load; 0 before the first."""
        return self._clock() - self._loaded[1] if self._loaded is not None else 0.0

    def apply(self, key: str, product: Product | None) -> None:
        """The store has saved that; None: it has removed it."""
        self._meanwhile[key] = product
        if self._index is not None:
            _apply(self._index, key, product)

    def use(self) -> None:
        """Somebody reads or changes products. The first one after a time in which nobody did begins a load."""
        if self._idle:
            self.want()
        self._used = self._clock()

    def want(self) -> None:
        """Load soon: the store may hold something else."""
        self._wanted.set()

    async def run(self) -> None:
        """Load at once, then again and again until cancelled."""
        pause = self._first_pause
        while True:
            self._wanted.clear()
            try:
                await self.refresh()
            except CatalogueUnavailable as error:
                log.warning("the product catalogue cannot be loaded", extra={"seconds": pause, "error": error.code})
                pause = await self._after_failure(pause)
            else:
                pause = self._first_pause
                await self._until_wanted(self._idle_seconds if self._idle else self._refresh_seconds)

    async def refresh(self) -> None:
        """Load now; who asks while that goes on shares the result. Raises `CatalogueUnavailable`; what is there stays."""
        seen = self._attempts
        async with self._loading:
            if self._attempts == seen:
                await self._load()
        if self.failure is not None:
            raise self.failure

    async def _load(self) -> None:
        self._meanwhile.clear()
        try:
            async with asyncio.timeout(self._load_seconds):
                found = await self._read()
        except TimeoutError:
            self.failure = CatalogueUnavailable(f"{self._store.name} did not give the products within {self._load_seconds:g} seconds.")
        except ModerationError as error:
            self.failure = CatalogueUnavailable(str(error))
        except Exception:  # a fault in reading products does not end the process
            log.exception("loading the product catalogue failed")
            self.failure = CatalogueUnavailable(f"The products of {self._store.name} cannot be read; the log has more.")
        else:
            for key, product in self._meanwhile.items():  # saved after the store was read
                _apply(found, key, product)
            self._index, self.failure, self._loaded = found, None, (self._now(), self._clock())
        finally:
            self._attempts += 1
        self._prepared = self.failure is None
        self.loads["failed" if self.failure else "ok"] += 1

    async def _read(self) -> ProductIndex:
        if not self._prepared:
            await self._store.prepare()
        return await asyncio.to_thread(ProductIndex, await self._store.all())  # ten thousand of them would hold up who speaks

    @property
    def _idle(self) -> bool:
        return self._idle_seconds > self._refresh_seconds and self._clock() - self._used >= ACTIVE_SECONDS

    async def _after_failure(self, pause: float) -> float:
        """Wait that long; the next pause."""
        if not self._idle:
            await asyncio.sleep(pause)
            return min(pause * 2, max(self._refresh_seconds, self._first_pause))
        if await self._until_wanted(pause):
            return self._first_pause
        return min(pause * 2, max(MAX_PAUSE, self._first_pause))

    async def _until_wanted(self, seconds: float) -> bool:
        """Whether somebody wanted a load before `seconds` were over."""
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(self._first_pause)  # what was sent may be on its way still
        return True


def _apply(index: ProductIndex, key: str, product: Product | None) -> None:
    if product is None:
        index.drop(key)
    else:
        index.put(product)
