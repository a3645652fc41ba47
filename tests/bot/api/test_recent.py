"""What is told of a call to whoever comes late: how much, for how long, and nothing of who does not want to be in it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.api.feed import Feed, Query
from bot.api.feed_messages import Message, message
from bot.api.recent import KEPT_SECONDS, MAX_ALERTS, MAX_CALLS, MAX_LINES, Recent
from moderation.events import AlertRaised, AlertRevised, Event, SegmentFlagged, SegmentTranscribed, SpeakerHeard
from moderation.models import Alert, AlertState, Flag, Level, Session, Span, Speaker, TranscriptSegment, Verdict

pytestmark = pytest.mark.unit

ADA, BEN = Speaker(1, "Ada"), Speaker(2, "Ben")
GUILD = 7
CALL = Session("s1", GUILD, 8, datetime(2026, 1, 2, tzinfo=UTC), "Lounge")
FLAG = Flag("lexicon", "insult", 5, 0.5, 0.9, Span(0, 4, 1.0, 1.2))
BAD = Verdict(Level.ALERT, 5, 0.5, 0.9, ("insult",), (FLAG,))


def said(number: int, speaker: Speaker = ADA, *, final: bool = True, session: Session = CALL) -> SegmentTranscribed:
    segment = TranscriptSegment(session.id, speaker.id, number, float(number), number + 1.0, f"sentence {number}", final)
    return SegmentTranscribed(session, speaker, segment, BAD)


def alert(number: int, speaker: Speaker = ADA) -> Alert:
    return Alert(f"a{number}", CALL, speaker, said(number, speaker).segment, BAD, AlertState.EARLY)


class FakeWatch:
    """A clock that is set by hand, and a choice of who is heard."""

    def __init__(self) -> None:
        self.now = 0.0
        self.deaf_to: set[tuple[int, int]] = set()
        self.recent = Recent(lambda guild, user: (guild, user) not in self.deaf_to, clock=lambda: self.now)

    def take(self, *events: Event) -> None:
        for event in events:
            self.recent.take(event, message(event))

    def told(self) -> list[Message]:
        events: list[Message] = self.recent.of(CALL)["events"]
        return events

    def texts(self) -> list[str]:
        return [(told.get("alert") or told)["segment"]["text"] for told in self.told()]


@pytest.fixture
def watch() -> FakeWatch:
    return FakeWatch()


def test_finished_sentences_and_alerts_are_told_as_they_stand(watch: FakeWatch) -> None:
    one = said(1)
    watch.take(said(0, final=False), one, said(2, BEN), SpeakerHeard(CALL, ADA), AlertRaised(alert(1)))
    watch.take(SegmentFlagged(CALL, ADA, one.segment, BAD), AlertRevised(replace(alert(1), state=AlertState.CONFIRMED)))
    assert [told["type"] for told in watch.told()] == ["segment-flagged", "segment", "alert-revised"]
    assert watch.texts() == ["sentence 1", "sentence 2", "sentence 1"]
    assert watch.recent.of(CALL)["session"]["channel_name"] == "Lounge"


def test_it_is_bounded_and_counts_what_went(watch: FakeWatch) -> None:
    watch.take(*(said(n) for n in range(MAX_LINES + 3)), *(AlertRaised(alert(n)) for n in range(MAX_ALERTS + 2)))
    assert len(watch.recent) == MAX_LINES + MAX_ALERTS
    assert watch.texts()[0] == "sentence 3"
    assert watch.recent.dropped == 5
    watch.take(*(said(0, session=replace(CALL, id=f"other {n}")) for n in range(MAX_CALLS)))
    assert watch.told() == []
    assert watch.recent.dropped == 5 + MAX_LINES + MAX_ALERTS


def test_old_sentences_and_ended_calls_go(watch: FakeWatch) -> None:
    watch.take(said(1))
    watch.now = KEPT_SECONDS
    watch.take(said(2))
    watch.now += 1.0
    watch.recent.tidy([CALL.id])
    assert watch.texts() == ["sentence 2"]
    watch.recent.tidy(["another"])
    assert len(watch.recent) == 0


def test_who_opts_out_in_that_server_is_no_longer_in_it(watch: FakeWatch) -> None:
    watch.take(said(1, ADA), said(2, BEN), AlertRaised(alert(3, ADA)))
    watch.deaf_to.add((GUILD + 1, ADA.id))
    watch.recent.tidy([CALL.id])
    assert len(watch.recent) == 3
    watch.deaf_to.add((GUILD, ADA.id))
    watch.recent.tidy([CALL.id])
    assert watch.texts() == ["sentence 2"]


async def test_a_deletion_reaches_it() -> None:
    feed = Feed(tuple)
    for event in (said(1, ADA), said(2, BEN), AlertRaised(alert(3, ADA))):
        await feed.emit(event)
    assert feed.forget(ADA.id) == 2
    assert [told["segment"]["text"] for told in feed.recent.of(CALL)["events"]] == ["sentence 2"]


async def test_it_comes_only_where_it_is_asked_for_and_goes_with_its_call() -> None:
    feed = Feed(tuple)
    await feed.emit(said(1))
    with feed.listen(Query(recent=True)) as messages:
        assert await anext(messages) == {"type": "status", "sessions": []}
        feed.tell_status()
        assert (await anext(messages))["type"] == "status", "no call goes on, so nothing was said in one"
    assert len(feed.recent) == 0
