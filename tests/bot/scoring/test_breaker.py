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
        breaker.enter()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(Clock(), failures=3)
    for outcome in ("failed", "failed", "succeeded", "failed", "failed"):
        breaker.enter()
        getattr(breaker, outcome)()
    assert breaker.state.value == "closed"
    breaker.failed()
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
    breaker.enter()
    with pytest.raises(ScorerUnavailable):
        breaker.enter()
    breaker.succeeded()
    assert breaker.state.value == "closed"
    breaker.enter()


def test_the_pause_doubles_up_to_the_longest_and_starts_over_after_a_success() -> None:
    clock = Clock()
    breaker = broken(clock)
    for pause in (5.0, 10.0, 15.0, 15.0):
        clock.now += pause - 0.1
        assert breaker.state.value == "open"
        clock.now += 0.1
        breaker.enter()
        breaker.failed()
    clock.now += 15.0
    breaker.enter()
    breaker.succeeded()
    for _ in range(3):
        breaker.failed()
    clock.now += 5.0
    assert breaker.state.value == "half-open"


def test_an_attempt_that_was_given_up_decides_nothing() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 5.0
    breaker.enter()
    breaker.abandoned()
    breaker.enter()
    breaker.succeeded()
    assert breaker.state.value == "closed"


def test_late_failures_of_those_let_in_before_do_not_prolong_the_pause() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 4.0
    breaker.failed()
    clock.now += 1.0
    assert breaker.state.value == "half-open"
