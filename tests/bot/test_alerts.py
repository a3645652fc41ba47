"""Alerts on their way to the moderators: order, retries, replaced revisions, restarts, bounds."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import bot.attempts
import bot.clips
from bot.alerts import AlertDispatcher
from bot.pending import MAX_PENDING, DispatchStats, Pending, WaitingRoom
from bot.records import AlertRecord, AlertSettled, AlertWaiting, Outcome
from moderation.errors import DeliveryFailed
from moderation.events import AlertRaised, AlertRevised, SessionEnded
from moderation.models import Alert, AlertState, Finding, Level, Session, Speaker, TranscriptSegment, Verdict
from moderation.settings import GuildSettings

pytestmark = pytest.mark.unit


class FakeDelivery:
    """Remembers what was posted; fails as often as told, before or after Discord took it."""

    def __init__(self, failures: int = 0, *, retryable: bool = True, after: bool = False, retry_after: float = 0.0) -> None:
        self.failures, self.retryable, self.after, self.retry_after = failures, retryable, after, retry_after
        self.posts: list[tuple[str, bytes | None]] = []
        self.edits: list[tuple[int, AlertState]] = []
        self.late: list[bool] = []
        self.reached = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None, *, late: bool = False) -> int | None:
        self.reached.set()
        if self.gate:
            await self.gate.wait()
        if not self.after:
            self._fail()
        if settings.alert_channel_id is None:
            return None
        self.posts.append((alert.id, clip))
        self.late.append(late)
        self._fail()
        return len(self.posts)

    async def find(self, alert: Alert, settings: GuildSettings) -> int | None:
        return next((n for n, (alert_id, _) in enumerate(self.posts, start=1) if alert_id == alert.id), None)

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        self._fail()
        self.edits.append((message_id, alert.state))

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise DeliveryFailed("no", retryable=self.retryable, retry_after=self.retry_after)


class FakeEvidence:
    """A clip that says its span, or those of a list, as long as they last."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.clips: list[bytes] | None = None

    def drop_session(self, session_id: str) -> None:
        self.dropped.append(session_id)

    def clip(self, session_id: str, speaker_id: int, start: float, end: float) -> bytes | None:
        if self.clips is not None:
            return self.clips.pop(0) if self.clips else None
        return f"{start}-{end}".encode()

    def drop_speaker(self, session_id: str, speaker_id: int) -> None:
        pass

    def forget(self, speaker_id: int) -> None:
        pass


class FakeRecords:
    """Keeps every record; says at once that it is safe, unless the database is away."""

    def __init__(self) -> None:
        self.kept: list[AlertRecord] = []
        self.away = False

    def submit(self, record: AlertRecord) -> asyncio.Future[bool]:
        self.kept.append(record)
        safe: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self.away:
            safe.set_result(True)
        return safe

    def settled(self) -> dict[str, tuple[AlertState, int | None, Outcome]]:
        return {r.alert.id: (r.alert.state, r.message_id, r.outcome) for r in self.kept if isinstance(r, AlertSettled)}


def alert(utterance: int = 0, state: AlertState = AlertState.CONFIRMED) -> Alert:
    session = Session("s", 7, 8, datetime(2026, 1, 1, tzinfo=UTC))
    segment = TranscriptSegment("s", 1, utterance, 10.0, 12.0, "you idiot", final=True)
    return Alert(segment.id, session, Speaker(1), segment, Verdict(level=Level.ALERT, severity=5), state)


class Desk:
    """A dispatcher over fakes, running."""

    def __init__(self, delivery: FakeDelivery | None = None, *, channel: int | None = 5, keep_evidence: bool = True) -> None:
        self.delivery, self.records = delivery or FakeDelivery(), FakeRecords()
        self.evidence = FakeEvidence()
        self.chosen = GuildSettings(7, alert_channel_id=channel, keep_evidence=keep_evidence)
        self.dispatcher = AlertDispatcher(self.delivery, self.evidence, self.settings, self.records)

    async def settings(self, guild_id: int) -> GuildSettings:
        return replace(self.chosen, guild_id=guild_id)

    @property
    def stats(self) -> DispatchStats:
        return self.dispatcher.stats

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


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.attempts, "FIRST_PAUSE", 0.0)


async def test_posted_with_a_clip_that_has_a_lead_in_then_edited() -> None:
    desk = Desk()
    await desk.deliver([AlertRaised(alert(state=AlertState.EARLY))], [AlertRevised(alert())])
    assert desk.delivery.posts == [("s:1:0", b"5.0-12.0")]
    assert desk.delivery.edits == [(1, AlertState.CONFIRMED)]
    assert desk.records.settled() == {"s:1:0": (AlertState.CONFIRMED, 1, Outcome.DELIVERED)}


async def test_a_revision_that_waits_replaces_the_alert_so_there_is_one_post() -> None:
    desk = Desk()
    await desk.deliver([AlertRaised(alert(state=AlertState.EARLY)), AlertRevised(alert())])
    assert len(desk.delivery.posts) == 1
    assert desk.delivery.edits == []


async def test_its_row_is_written_before_the_first_attempt_and_says_what_the_card_will() -> None:
    desk = Desk()
    desk.delivery.gate = asyncio.Event()
    early = alert(state=AlertState.EARLY)
    await desk.dispatcher.emit(AlertRaised(early))
    (waiting,) = desk.records.kept
    assert isinstance(waiting, AlertWaiting)
    assert (waiting.alert, waiting.message_id, waiting.attempts) == (early, None, 0)


async def test_a_database_that_does_not_answer_does_not_hold_an_alert_up() -> None:
    desk = Desk()
    desk.records.away = True
    await desk.deliver([AlertRaised(alert())])
    assert len(desk.delivery.posts) == 1


async def test_retryable_failures_are_tried_again_for_much_longer_than_a_moment() -> None:
    desk = Desk(FakeDelivery(failures=50))
    await desk.deliver([AlertRaised(alert())])
    assert len(desk.delivery.posts) == 1
    assert (desk.stats.retried, desk.stats.undeliverable) == (50, 0)
    assert [r.attempts for r in desk.records.kept if isinstance(r, AlertWaiting)] == list(range(51))


async def test_what_discord_took_without_answering_is_not_posted_twice() -> None:
    desk = Desk(FakeDelivery(failures=1, after=True))
    await desk.deliver([AlertRaised(alert())])
    assert len(desk.delivery.posts) == 1
    assert (desk.stats.found, desk.stats.posted) == (1, 0)
    assert desk.records.settled() == {"s:1:0": (AlertState.CONFIRMED, 1, Outcome.DELIVERED)}


async def test_a_retry_carries_the_clip_that_was_cut_first() -> None:
    desk = Desk(FakeDelivery(failures=1))
    desk.evidence.clips = [b"first"]
    await desk.deliver([AlertRaised(alert())])
    assert desk.delivery.posts == [("s:1:0", b"first")]


async def test_pauses_grow_and_honour_retry_after() -> None:
    pauses = []
    for attempts, retry_after in ((1, 0.0), (2, 0.0), (40, 0.0), (1, 90.0)):
        desk = Desk(FakeDelivery(failures=1, retry_after=retry_after))
        desk.dispatcher.resume([AlertWaiting(alert(), datetime.now(UTC), attempts=attempts - 1)])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bot.attempts, "FIRST_PAUSE", 0.5)
            running = asyncio.create_task(desk.dispatcher.run())
            await desk.delivery.reached.wait()
            desk.dispatcher.close()
            await running
        (waiting,) = desk.records.kept
        assert isinstance(waiting, AlertWaiting)
        assert waiting.next_attempt_at is not None
        pauses.append(round((waiting.next_attempt_at - datetime.now(UTC)).total_seconds(), 1))
    assert pauses == pytest.approx([0.5, 1.0, bot.attempts.LONGEST_PAUSE, 90.0], abs=0.3)


async def test_final_failures_are_counted_and_the_next_alert_goes_out() -> None:
    desk = Desk(FakeDelivery(failures=1, retryable=False))
    await desk.deliver([AlertRaised(alert(0)), AlertRaised(alert(1))])
    assert desk.delivery.posts[0][0] == "s:1:1"
    assert desk.stats.undeliverable == 1
    assert desk.records.settled()["s:1:0"] == (AlertState.CONFIRMED, None, Outcome.UNDELIVERABLE)


@pytest.mark.parametrize(
    "left",
    [
        AlertWaiting(alert(), datetime.now(UTC), attempts=bot.attempts.MAX_ATTEMPTS - 1),
        AlertWaiting(alert(), datetime.now(UTC) - bot.attempts.MAX_AGE - timedelta(minutes=1)),
    ],
    ids=["too often", "too long"],
)
async def test_what_was_tried_too_often_or_for_too_long_is_undeliverable(left: AlertWaiting) -> None:
    desk = Desk(FakeDelivery(failures=10**6))
    desk.dispatcher.resume([left])
    await desk.deliver([])
    assert desk.stats.undeliverable == 1
    assert desk.records.settled() == {"s:1:0": (AlertState.CONFIRMED, None, Outcome.UNDELIVERABLE)}


async def test_new_alerts_go_first_then_the_newest_of_those_that_wait() -> None:
    desk = Desk()
    now = datetime.now(UTC)
    desk.dispatcher.resume([AlertWaiting(alert(n), now - timedelta(minutes=n)) for n in (3, 1, 2)])
    await desk.deliver([AlertRaised(alert(8)), AlertRaised(alert(9))])
    assert [alert_id for alert_id, _ in desk.delivery.posts] == ["s:1:8", "s:1:9", "s:1:1", "s:1:2", "s:1:3"]


async def test_after_a_restart_a_card_that_stands_is_brought_up_to_date_and_another_says_that_its_clip_is_gone() -> None:
    desk = Desk()
    desk.evidence.clips = []
    desk.delivery.posts.append(("s:1:0", b"clip"))
    now = datetime.now(UTC)
    desk.dispatcher.resume([AlertWaiting(alert(0), now), AlertWaiting(alert(1), now), AlertWaiting(alert(2), now, message_id=77)])
    await desk.deliver([])
    assert sorted(desk.delivery.edits) == [(1, AlertState.CONFIRMED), (77, AlertState.CONFIRMED)]
    assert desk.delivery.posts[1:] == [("s:1:1", None)]
    assert desk.delivery.late == [True]
    assert desk.dispatcher.waiting == 0


async def test_one_servers_trouble_does_not_hold_up_anothers() -> None:
    desk = Desk()
    desk.delivery.gate = asyncio.Event()
    stuck, other = alert(), alert(1)
    other = replace(other, session=replace(other.session, guild_id=99))
    await desk.dispatcher.emit(AlertRaised(stuck))
    running = asyncio.create_task(desk.dispatcher.run())
    await asyncio.sleep(0)
    await desk.dispatcher.emit(AlertRaised(other))
    for _ in range(20):
        await asyncio.sleep(0)
    assert sorted(i.guild_id for i in desk.dispatcher._under_way.values()) == [7, 99]
    desk.delivery.gate.set()
    await desk.dispatcher.drained()
    desk.dispatcher.close()
    await running


async def test_a_revision_that_comes_while_its_alert_is_posted_becomes_an_edit() -> None:
    desk = Desk()
    desk.delivery.gate = asyncio.Event()
    await desk.dispatcher.emit(AlertRaised(alert(state=AlertState.EARLY)))
    running = asyncio.create_task(desk.dispatcher.run())
    await desk.delivery.reached.wait()
    await desk.dispatcher.emit(AlertRevised(alert()))
    desk.delivery.gate.set()
    await desk.dispatcher.drained()
    desk.dispatcher.close()
    await running
    assert len(desk.delivery.posts) == 1
    assert desk.delivery.edits == [(1, AlertState.CONFIRMED)]


async def test_closing_leaves_what_fails_to_the_next_process() -> None:
    desk = Desk(FakeDelivery(failures=10**6, retry_after=60.0))
    await desk.dispatcher.emit(AlertRaised(alert()))
    desk.dispatcher.close()
    await asyncio.wait_for(desk.dispatcher.run(), 60)
    assert desk.dispatcher.waiting == 1
    assert isinstance(desk.records.kept[-1], AlertWaiting)
    assert desk.dispatcher.delayed()[0] == 1


async def test_when_discord_is_there_again_nothing_waits_for_its_pause() -> None:
    desk = Desk(FakeDelivery(failures=1, retry_after=3600.0))
    await desk.dispatcher.emit(AlertRaised(alert()))
    running = asyncio.create_task(desk.dispatcher.run())
    await desk.delivery.reached.wait()
    await desk.dispatcher.hurry()
    await asyncio.wait_for(desk.dispatcher.drained(), 60)
    desk.dispatcher.close()
    await running
    assert len(desk.delivery.posts) == 1


async def test_forgetting_a_user_drops_what_waits_about_them() -> None:
    desk = Desk()
    about, around = alert(0), replace(alert(1), speaker=Speaker(2), context=(Finding(alert(0).segment, Verdict()),), speakers=(Speaker(1),))
    desk.dispatcher.resume([AlertWaiting(about, datetime.now(UTC)), AlertWaiting(around, datetime.now(UTC))])
    assert await desk.dispatcher.forget(1) == 2
    (left,) = desk.dispatcher._room
    assert (left.alert.speaker.id, left.alert.context, left.alert.speakers) == (2, (), ())


async def test_no_alert_channel_is_recorded_and_counted() -> None:
    desk = Desk(channel=None)
    await desk.deliver([AlertRaised(alert())])
    assert desk.records.settled() == {"s:1:0": (AlertState.CONFIRMED, None, Outcome.DELIVERED)}
    assert desk.stats.nowhere == 1


async def test_a_guild_that_keeps_no_evidence_gets_no_clip() -> None:
    desk = Desk(keep_evidence=False)
    await desk.deliver([AlertRaised(alert())])
    assert desk.delivery.posts == [("s:1:0", None)]


async def test_when_too_many_wait_the_oldest_go_and_are_counted() -> None:
    desk = Desk()
    extra = 3
    await desk.deliver([AlertRaised(alert(n)) for n in range(MAX_PENDING + extra)])
    assert (desk.stats.dropped, desk.stats.undeliverable) == (extra, extra)
    assert desk.delivery.posts[0][0] == f"s:1:{extra}"
    assert len(desk.delivery.posts) == MAX_PENDING


async def test_clips_that_wait_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.clips, "MAX_BYTES", 25)
    room = WaitingRoom()
    for n in range(3):
        room.add(Pending(alert(n), datetime.now(UTC), clip=b"ten bytes!"))
    bot.clips.bound(room)
    assert [i.clip for i in room] == [None, b"ten bytes!", b"ten bytes!"]


async def test_an_ended_sessions_audio_goes_once_its_alerts_are_out() -> None:
    desk = Desk()
    last = alert()
    await desk.deliver([AlertRaised(last), SessionEnded(last.session, (), "stopped")])
    assert desk.delivery.posts == [(last.id, b"5.0-12.0")]
    assert desk.evidence.dropped == ["s"]
