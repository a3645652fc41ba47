"""One registry for the process's metrics, made by `bot/app.py`."""

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bot.api.feed import Feed
from bot.api.streams import Streams
from bot.core import Core
from bot.metrics.http import HttpReadings
from bot.metrics.meters import Meters
from bot.metrics.readings import Parts, ProcessReadings, Readings
from bot.metrics.scoring import ScoringReadings
from bot.metrics.shards import Connections, ShardReadings
from bot.storage.database import Database
from moderation.broadcast import Broadcast
from moderation.catalogue import Catalogue


class Metrics:
    """What is measured, what is read, and the process's own memory and CPU."""

    def __init__(self, categories: Callable[[], Collection[str]]) -> None:
        """`categories`: of the operator's lexicon, which may be labels."""
        self._registry = CollectorRegistry()
        self.meters = Meters(self._registry, categories)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def watch_process(self, core: Core, catalogue: Catalogue, events: Broadcast, database: Database) -> None:
        """From now on all is measured that every process has, with calls or without. Once."""
        events.subscribe(self.meters)
        core.transcriber.on_decoded(self.meters.decoded)
        database.observe = self.meters.transacted
        self._registry.register(ProcessReadings(core.transcriber, catalogue, events))
        if core.scoring.endpoint is not None:
            ScoringReadings(self._registry, core.scoring.endpoint)

    def watch_calls(self, parts: Parts, events: Broadcast, shards: Connections) -> None:
        """The same for calls. Once."""
        events.subscribe(parts.calls)
        self._registry.register(Readings(parts))
        self._registry.register(ShardReadings(shards))

    def watch_http(self, streams: Streams, feed: Feed) -> None:
        """The same for what clients stream and listen to. Once."""
        self._registry.register(HttpReadings(streams, feed))

    def render(self) -> tuple[str, bytes]:
        """Content type and text; on the event loop, which owns most counters."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)
