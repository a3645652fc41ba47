"""Coming back after an end that nobody decided, and telling moderators what was not heard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from moderation.broadcast import Broadcast
from moderation.endings import pause_before
from moderation.errors import ConsentRequired, ModerationError, VoiceDisconnected, VoiceRemoved, VoiceUnavailable
from moderation.events import (
    SessionAbandoned,
    SessionEnded,
    SessionInterrupted,
    SessionResumed,
    SpeakerHeardAgain,
    SpeakerUnheard,
)
from moderation.health import Unheard
from moderation.models import Session, Speaker
from moderation.notices import Grade, Notice
from moderation.outages import MAX_MISSED, Outages
from moderation.pipeline import Pipeline
from moderation.returning import GIVE_UP_SECONDS
from moderation.sessions import SessionManager
from moderation.settings import GuildSettings
from moderation.shedding import Shedding
from moderation.supervisor import Supervisor
from tests.fakes import FakeSink, FakeTranscriber
from tests.fakes_live import WELL, FakeBoard, FakeCall, FakeGateway, shared_machine

pytestmark = pytest.mark.unit

T = TypeVar("T")
START = datetime(2030, 1, 1, tzinfo=UTC)


class FakeTime:
    """A clock that only sleeping moves; the looks at health stand still unless `looking`."""

    def __init__(self) -> None:
        self.now, self.pauses, self.looking = START, list[float](), True

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        if not self.looking and task is not None and not task.get_name().startswith("return"):
            await asyncio.Event().wait()
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)


@dataclass
class Night:
    """A supervisor at work."""

    gateway: FakeGateway
    sink: FakeSink
    board: FakeBoard
    time: FakeTime
    sessions: SessionManager
    supervisor: Supervisor
    shedding: Shedding
    events: Broadcast = field(default_factory=Broadcast)

    @property
    def call(self) -> FakeCall:
        """The newest."""
        return self.gateway.calls[-1]

    def told(self) -> list[Notice]:
        """Each message as it stands."""
        return [versions[-1] for versions in self.board.messages.values()]

    def count(self, kind: type[T]) -> list[T]:
        return [event for event in self.sink.events if isinstance(event, kind)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - there is no event for it; each turn lets the tasks run
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def night(*, looking: bool = False, refusals: int = 0) -> AsyncIterator[Night]:
    gateway, sink, board, time, settings = FakeGateway(), FakeSink(), FakeBoard(refusals), FakeTime(), GuildSettings(7)
    events = Broadcast(sink)
    time.looking, shedding = looking, shared_machine()

    async def pipeline(session: Session) -> Pipeline:
        return Pipeline(session, FakeTranscriber(), (), events, lambda: settings, shedding=shedding)

    async with SessionManager(gateway, pipeline, events, lambda: time.now) as sessions:
        supervisor = Supervisor(sessions, board, events, now=lambda: time.now, sleep=time.sleep)
        events.subscribe(supervisor)
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0)
        await sessions.start(7, 8, "General")
        yield Night(gateway, sink, board, time, sessions, supervisor, shedding, events)
        running.cancel()
        await asyncio.wait({running})


async def test_a_lost_call_is_joined_again_after_a_second() -> None:
    async with night() as at:
        lost = at.sessions.all()[0].session
        at.call.fail(VoiceDisconnected("gone"))
        await until(lambda: at.count(SessionResumed))
        (resumed,) = at.count(SessionResumed)
        assert (resumed.before, resumed.session.channel_id, resumed.seconds) == (lost, 8, 1.0)
        assert resumed.session.id != lost.id
        assert at.supervisor.returning(7) is None
        assert at.supervisor.away_seconds == {7: 1.0}
        assert not at.told()


async def test_an_internal_error_is_nobodys_decision_either() -> None:
    async with night() as at:
        at.call.fail(ValueError("broken"))
        await until(lambda: at.count(SessionResumed))


@pytest.mark.parametrize(("error", "said"), [(VoiceRemoved("kicked"), "Somebody disconnected me"), (None, "")])
async def test_it_does_not_come_back_when_somebody_decided(error: ModerationError | None, said: str) -> None:
    async with night() as at:
        if error is None:
            await at.sessions.stop(7)
        else:
            at.call.fail(error)
        await until(lambda: at.count(SessionEnded))
        await until(lambda: at.told() or not said)
        assert at.supervisor.returning(7) is None
        assert len(at.gateway.calls) == 1
        assert [said in notice.text for notice in at.told()] == ([True] if said else [])


async def test_pauses_double_to_a_minute_then_it_gives_up_and_says_so() -> None:
    async with night() as at:
        at.gateway.refusal = VoiceUnavailable("The channel is full.")
        at.call.fail(VoiceDisconnected("gone"))
        await until(lambda: at.count(SessionAbandoned))
        assert at.time.pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert GIVE_UP_SECONDS <= sum(at.time.pauses) < GIVE_UP_SECONDS + 60
        await until(lambda: at.told()[0].grade is Grade.ENDED)
        (notice,) = at.told()
        assert "The channel is full." in notice.text
        assert "`/voice join`" in notice.text
        assert at.supervisor.returning(7) is None


async def test_moderators_are_told_of_a_long_loss_in_one_message_that_changes() -> None:
    async with night() as at:
        at.gateway.refusal = VoiceUnavailable("full")
        at.call.fail(VoiceDisconnected("gone"))
        await until(at.told)
        assert at.told()[0].grade is Grade.TROUBLE
        at.gateway.refusal = None
        await until(lambda: at.told()[0].grade is Grade.MENDED)
        assert len(at.board.messages) == 1


async def test_without_the_members_being_told_it_stays_away() -> None:
    async with night() as at:
        at.gateway.refusal = ConsentRequired("could not tell them")
        at.call.fail(VoiceDisconnected("gone"))
        await until(lambda: at.count(SessionAbandoned))
        assert at.time.pauses == [1]
        await until(at.told)
        assert "could not tell them" in at.told()[0].text


async def test_a_moderator_stops_the_return() -> None:
    async with night() as at:
        at.gateway.refusal = VoiceUnavailable("full")
        at.call.fail(VoiceDisconnected("gone"))
        await until(lambda: at.count(SessionInterrupted) and at.supervisor.returning(7))
        lost = await at.supervisor.stop(7)
        assert lost is not None
        assert await at.supervisor.stop(7) is None
        assert [e.reason for e in at.count(SessionAbandoned)] == ["stopped"]
        before = len(at.time.pauses)
        for _ in range(100):  # a turn is enough for another attempt: its pauses are none
            await asyncio.sleep(0)
        assert len(at.time.pauses) == before


async def test_a_moderator_who_joins_by_hand_ends_the_return() -> None:
    async with night() as at:
        at.gateway.refusal = VoiceUnavailable("full")
        at.call.fail(VoiceDisconnected("gone"))
        await until(lambda: at.count(SessionInterrupted))
        at.gateway.refusal = None
        session = await at.sessions.start(7, 9, "Other")
        await until(lambda: at.supervisor.returning(7) is None)
        assert [e.session for e in at.count(SessionResumed)] == [session]


async def test_shutting_down_is_no_loss() -> None:
    async with night() as at:
        pass
    assert [e.reason for e in at.count(SessionEnded)] == ["shutdown"]
    assert not at.count(SessionInterrupted)


async def test_who_is_not_heard_is_told_once_and_edited() -> None:
    async with night(looking=True, refusals=2) as at:
        at.call.fares = replace(WELL, unheard=(Unheard(Speaker(5, "Eve"), 4.0),))
        await until(lambda: at.count(SpeakerUnheard))
        (never_heard,) = [each for each in at.sessions.all()[0].coverage() if each.speaker.id == 5]
        assert (never_heard.spoken_seconds, never_heard.heard_seconds) == (0.1, 0.0)
        assert at.count(SpeakerUnheard)[0].speaker.id == 5
        await until(at.told)
        assert "<@5>" in at.told()[0].text
        at.call.fares = WELL
        await until(lambda: at.count(SpeakerHeardAgain))
        await until(lambda: at.told()[0].grade is Grade.MENDED)
        assert len(at.board.messages) == 1


async def test_who_deletes_their_data_is_named_no_more() -> None:
    async with night(looking=True) as at:
        deaf = (Unheard(Speaker(5, "Eve"), 11.0), Unheard(Speaker(6, "Fay"), 11.0))
        at.call.fares = replace(WELL, unheard=deaf)
        await until(at.told)
        at.call.fares = replace(WELL, unheard=deaf[1:])
        assert await at.supervisor.forget(5) == 1
        (notice,) = at.told()
        assert ("<@5>" in notice.text, "<@6>" in notice.text, notice.names) == (False, True, frozenset({6}))
        at.call.fares = WELL
        assert await at.supervisor.forget(6) == 1
        assert await at.supervisor.forget(6) == 0
        (notice,) = at.told()
        assert "<@" not in notice.text
        assert not notice.names
        at.call.fares = replace(WELL, unheard=deaf[1:])
        await until(lambda: len(at.told()) == 2)


def test_pauses_never_grow_beyond_a_minute() -> None:
    assert [pause_before(n) for n in (0, 1, 5, 6, 10_000)] == [1, 2, 32, 60, 60]


# What outages come to.

SESSION = Session("s1", 7, 8, START, "General")


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def deaf(*seconds: float) -> tuple[Unheard, ...]:
    return tuple(Unheard(Speaker(number), each) for number, each in enumerate(seconds, 1))


def notices(news: object) -> list[Notice]:
    return [each for each in news if isinstance(each, Notice)]  # type: ignore[attr-defined]


def test_a_short_outage_is_an_event_and_no_message() -> None:
    outages = Outages(SESSION)
    (event,) = outages.look(replace(WELL, unheard=deaf(4.0)), after(10))
    assert event == SpeakerUnheard(SESSION, Speaker(1), after(6))
    (event,) = outages.look(WELL, after(12))
    assert event == SpeakerHeardAgain(SESSION, Speaker(1), after(6), 6.0)


def test_silence_is_told_in_other_words_than_speech_that_cannot_be_decrypted() -> None:
    silent = (Unheard(Speaker(0), 11.0, silent=True), Unheard(Speaker(5), 11.0, silent=True))
    (told,) = notices(Outages(SESSION).look(replace(WELL, unheard=silent), after(20)))
    assert "I receive nothing at all" in told.text
    assert "whoever spoke: not heard since" in told.text
    assert f"<@5>: not heard since <t:{int(after(9).timestamp())}:T>" in told.text
    (other,) = notices(Outages(SESSION).look(replace(WELL, unheard=(*silent, Unheard(Speaker(6), 11.0))), after(20)))
    assert "cannot decrypt" in other.text


def test_a_second_deaf_speaker_is_the_same_message_and_a_later_outage_another() -> None:
    outages = Outages(SESSION)
    (first,) = notices(outages.look(replace(WELL, unheard=deaf(11.0)), after(20)))
    (second,) = notices(outages.look(replace(WELL, unheard=deaf(12.0, 10.0)), after(21)))
    assert not notices(outages.look(replace(WELL, unheard=deaf(13.0, 11.0)), after(22)))
    (mended,) = notices(outages.look(WELL, after(30)))
    (other,) = notices(outages.look(replace(WELL, unheard=deaf(10.0)), after(90)))
    assert first.key == second.key == mended.key != other.key
    assert [n.grade for n in (first, second, mended, other)] == [Grade.TROUBLE, Grade.TROUBLE, Grade.MENDED, Grade.TROUBLE]
    assert f"<@1>: not heard since <t:{int(after(9).timestamp())}:T> until <t:{int(after(30).timestamp())}:T>" in mended.text


def test_a_session_that_ends_deaf_says_so_in_the_same_message() -> None:
    outages = Outages(SESSION)
    (first,) = notices(outages.look(replace(WELL, unheard=deaf(11.0)), after(20)))
    (last,) = outages.end(after(99))
    assert (last.key, last.grade) == (first.key, Grade.ENDED)
    assert not list(Outages(SESSION).end(after(99)))


def test_many_outages_stay_one_bounded_message() -> None:
    outages = Outages(SESSION, tell_after=0.0)
    for second in range(3 * MAX_MISSED):
        shown = notices(outages.look(replace(WELL, unheard=(*deaf(99.0), Unheard(Speaker(1000 + second), 1.0))), after(second)))
    assert len({n.key for n in shown}) == 1
    assert len(shown[-1].text) < 4000
    assert f"and {MAX_MISSED - 10} more" in shown[-1].text


def test_a_deafened_bot_says_so_once_and_again_when_it_hears() -> None:
    outages = Outages(SESSION)
    (told,) = outages.look(replace(WELL, server_deafened=True), after(1))
    assert not list(outages.look(replace(WELL, server_deafened=True), after(2)))
    (mended,) = outages.look(WELL, after(3))
    assert isinstance(told, Notice)
    assert isinstance(mended, Notice)
    assert told.key == mended.key
    assert (told.grade, mended.grade) == (Grade.TROUBLE, Grade.MENDED)
