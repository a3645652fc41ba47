"""Alerts on their way to the moderators: order, retries, replaced revisions, bounds."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import bot.alerts
from bot.alerts import AlertDispatcher
from moderation.errors import DeliveryFailed
from moderation.events import AlertRaised, AlertRevised, SessionEnded
from moderation.models import Alert, AlertState, Level, Session, Speaker, TranscriptSegment, Verdict
from moderation.settings import GuildSettings
from moderation.terms import Term

pytestmark = pytest.mark.unit


class FakeDelivery:
    """Remembers what was posted; fails as often as told."""

    def __init__(self, failures: int = 0, *, retryable: bool = True) -> None:
        self.failures, self.retryable = failures, retryable
        self.posts: list[tuple[str, bytes | None]] = []
        self.edits: list[tuple[int, AlertState]] = []

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None) -> int | None:
        if self.failures:
            self.failures -= 1
            raise DeliveryFailed("no", retryable=self.retryable)
        if settings.alert_channel_id is None:
            return None
        self.posts.append((alert.id, clip))
        return len(self.posts)

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        self.edits.append((message_id, alert.state))


class FakeEvidence:
    """A clip that says its span."""

    def __init__(self) -> None:
        self.dropped: list[str] = []

    def drop_session(self, session_id: str) -> None:
        self.dropped.append(session_id)

    def clip(self, session_id: str, speaker_id: int, start: float, end: float) -> bytes | None:
        return f"{start}-{end}".encode()

    def forget(self, speaker_id: int) -> None:
        pass


class FakeGuilds:
    """One setting for all guilds."""

    def __init__(self, channel: int | None = 5, *, keep_evidence: bool = True) -> None:
        self.value = GuildSettings(7, alert_channel_id=channel, keep_evidence=keep_evidence)

    async def settings(self, guild_id: int) -> GuildSettings:
        return replace(self.value, guild_id=guild_id)

    async def save_settings(self, settings: GuildSettings) -> None:
        self.value = settings

    async def terms(self, guild_id: int) -> list[Term]:
        return []

    async def set_term(self, guild_id: int, term: Term) -> None:
        pass

    async def remove_term(self, guild_id: int, term: str) -> bool:
        return False


class FakeAlertStore:
    """Rows by alert id."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[AlertState, int | None]] = {}

    async def save_alert(self, alert: Alert, message_id: int | None) -> None:
        self.rows[alert.id] = (alert.state, message_id)

    async def recent_alerts(self, guild_id: int, limit: int) -> list[tuple[str, int, str]]:
        return []

    async def forget(self, user_id: int) -> int:
        return 0


def alert(utterance: int = 0, state: AlertState = AlertState.CONFIRMED) -> Alert:
    session = Session("s", 7, 8, datetime(2026, 1, 1, tzinfo=UTC))
    segment = TranscriptSegment("s", 1, utterance, 10.0, 12.0, "you idiot", final=True)
    return Alert(segment.id, session, Speaker(1), segment, Verdict(level=Level.ALERT, severity=5), state)


class Desk:
    """A dispatcher over fakes, running."""

    def __init__(self, delivery: FakeDelivery | None = None, guilds: FakeGuilds | None = None) -> None:
        self.delivery, self.store = delivery or FakeDelivery(), FakeAlertStore()
        self.evidence = FakeEvidence()
        self.dispatcher = AlertDispatcher(self.delivery, self.evidence, guilds or FakeGuilds(), self.store, lambda: 1.0)

    async def deliver(self, *batches: Sequence[AlertRaised | AlertRevised | SessionEnded]) -> None:
        """Each batch waits as a whole before it is delivered."""
        async with asyncio.TaskGroup() as group:
            for n, batch in enumerate(batches):
                for event in batch:
                    await self.dispatcher.emit(event)
                if n == 0:
                    group.create_task(self.dispatcher.run())
                await self.dispatcher.drained()
            self.dispatcher.close()


async def test_posted_with_a_clip_that_has_a_lead_in_then_edited() -> None:
    desk = Desk()
    await desk.deliver([AlertRaised(alert(state=AlertState.EARLY))], [AlertRevised(alert())])
    assert desk.delivery.posts == [("s:1:0", b"5.0-12.0")]
    assert desk.delivery.edits == [(1, AlertState.CONFIRMED)]
    assert desk.store.rows == {"s:1:0": (AlertState.CONFIRMED, 1)}


async def test_a_revision_that_waits_replaces_the_alert_so_there_is_one_post() -> None:
    desk = Desk()
    await desk.deliver([AlertRaised(alert(state=AlertState.EARLY)), AlertRevised(alert())])
    assert len(desk.delivery.posts) == 1
    assert desk.delivery.edits == []


async def test_retryable_failures_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.alerts, "BACKOFF_SECONDS", 0.0)
    desk = Desk(FakeDelivery(failures=2))
    await desk.deliver([AlertRaised(alert())])
    assert len(desk.delivery.posts) == 1
    assert desk.dispatcher.stats.failed == 0


async def test_final_failures_are_counted_and_the_next_alert_goes_out() -> None:
    desk = Desk(FakeDelivery(failures=1, retryable=False))
    await desk.deliver([AlertRaised(alert(0)), AlertRaised(alert(1))])
    assert desk.delivery.posts[0][0] == "s:1:1"
    assert desk.dispatcher.stats.failed == 1


async def test_no_alert_channel_is_recorded_and_counted() -> None:
    desk = Desk(guilds=FakeGuilds(None))
    await desk.deliver([AlertRaised(alert())])
    assert desk.store.rows == {"s:1:0": (AlertState.CONFIRMED, None)}
    assert desk.dispatcher.stats.nowhere == 1


async def test_a_guild_that_keeps_no_evidence_gets_no_clip() -> None:
    desk = Desk(guilds=FakeGuilds(keep_evidence=False))
    await desk.deliver([AlertRaised(alert())])
    assert desk.delivery.posts == [("s:1:0", None)]


async def test_when_too_many_wait_the_oldest_go_and_are_counted() -> None:
    desk = Desk()
    extra = 3
    await desk.deliver([AlertRaised(alert(n)) for n in range(bot.alerts.MAX_WAITING + extra)])
    assert desk.dispatcher.stats.dropped == extra
    assert desk.delivery.posts[0][0] == f"s:1:{extra}"
    assert len(desk.delivery.posts) == bot.alerts.MAX_WAITING


async def test_an_ended_sessions_audio_goes_once_its_alerts_are_out() -> None:
    desk = Desk()
    last = alert()
    await desk.deliver([AlertRaised(last), SessionEnded(last.session, (), "stopped")])
    assert desk.delivery.posts == [(last.id, b"5.0-12.0")]
    assert desk.evidence.dropped == ["s"]
