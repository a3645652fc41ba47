"""A recogniser counts what it was fed; media time goes on while nobody speaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.timeline import MAX_ARRIVALS, MAX_STRETCHES, Timeline

pytestmark = pytest.mark.unit


def test_pauses_part_the_clocks() -> None:
    line = Timeline()
    line.advance(5.0, 1.0, 100.0)
    line.advance(6.0, 1.0, 101.0)
    line.advance(20.0, 1.0, 115.0)
    assert line.to_media(0.5) == pytest.approx(5.5)
    assert line.to_media(2.5) == pytest.approx(20.5)
    assert line.fed == pytest.approx(3.0)


def test_a_word_that_ends_at_the_seam_ends_before_the_pause() -> None:
    line = Timeline()
    line.advance(5.0, 1.0, 0.0)
    line.advance(20.0, 1.0, 0.0)
    assert line.to_media(1.0, end=True) == pytest.approx(6.0)
    assert line.to_media(1.0) == pytest.approx(20.0)


def test_restart_counts_from_zero() -> None:
    line = Timeline()
    line.advance(5.0, 2.0, 0.0)
    line.restart()
    line.advance(7.0, 1.0, 0.0)
    assert line.to_media(0.5) == pytest.approx(7.5)


def test_arrivals() -> None:
    line = Timeline()
    for n in range(100):
        line.advance(n * 0.02, 0.02, 50.0 + n * 0.02)
    assert line.received_at(1.0) == pytest.approx(51.0, abs=0.11)
    assert line.received_at(99.0) == pytest.approx(52.0, abs=0.11)


def test_nothing_fed() -> None:
    assert Timeline().received_at(1.0) == 0.0
    assert Timeline().to_media(1.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 2)), min_size=1, max_size=40))
def test_media_time_never_goes_back(pieces: list[tuple[float, float]]) -> None:
    line, media = Timeline(), 0.0
    for pause, seconds in pieces:
        media += pause
        line.advance(media, seconds, 0.0)
        media += seconds
    mapped = [line.to_media(line.fed * k / 50) for k in range(51)]
    assert mapped == sorted(mapped)


def test_memory_is_bounded() -> None:
    line = Timeline()
    for n in range(5_000):
        line.advance(n * 2.0, 1.0, 0.0)
    assert len(line._stretches) == MAX_STRETCHES
    assert len(line._arrivals) == MAX_ARRIVALS
