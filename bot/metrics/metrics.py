"""One registry for the process's metrics, made by `bot/app.py`."""

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bot.metrics.meters import Meters
from bot.metrics.readings import Parts, Readings
from bot.storage.database import Database


class Metrics:
    """What is measured, what is read, and the process's own memory and CPU."""

    def __init__(self, categories: Callable[[], Collection[str]]) -> None:
        """`categories`: of the operator's lexicon, which may be labels."""
        self._registry = CollectorRegistry()
        self.meters = Meters(self._registry, categories)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def watch(self, parts: Parts, database: Database) -> None:
        """From now on all of that is measured. Once."""
        parts.events.subscribe(self.meters)
        parts.events.subscribe(parts.calls)
        parts.transcriber.on_decoded(self.meters.decoded)
        database.observe = self.meters.transacted
        self._registry.register(Readings(parts))

    def render(self) -> tuple[str, bytes]:
        """Content type and text; on the event loop, which owns most counters."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)
