"""Noticing deafness."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.deafness import FRAMES, DeafnessWatch, Remedy

pytestmark = pytest.mark.unit


def test_remedies_come_in_turn_and_ever_more_rarely() -> None:
    watch = DeafnessWatch(5.0)
    named = []
    for second in range(100):
        remedy = watch.look(0, second * 50, float(second))
        if remedy is not None:
            named.append((second, remedy))
    assert named == [(6, Remedy.REKEY), (17, Remedy.REJOIN), (38, Remedy.REKEY), (79, Remedy.REJOIN)]
    assert watch.remedies == 4


def test_a_frame_that_opens_ends_it() -> None:
    watch = DeafnessWatch(5.0)
    assert [watch.look(0, second * 50, float(second)) for second in range(7)][-1] is Remedy.REKEY
    assert watch.look(1, 400, 8.0) is None
    assert watch.remedies == 0
    later = [watch.look(1, 400 + second * 50, 8.0 + second) for second in range(7)]
    assert later == [None] * 6 + [Remedy.REKEY]


def test_silence_is_not_deafness_and_neither_are_a_few_bad_frames() -> None:
    watch = DeafnessWatch(5.0)
    assert all(watch.look(100, 0, float(second)) is None for second in range(1000))
    assert all(watch.look(100, FRAMES - 1, 1000.0 + second) is None for second in range(1000))


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 1000)), max_size=50))
def test_who_opens_something_every_second_is_never_deaf(seconds: list[tuple[int, int]]) -> None:
    watch = DeafnessWatch(0.0)
    opened = refused = 0
    for now, (more_opened, more_refused) in enumerate(seconds):
        opened, refused = opened + more_opened, refused + more_refused
        assert watch.look(opened, refused, float(now)) is None
