"""What scoring by a serving endpoint comes to."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bot.metrics.meters import LATENCIES
from bot.metrics.readings import counter, counters, gauge, gauges
from bot.scoring.breaker import State
from bot.scoring.databricks import DatabricksScorer

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Upper bounds of the batch-size histogram's buckets."""


class ScoringReadings(Collector):
    """Measures batches as they are answered; reads the rest where it is counted."""

    def __init__(self, registry: CollectorRegistry, scorer: DatabricksScorer) -> None:
        self._scorer = scorer
        self._seconds = Histogram(
            "earshot_scoring_seconds", "Seconds of a scored batch, retries included.", buckets=LATENCIES, registry=registry
        )
        self._sizes = Histogram("earshot_scoring_batch_size", "Texts in a scored batch.", buckets=SIZES, registry=registry)
        scorer.stats.observe = self._observe
        registry.register(self)

    def _observe(self, size: int, seconds: float) -> None:
        self._sizes.observe(size)
        self._seconds.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        scorer, breaker, requests = self._scorer, self._scorer.breaker, self._scorer.endpoint.stats
        yield counters(
            "earshot_scoring_texts", "Texts, by what became of them.", "outcome", {"scored": scorer.stats.scored, **scorer.stats.failed}
        )
        yield counter("earshot_scoring_requests", "Requests to the serving endpoint.", requests.requests)
        yield counter("earshot_scoring_retries", "Requests that were repeated.", requests.retries)
        yield counters("earshot_scoring_errors", "Requests that failed, by kind.", "kind", dict(requests.errors))
        yield gauge("earshot_scoring_waiting", "Texts and requests that wait.", scorer.waiting)
        refused = {"full": scorer.refused, "resting": breaker.refused}
        yield counters("earshot_scoring_refused", "Not asked: too many waited, or the endpoint was given a rest.", "reason", refused)
        states = {state.value: float(breaker.state is state) for state in State}
        yield gauges("earshot_scoring_breaker", "1 for the circuit breaker's state.", "state", states)
        yield counter("earshot_scoring_breaker_opened", "How often the circuit breaker opened.", breaker.opened)
