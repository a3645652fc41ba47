"""How each of this process's gateway connections fares, read when Prometheus asks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bot.metrics.readings import gauges


class Connections(Protocol):
    """What the client knows of its shards."""

    @property
    def latencies(self) -> Sequence[tuple[int, float]]:
        """Shard and seconds."""
        ...

    def connected(self) -> Mapping[int, bool]:
        """Shard → whether it is connected."""
        ...

    def guilds_by_shard(self) -> Mapping[int, int]:
        """Shard → how many servers are on it."""
        ...


class ShardReadings(Collector):
    """A custom collector over the client. Belongs to the event loop."""

    def __init__(self, client: Connections) -> None:
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """By shard."""
        states = {str(shard): float(up) for shard, up in self._client.connected().items()}
        yield gauges("earshot_shard_connected", "1 while the shard is connected to Discord's gateway.", "shard", states)
        delays = {str(shard): delay for shard, delay in self._client.latencies if math.isfinite(delay)}
        yield gauges("earshot_shard_latency_seconds", "Its heartbeat's round trip.", "shard", delays)
        servers = {str(shard): float(count) for shard, count in self._client.guilds_by_shard().items()}
        yield gauges("earshot_shard_servers", "Servers it looks after.", "shard", servers)
