"""What is measured as it happens: transcripts, flags, alerts, requests, and how long each took.

What other parts count anyway is not counted again: `bot/metrics/readings.py` reads it when somebody asks.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Histogram

from moderation.events import AlertRaised, AlertRevised, Event, SegmentFlagged, SegmentTranscribed, SessionEnded, TrackFailed
from moderation.models import Alert, Flag

LATENCIES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of histogram buckets for what people wait for."""
WORK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds for single pieces of work."""
MAX_CATEGORIES = 32
"""Categories with a label of their own; servers may make up any number, and those are counted as `other`."""
MAX_REMEMBERED = 256
"""Segments whose flags are remembered, because a slower detector reports them again; the oldest goes first."""
LAG_SECONDS = 0.5
"""How often the event loop's lag is measured."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_BUCKETS = ((7, "severe"), (4, "medium"), (1, "mild"))


class Meters:
    """A `Sink` that measures. All its metrics live in the registry it is given."""

    def __init__(
        self, registry: CollectorRegistry, categories: Callable[[], Collection[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`categories`: of the operator's lexicon, which may be labels; `clock`: monotonic seconds."""
        self._categories = categories
        self._labelled: set[str] = set()
        self._clock = clock
        self._seen: OrderedDict[str, frozenset[Flag]] = OrderedDict()
        self._segments = Counter("earshot_segments", "Transcripts, partial and final.", ["kind"], registry=registry)
        self._flags = Counter("earshot_flags", "Findings in final transcripts.", ["category", "severity"], registry=registry)
        self._alerts = Counter(
            "earshot_alerts", "Alerts raised and revised, by where they then stood.", ["event", "state"], registry=registry
        )
        self._failures = Counter("earshot_track_failures", "Recognisers that failed in a call.", ["code"], registry=registry)
        self._ended = Counter("earshot_sessions_ended", "Sessions that ended, by reason.", ["reason"], registry=registry)
        self._stages = Histogram(
            "earshot_latency_seconds",
            "From speech (its audio arrived) to: partial and final transcript, alert, card; and from alert to card (deliver).",
            ["stage"],
            buckets=LATENCIES,
            registry=registry,
        )
        self._requests = Counter("earshot_http_requests", "HTTP requests.", ["method", "route", "status"], registry=registry)
        self._request_seconds = Histogram(
            "earshot_http_request_seconds", "Seconds to answer an HTTP request.", ["route"], buckets=WORK, registry=registry
        )
        self._database = Histogram(
            "earshot_database_seconds", "Seconds of a database transaction.", ["operation"], buckets=WORK, registry=registry
        )
        self._decode = Histogram("earshot_decode_seconds", "Seconds to decode a piece of audio.", buckets=WORK, registry=registry)
        self._lag = Histogram("earshot_event_loop_lag_seconds", "How late the event loop comes.", buckets=WORK, registry=registry)

    async def emit(self, event: Event) -> None:
        """Measure one event."""
        match event:
            case SegmentTranscribed(segment=segment):
                kind = "final" if segment.final else "partial"
                self._segments.labels(kind).inc()
                if segment.received_at:
                    self._stages.labels(kind).observe(max(self._clock() - segment.received_at, 0.0))
            case SegmentFlagged(segment=segment, verdict=verdict):
                self._count_flags(segment.id, frozenset(verdict.flags))
            case AlertRaised(alert) | AlertRevised(alert):
                self._alerts.labels("raised" if isinstance(event, AlertRaised) else "revised", alert.state.value).inc()
                if isinstance(event, AlertRaised) and (spoken := spoken_at(alert)):
                    self._stages.labels("alert").observe(max(alert.raised_at - spoken, 0.0))
            case TrackFailed(code=code):
                self._failures.labels(code).inc()
            case SessionEnded(reason=reason):
                self._ended.labels(reason).inc()
            case _:
                pass

    def delivered(self, alert: Alert) -> None:
        """Discord has the alert's card."""
        now = self._clock()
        self._stages.labels("deliver").observe(max(now - alert.raised_at, 0.0))
        if spoken := spoken_at(alert):
            self._stages.labels("card").observe(max(now - spoken, 0.0))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered; `route`: its template, never its address."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def transacted(self, operation: str, seconds: float) -> None:
        """A database transaction is over; `operation`: read or write."""
        self._database.labels(operation).observe(seconds)

    def decoded(self, seconds: float) -> None:
        """A piece of audio was decoded; on any thread."""
        self._decode.observe(seconds)

    async def watch_loop(self) -> None:
        """Measure how late the event loop wakes who waits; runs until cancelled."""
        while True:
            due = self._clock() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self._lag.observe(max(self._clock() - due, 0.0))

    def forget(self, user_id: int) -> int:
        """Drop what is remembered of that user's segments, whose ids name them; how many."""
        theirs = [segment_id for segment_id in self._seen if f":{user_id}:" in segment_id]
        for segment_id in theirs:
            del self._seen[segment_id]
        return len(theirs)

    def _count_flags(self, segment_id: str, flags: frozenset[Flag]) -> None:
        for flag in flags - self._seen.get(segment_id, frozenset()):
            self._flags.labels(self._category(flag.category), severity_bucket(flag.severity)).inc()
        self._seen[segment_id] = flags
        while len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)

    def _category(self, category: str) -> str:
        if category not in self._labelled and len(self._labelled) < MAX_CATEGORIES and category in self._categories():
            self._labelled.add(category)
        return category if category in self._labelled else "other"


def severity_bucket(severity: int) -> str:
    """Mild (1-3), medium (4-6, alerts by default) or severe (7-10, may alert early)."""
    return next((name for least, name in _BUCKETS if severity >= least), "mild")


def spoken_at(alert: Alert) -> float:
    """Monotonic second at which the audio of the last flagged word had arrived; 0.0 where that is not known (files)."""
    segment, flags = alert.segment, alert.verdict.flags
    if not segment.received_at or not flags:
        return 0.0
    return segment.received_at - max(segment.end - max(f.span.end for f in flags), 0.0)
