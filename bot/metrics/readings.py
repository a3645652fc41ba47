"""What other parts count anyway, read when Prometheus asks."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.alerts import AlertDispatcher
from bot.background import Background
from bot.evidence import EvidenceRing, EvidenceStats
from bot.metrics.calls import Calls, Sums
from bot.recorder import Recorder
from bot.records import Lane
from bot.speech.pool import SpeechStats
from bot.speech.vosk import VoskTranscriber
from moderation.broadcast import Broadcast
from moderation.catalogue import Catalogue
from moderation.shedding import Shed, Shedding
from moderation.standing import StandingMessages

OUTCOMES = ("posted", "edited", "found", "retried", "undeliverable", "dropped", "nowhere")
"""Counters of `DispatchStats`."""
LEAST_SPOKEN = 5.0
"""Seconds somebody must have spoken before their coverage counts as a figure."""


class ProcessReadings(Collector):
    """Of the parts that every process has, with calls or without. Belongs to the event loop."""

    def __init__(self, transcriber: VoskTranscriber, catalogue: Catalogue, events: Broadcast) -> None:
        self._transcriber = transcriber
        self._catalogue = catalogue
        self._events = events

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from _speech(self._transcriber.stats())
        yield from _catalogue(self._catalogue)
        yield counter("earshot_reaction_failures", "Events that a subscriber failed on.", self._events.failures)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of calls that count."""

    calls: Calls
    dispatcher: AlertDispatcher
    recorder: Recorder
    shedding: Shedding
    evidence: EvidenceRing
    webhooks: AlertDispatcher | None = None
    notices: StandingMessages | None = None
    background: Background | None = None


class Readings(Collector):
    """A custom collector: every scrape reads the counters where they are. Belongs to the event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        sums = self._parts.calls.sums()
        yield from _receive(sums)
        yield from self._calls()
        yield from _heard(sums)
        yield from _overload(self._parts.shedding)
        yield from _evidence(self._parts.evidence.stats)
        yield from self._reactions()

    def _calls(self) -> Iterator[Metric]:
        health = self._parts.calls.health()
        yield gauge("earshot_sessions", "Sessions that go on.", len(self._parts.calls))
        states = {"connected": sum(h.connected for h in health), "deaf": sum(h.deaf for h in health)}
        yield gauges("earshot_calls", "Voice calls that are connected; those in which nothing can be decrypted.", "state", states)
        yield gauge("earshot_frames_queued", "Frames on their way from the voice connections to the tracks.", sum(h.queued for h in health))
        latencies = [h.latency for h in health if math.isfinite(h.latency)]
        if latencies:
            yield gauge("earshot_voice_latency_seconds", "Slowest voice heartbeat's round trip.", max(latencies))
        ratios = [c.ratio for c in self._parts.calls.coverage() if c.spoken_seconds >= LEAST_SPOKEN]
        if ratios:
            yield gauge("earshot_lowest_coverage_ratio", "Heard / spoken of whoever is heard worst now.", min(ratios))

    def _reactions(self) -> Iterator[Metric]:
        recorder, lanes = self._parts.recorder, {Lane.CARD: self._parts.dispatcher}
        if self._parts.webhooks is not None:
            lanes[Lane.WEBHOOK] = self._parts.webhooks
        yield _deliveries(lanes)
        waiting: dict[str, int] = {lane: dispatcher.waiting for lane, dispatcher in lanes.items()}
        yield gauges("earshot_alerts_waiting", "Alerts that wait to be posted or edited.", "lane", waiting)
        rows = {name: getattr(recorder, name) for name in ("written", "failed", "dropped", "journalled", "replayed", "refused")}
        yield counters("earshot_recorder_events", "Events for the database.", "outcome", rows)
        yield gauge("earshot_recorder_waiting", "Events that wait for the database.", recorder.waiting)
        if (notices := self._parts.notices) is not None:
            yield gauge("earshot_notices_waiting", "Messages about the bot itself that wait to be posted or edited.", notices.waiting)
            yield counter("earshot_notices_dropped", "Those that were given up: refused, too old, or too many at once.", notices.dropped)
        if (background := self._parts.background) is not None:
            yield counter("earshot_background_failures", "Parts that failed and were begun anew.", background.failures)


def _receive(sums: Sums) -> Iterator[Metric]:
    yield counter("earshot_datagrams", "Datagrams that voice servers sent.", sums["datagrams", ""])
    yield counters("earshot_datagrams_ignored", "Datagrams without voice, by kind.", "kind", labelled(sums, "ignored"))
    yield counters("earshot_packets", "What became of speakers' voice packets; outcomes overlap.", "outcome", labelled(sums, "packets"))
    yield counters("earshot_packets_dropped", "Voice packets of nobody in particular, by reason.", "reason", labelled(sums, "dropped"))
    yield counters("earshot_dave_failures", "Frames that could not be decrypted, by reason.", "reason", labelled(sums, "dave"))
    yield counter("earshot_rekeys", "How often DAVE's keys were asked for anew.", sums["rekeys", ""])
    yield counter("earshot_reconnects", "How often a voice connection was lost and came back.", sums["reconnects", ""])
    yield counter("earshot_frames_dropped", "Frames lost between voice connection and tracks.", sums["handover", ""])


def _heard(sums: Sums) -> Iterator[Metric]:
    yield counter("earshot_spoken_seconds", "Speech that members are known to have sent.", sums["speech", "spoken"])
    yield counter("earshot_heard_seconds", "Speech that was listened to; divide by spoken for coverage.", sums["speech", "heard"])
    yield counter("earshot_gated_seconds", "Of what was listened to: noise that was never decoded.", sums["speech", "gated"])
    yield counter("earshot_shed_seconds", "Speech left out under overload.", sums["shed", "seconds"])
    yield counter("earshot_shed_silence_seconds", "Sound made up for lost packets, left out under overload.", sums["shed", "silence"])
    yield counter("earshot_shed_partials", "Pieces of audio without a partial transcript under overload.", sums["shed", "partials"])
    yield counter("earshot_slow_detections_refused", "Sentences kept from slow detectors: too many in flight.", sums["aside", "refused"])
    yield counter("earshot_track_items_dropped", "Frames that speakers' tracks were too slow for.", sums["inbox", "dropped"])


def _overload(shedding: Shedding) -> Iterator[Metric]:
    yield gauge("earshot_shedding_level", "0 nothing is left out, 1 partials, 2 silence too, 3 a channel too.", shedding.level)
    yield gauge("earshot_track_lag_seconds", "How far whoever is furthest behind is behind.", shedding.lag)
    entered = {level.name.lower(): shedding.entered[level] for level in Shed if level}
    yield counters("earshot_shedding_entered", "How often each level was entered.", "level", entered)


def _speech(stats: SpeechStats) -> Iterator[Metric]:
    yield gauges(
        "earshot_recognisers", "Recognisers held by speakers, and kept for the next.", "state", {"open": stats.open, "idle": stats.idle}
    )
    yield gauge("earshot_decode_queue", "Jobs that wait for a decoding thread or run.", stats.queued)
    made = {"created": stats.created, "recycled": stats.recycled, "failed": stats.failed}
    yield counters("earshot_recogniser_events", "Recognisers made, replaced because worn, failed.", "event", made)
    yield counter("earshot_decoded_seconds", "Audio decoded.", stats.seconds_decoded)


def _evidence(stats: EvidenceStats) -> Iterator[Metric]:
    yield gauge("earshot_evidence_bytes", "Audio held in memory for clips.", stats.bytes)
    yield gauge("earshot_evidence_speakers", "Speakers of whom audio is held.", stats.speakers)
    dropped = {"packets": stats.dropped_packets, "speakers": stats.dropped_speakers, "refused": stats.refused_packets}
    text = "Audio not held: packets and speakers that were too many, packets that are no Opus."
    yield counters("earshot_evidence_dropped", text, "what", dropped)


def _catalogue(catalogue: Catalogue) -> Iterator[Metric]:
    copy = catalogue.copy
    yield gauge("earshot_products", "Products in the copy that is read.", len(copy))
    yield gauge("earshot_products_age_seconds", "Since the copy was last loaded; 0 before the first time.", copy.age)
    loads = {outcome: copy.loads[outcome] for outcome in ("ok", "failed")}
    yield counters("earshot_product_loads", "Loads of all products from where they are kept.", "outcome", loads)
    changes = {outcome: catalogue.changes[outcome] for outcome in ("saved", "refused", "unavailable", "unknown")}
    yield counters("earshot_product_changes", "What became of changes; unknown: no answer came.", "outcome", changes)


def labelled(sums: Sums, what: str) -> dict[str, float]:
    """The sums of one thing by label."""
    return {label: value for (name, label), value in sums.items() if name == what}


def counter(name: str, text: str, value: float) -> Metric:
    """A counter without labels."""
    return CounterMetricFamily(name, text, value=value)


def _deliveries(lanes: Mapping[Lane, AlertDispatcher]) -> Metric:
    text = "What became of alerts, as cards and as webhooks; nowhere: the server set no alert channel."
    family = CounterMetricFamily("earshot_alert_deliveries", text, labels=["lane", "outcome"])
    for lane, dispatcher in lanes.items():
        for outcome in OUTCOMES:
            family.add_metric([lane, outcome], getattr(dispatcher.stats, outcome))
    return family


def counters(name: str, text: str, label: str, values: dict[str, float] | dict[str, int]) -> Metric:
    """A counter with one label."""
    return _fill(CounterMetricFamily(name, text, labels=[label]), values.items())


def gauge(name: str, text: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(name, text, value=value)


def gauges(name: str, text: str, label: str, values: dict[str, float] | dict[str, int]) -> Metric:
    """A gauge with one label."""
    return _fill(GaugeMetricFamily(name, text, labels=[label]), values.items())


def _fill(family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[str, float]]) -> Metric:
    for label, value in sorted(values):
        family.add_metric([label], value)
    return family
