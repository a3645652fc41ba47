"""What is measured as it happens, and the labels that it may have."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from bot.metrics.delivery import MeteredDelivery
from bot.metrics.meters import MAX_CATEGORIES, Meters, severity_bucket
from moderation.events import AlertRaised, AlertRevised, SegmentFlagged, SegmentTranscribed, SessionEnded, TrackFailed
from moderation.models import Alert, AlertState, Flag, Level, Session, Span, Speaker, TranscriptSegment, Verdict
from moderation.settings import GuildSettings

pytestmark = pytest.mark.unit

SESSION = Session("0123", 7, 8, datetime(2026, 1, 1, tzinfo=UTC), "the secret channel")
SPEAKER = Speaker(42, "a secret name")
SEGMENT = TranscriptSegment("0123", 42, 0, 10.0, 13.0, "a secret sentence", final=True, received_at=100.0)


def flag(category: str = "insult", severity: int = 5, start: int = 0) -> Flag:
    return Flag("lexicon", category, severity, 0.5, 0.9, Span(start, start + 1, 10.0, 11.0))


def alert(*flags: Flag) -> Alert:
    verdict = Verdict(Level.ALERT, 5, 0.5, 0.9, ("insult",), flags)
    return Alert("id", SESSION, SPEAKER, SEGMENT, verdict, AlertState.CONFIRMED, raised_at=100.5)


class Stand:
    def __init__(self, *categories: str) -> None:
        self.registry, self.now = CollectorRegistry(), 101.0
        self.meters = Meters(self.registry, lambda: categories, lambda: self.now)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    async def flagged(self, *flags: Flag, segment: str = "s") -> None:
        changed = replace(SEGMENT, session_id=segment)
        await self.meters.emit(SegmentFlagged(SESSION, SPEAKER, changed, Verdict(flags=flags)))


async def test_transcripts_are_counted_and_their_delay_is_since_the_audio_came() -> None:
    stand = Stand()
    await stand.meters.emit(SegmentTranscribed(SESSION, SPEAKER, replace(SEGMENT, final=False)))
    for n in range(2):
        await stand.meters.emit(SegmentTranscribed(SESSION, SPEAKER, replace(SEGMENT, utterance=n)))
    assert [stand.value("earshot_segments_total", kind=k) for k in ("partial", "final")] == [1, 2]
    assert stand.value("earshot_latency_seconds_sum", stage="final") == pytest.approx(2.0)
    assert stand.value("earshot_latency_seconds_bucket", stage="partial", le="1.0") == 1


async def test_recordings_have_no_delay() -> None:
    stand = Stand()
    await stand.meters.emit(SegmentTranscribed(SESSION, SPEAKER, replace(SEGMENT, received_at=0.0)))
    assert stand.value("earshot_segments_total", kind="final") == 1
    assert stand.value("earshot_latency_seconds_count", stage="final") == 0


async def test_a_flag_that_comes_again_with_a_slower_detectors_is_counted_once() -> None:
    stand = Stand("insult", "threat")
    await stand.flagged(flag())
    await stand.flagged(flag(), flag("threat", 9, start=5))
    assert stand.value("earshot_flags_total", category="insult", severity="medium") == 1
    assert stand.value("earshot_flags_total", category="threat", severity="severe") == 1


async def test_categories_that_servers_make_up_are_other() -> None:
    stand = Stand("insult")
    await stand.flagged(flag("about ben_"), flag("about cleo", start=3))
    assert stand.value("earshot_flags_total", category="other", severity="medium") == 2
    assert "ben_" not in str(list(stand.registry.collect()))


async def test_an_operators_lexicon_cannot_make_labels_without_end() -> None:
    stand = Stand(*(f"category {n}" for n in range(100)))
    for n in range(100):
        await stand.flagged(flag(f"category {n}"), segment=str(n))
    labels = {s.labels["category"] for m in stand.registry.collect() for s in m.samples if s.name == "earshot_flags_total"}
    assert len(labels) == MAX_CATEGORIES + 1
    assert stand.value("earshot_flags_total", category="other", severity="medium") == 100 - MAX_CATEGORIES


async def test_an_alert_is_timed_from_its_flagged_word() -> None:
    stand = Stand()
    await stand.meters.emit(AlertRaised(alert(flag())))
    await stand.meters.emit(AlertRevised(replace(alert(flag()), state=AlertState.WITHDRAWN)))
    assert stand.value("earshot_alerts_total", event="raised", state="confirmed") == 1
    assert stand.value("earshot_alerts_total", event="revised", state="withdrawn") == 1
    assert stand.value("earshot_latency_seconds_sum", stage="alert") == pytest.approx(2.5), "the word ended 2 s before the segment"


class FakeDelivery:
    def __init__(self, message_id: int | None) -> None:
        self.message_id, self.edits = message_id, 0

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None) -> int | None:
        return self.message_id

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        self.edits += 1


async def test_a_card_is_timed_when_discord_has_it_and_only_then() -> None:
    stand = Stand()
    nowhere, somewhere = FakeDelivery(None), FakeDelivery(5)
    assert await MeteredDelivery(nowhere, stand.meters.delivered).post(alert(flag()), GuildSettings(7), None) is None
    assert stand.value("earshot_latency_seconds_count", stage="card") == 0
    metered = MeteredDelivery(somewhere, stand.meters.delivered)
    assert await metered.post(alert(flag()), GuildSettings(7), None) == 5
    await metered.edit(alert(flag()), GuildSettings(7), 5, None)
    assert somewhere.edits == 1
    assert stand.value("earshot_latency_seconds_sum", stage="deliver") == pytest.approx(0.5)
    assert stand.value("earshot_latency_seconds_sum", stage="card") == pytest.approx(3.0)


async def test_failures_and_endings_are_counted_by_code() -> None:
    stand = Stand()
    await stand.meters.emit(TrackFailed(SESSION, SPEAKER, "recogniser-failed"))
    await stand.meters.emit(SessionEnded(SESSION, (), "voice-disconnected"))
    assert stand.value("earshot_track_failures_total", code="recogniser-failed") == 1
    assert stand.value("earshot_sessions_ended_total", reason="voice-disconnected") == 1


def test_requests_are_counted_by_template_and_odd_methods_together() -> None:
    stand = Stand()
    for method in ("GET", "BREW", "A-SECRET"):
        stand.meters.answered(method, "/health", 200, 0.01)
    assert stand.value("earshot_http_requests_total", method="other", route="/health", status="200") == 2
    assert stand.value("earshot_http_request_seconds_count", route="/health") == 3


@pytest.mark.parametrize(("severity", "bucket"), [(0, "mild"), (3, "mild"), (4, "medium"), (6, "medium"), (7, "severe"), (10, "severe")])
def test_severities_have_three_buckets(severity: int, bucket: str) -> None:
    assert severity_bucket(severity) == bucket
