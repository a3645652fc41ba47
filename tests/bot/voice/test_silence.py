"""Packets that stop coming: what is an outage, what is only quiet, and when it is noticed. From counters and opcodes alone."""

from collections.abc import Callable

import pytest

from bot.voice.rtp import Kind
from bot.voice.silence import NOBODY_KNOWN, OVER_SECONDS, SilenceWatch
from bot.voice.stats import CallStats, SpeakerCounters

pytestmark = pytest.mark.unit

ADA, BEN, CLEO = 5, 6, 7
LOOK = 0.5
NOTICED_WITHIN = 5.0


class Line:
    """A call that is looked at twice a second, and its counters."""

    def __init__(self, *, answers: bool = False) -> None:
        self.watch = SilenceWatch()
        self.now = 100.0
        self.able = {ADA, BEN, CLEO}
        self.people = {user: SpeakerCounters() for user in (ADA, BEN, CLEO)}
        self.voice = self.answered = 0
        self.answers = answers
        self.questions: list[float] = []
        self.rejoins: list[float] = []
        self.watch.ready(self.now)

    def packets(self, *users: int, silence: bool = False) -> None:
        """A look's worth of packets of each, ended by silence frames or not."""
        for user in users:
            self.people[user].received += 25
            self.people[user].silence += 5 if silence else 0
            self.voice += 25

    def look(self) -> None:
        self.now += LOOK
        call = CallStats(self.voice + self.answered, {Kind.DISCOVERY: self.answered}, {}, 0, 0)
        if self.watch.look({user: c.snapshot() for user, c in self.people.items()}, call, self.able, self.now):
            self.rejoins.append(self.now)
        if self.watch.asks(self.now):
            self.questions.append(self.now)
            self.answered += self.answers

    def during(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        for _ in range(round(seconds / LOOK)):
            each()
            self.look()

    def speak(self, *users: int, speaking: bool = True) -> None:
        for user in users:
            self.watch.spoke(user, self.now, speaking=speaking)

    def rejoined(self) -> None:
        self.watch.reset()
        self.watch.ready(self.now)


@pytest.mark.parametrize("answers", [False, True])
def test_a_quiet_call_is_no_outage_and_is_seldom_asked(answers: bool) -> None:
    line = Line(answers=answers)
    line.during(600)
    assert not line.rejoins
    assert not line.watch.unheard
    assert 50 < len(line.questions) <= 101


def test_two_members_who_begin_and_are_not_heard_are_noticed_in_time_and_named() -> None:
    line = Line()
    line.during(10)
    began = line.now
    line.speak(ADA)
    line.during(1)
    line.speak(BEN)
    line.during(NOTICED_WITHIN - 1)
    assert line.rejoins[0] - began <= NOTICED_WITHIN
    assert line.watch.unheard == {ADA: began, BEN: began + 1}
    assert line.watch.missed(ADA) == pytest.approx(line.now - began)
    line.packets(ADA)
    line.look()
    assert not line.watch.unheard


def test_one_member_who_says_nothing_is_no_outage_and_two_in_different_minutes_are_none_either() -> None:
    line = Line(answers=True)
    line.during(10)
    line.speak(ADA)
    line.during(60)
    line.speak(BEN)
    line.during(60)
    assert not line.rejoins
    assert not line.watch.unheard


def test_one_member_who_tries_three_times_is() -> None:
    line = Line()
    line.during(10)
    for _ in range(3):
        line.speak(ADA)
        line.during(2)
    line.during(2)
    assert len(line.rejoins) == 1
    assert set(line.watch.unheard) == {ADA}


def test_who_is_muted_or_away_shows_no_signs() -> None:
    line = Line()
    line.during(10)
    line.able = {ADA}
    line.speak(ADA, BEN, CLEO)
    line.during(20)
    assert not line.rejoins


def test_anybody_who_is_heard_shows_that_the_line_works() -> None:
    line = Line()
    line.during(10)
    for _ in range(20):
        line.speak(ADA, BEN)
        line.packets(CLEO)
        line.during(1)
    assert not line.rejoins


def test_what_op_5_tells_just_after_joining_is_no_sign() -> None:
    line = Line()
    line.speak(ADA, BEN, CLEO)
    line.during(30)
    assert not line.rejoins


def test_speech_of_several_that_breaks_off_at_once_is_noticed_and_speech_that_ends_is_not() -> None:
    line = Line()
    line.during(5, lambda: line.packets(ADA, BEN))
    line.packets(ADA, BEN, silence=True)
    line.during(20)
    assert not line.rejoins
    line.during(5, lambda: line.packets(ADA, BEN))
    cut = line.now
    line.during(NOTICED_WITHIN)
    assert line.rejoins[0] - cut <= NOTICED_WITHIN
    assert set(line.watch.unheard) == {ADA, BEN}


def test_a_client_never_seen_to_end_speech_with_silence_proves_nothing_by_breaking_off() -> None:
    line = Line()
    line.during(5, lambda: line.packets(ADA, BEN))
    line.during(30)
    assert not line.rejoins


def test_a_server_that_no_longer_answers_is_a_dead_path_even_under_one_speaker() -> None:
    line = Line(answers=True)
    line.packets(ADA, silence=True)
    line.during(5, lambda: line.packets(ADA))
    line.answers, cut = False, line.now
    line.during(NOTICED_WITHIN)
    assert line.rejoins[0] - cut <= NOTICED_WITHIN
    assert set(line.watch.unheard) == {ADA}
    line.rejoined()
    assert not line.watch.unheard, "the handshake went over the path"


def test_a_path_that_dies_while_all_are_quiet_is_noticed_and_names_nobody() -> None:
    line = Line(answers=True)
    line.during(20)
    line.answers = False
    line.during(12)
    assert len(line.rejoins) == 1
    assert set(line.watch.unheard) == {NOBODY_KNOWN}


def test_a_server_that_never_answers_proves_nothing() -> None:
    line = Line()
    line.packets(ADA, silence=True)
    line.during(5, lambda: line.packets(ADA))
    line.during(120)
    assert not line.rejoins


def test_rejoins_that_do_not_help_become_rare_and_the_outage_stays_told() -> None:
    line = Line()
    line.during(10)
    for _ in range(120):
        before = len(line.rejoins)
        line.speak(ADA, BEN)
        line.during(5)
        if len(line.rejoins) > before:
            line.rejoined()
            line.during(3)
            assert set(line.watch.unheard) == {ADA, BEN}
    gaps = [after - before for before, after in zip(line.rejoins, line.rejoins[1:], strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 15
    assert gaps[-1] > 100


def test_the_outage_is_over_when_nothing_more_points_to_it_or_those_left() -> None:
    for leaves in (True, False):
        line = Line()
        line.during(10)
        line.speak(ADA, BEN)
        line.during(5)
        line.rejoined()
        assert line.watch.unheard
        if leaves:
            line.able = {CLEO}
            line.look()
        else:
            line.during(OVER_SECONDS + 5)
        assert not line.watch.unheard


def test_missed_speech_ends_with_op_5_or_after_a_while() -> None:
    line = Line()
    line.during(10)
    line.speak(ADA, BEN)
    line.during(4)
    line.speak(ADA, speaking=False)
    line.during(30)
    assert line.watch.missed(ADA) == pytest.approx(4, abs=LOOK)
    assert line.watch.missed(BEN) == pytest.approx(10, abs=2 * LOOK)
