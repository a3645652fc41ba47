"""One registry for the process's metrics, made by `bot/app.py`."""

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bot.api.feed import Feed
from bot.api.streams import Streams
from bot.metrics.http import HttpReadings
from bot.metrics.meters import Meters
from bot.metrics.readings import Parts, Readings
from bot.metrics.scoring import ScoringReadings
from bot.metrics.shards import Connections, ShardReadings
from bot.scoring.databricks import DatabricksScorer
from bot.storage.database import Database


class Metrics:
    """What is measured, what is read, and the process's own memory and CPU."""

    def __init__(self, categories: Callable[[], Collection[str]]) -> None:
        """`categories`: of the operator's lexicon, which may be labels."""
        self._registry = CollectorRegistry()
        self.meters = Meters(self._registry, categories)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def watch(self, parts: Parts, database: Database, shards: Connections) -> None:
        """From now on all of that is measured. Once."""
        parts.events.subscribe(self.meters)
        parts.events.subscribe(parts.calls)
        parts.transcriber.on_decoded(self.meters.decoded)
        database.observe = self.meters.transacted
        self._registry.register(Readings(parts))
        self._registry.register(ShardReadings(shards))

    def watch_scoring(self, scorer: DatabricksScorer) -> None:
        """The same for the serving endpoint, where there is one. Once."""
        ScoringReadings(self._registry, scorer)

    def watch_http(self, streams: Streams, feed: Feed) -> None:
        """The same for what clients stream and listen to. Once."""
        self._registry.register(HttpReadings(streams, feed))

    def render(self) -> tuple[str, bytes]:
        """Content type and text; on the event loop, which owns most counters."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)
