"""The circuit breaker, by an injected clock."""

import pytest

from bot.scoring.breaker import Breaker, State
from moderation.errors import ScorerUnavailable

pytestmark = pytest.mark.unit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(clock, failures=3, pause=5.0, max_pause=15.0)
    for _ in range(3):
        breaker.failed(breaker.enter())
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(Clock(), failures=3)
    for outcome in ("failed", "failed", "succeeded", "failed", "failed"):
        getattr(breaker, outcome)(breaker.enter())
    assert breaker.state.value == "closed"
    breaker.failed(breaker.enter())
    assert (breaker.state, breaker.opened) == (State.OPEN, 1)


def test_open_refuses_and_says_for_how_long() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 2.0
    with pytest.raises(ScorerUnavailable) as caught:
        breaker.enter()
    assert caught.value.retry_after == pytest.approx(3.0)
    assert breaker.refused == 1


def test_after_the_pause_one_attempt_decides() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 5.0
    assert breaker.state.value == "half-open"
    trial = breaker.enter()
    with pytest.raises(ScorerUnavailable):
        breaker.enter()
    breaker.succeeded(trial)
    assert breaker.state.value == "closed"
    breaker.enter()


def test_the_pause_doubles_up_to_the_longest_and_starts_over_after_a_success() -> None:
    clock = Clock()
    breaker = broken(clock)
    for pause in (5.0, 10.0, 15.0, 15.0):
        clock.now += pause - 0.1
        assert breaker.state.value == "open"
        clock.now += 0.1
        breaker.failed(breaker.enter())
    clock.now += 15.0
    breaker.succeeded(breaker.enter())
    for _ in range(3):
        breaker.failed(breaker.enter())
    clock.now += 5.0
    assert breaker.state.value == "half-open"


def test_an_attempt_that_was_given_up_decides_nothing() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 5.0
    breaker.abandoned(breaker.enter())
    breaker.succeeded(breaker.enter())
    assert breaker.state.value == "closed"


@pytest.mark.parametrize("outcome", ["failed", "succeeded", "abandoned"])
def test_those_let_in_before_it_opened_change_nothing(outcome: str) -> None:
    clock = Clock()
    breaker = Breaker(clock, failures=3, pause=5.0)
    late = [breaker.enter() for _ in range(3)]
    for _ in range(3):
        breaker.failed(breaker.enter())
    clock.now += 4.0
    getattr(breaker, outcome)(late[0])
    assert breaker.state.value == "open"
    clock.now += 1.0
    trial = breaker.enter()
    getattr(breaker, outcome)(late[1])
    with pytest.raises(ScorerUnavailable):  # the trial is under way still
        breaker.enter()
    breaker.succeeded(trial)
    for _ in range(2):
        breaker.failed(breaker.enter())
    getattr(breaker, outcome)(late[2])
    breaker.failed(breaker.enter())
    assert (breaker.state, breaker.opened) == (State.OPEN, 2)


def test_a_scorer_that_says_for_how_long_to_leave_it_alone_is_left_alone() -> None:
    clock = Clock()
    breaker = Breaker(clock, failures=3, pause=5.0, max_pause=60.0)
    breaker.failed(breaker.enter(), rest=30.0)
    clock.now += 29.9
    assert breaker.state.value == "open"
    clock.now += 0.1
    breaker.failed(breaker.enter(), rest=3_600.0)
    clock.now += 59.9
    assert breaker.state.value == "open"
    clock.now += 0.1
    breaker.failed(breaker.enter(), rest=1.0)  # for longer than it says: it has failed again and again
    clock.now += 19.9
    assert breaker.state.value == "open"
    clock.now += 0.1
    breaker.succeeded(breaker.enter())
    for _ in range(2):
        breaker.enter()
