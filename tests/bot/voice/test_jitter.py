"""The jitter buffer: in-order output for any order of arrival that a network makes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.voice.jitter import CAPACITY, DELAY, MAX_DROPOUT, MAX_MISORDER, RESTARTED, Arrival, JitterBuffer, Missing, Restarted

pytestmark = pytest.mark.unit

FRAME = 0.02


class Feed:
    """A buffer, and all that came out of it."""

    def __init__(self) -> None:
        self.buffer = JitterBuffer[int]()
        self.out: list[int | Missing | Restarted] = []
        self.arrivals: list[Arrival] = []

    def __call__(self, number: int, now: float) -> None:
        """`number` is the packet; its sequence number wraps."""
        if self.buffer.passes(number & 0xFFFF):
            self.out.append(number)
            return
        self.arrivals.append(self.buffer.put(number & 0xFFFF, number, now))
        self.tick(now)

    def tick(self, now: float) -> None:
        while (item := self.buffer.pop(now)) is not None:
            self.out.append(item)

    @property
    def packets(self) -> list[int]:
        return [item for item in self.out if isinstance(item, int)]

    @property
    def missing(self) -> int:
        return sum(item.count for item in self.out if isinstance(item, Missing))


def test_packets_in_order_pass_at_once_across_the_wrap() -> None:
    feed = Feed()
    for number in range(65_400, 65_700):
        feed(number, 0.0)
        assert feed.out[-1] == number
    assert feed.arrivals == []


def test_a_gap_waits_and_then_is_given_up() -> None:
    feed = Feed()
    for number in (1, 2, 4, 5):
        feed(number, 1.0)
    feed.tick(1.0 + DELAY - 0.001)
    assert feed.out == [1, 2]
    feed.tick(1.0 + DELAY)
    assert feed.out == [1, 2, Missing(1), 4, 5]


def test_a_gap_that_closes_in_time_costs_nothing() -> None:
    feed = Feed()
    for number, now in ((1, 0.0), (3, 0.02), (4, 0.04), (2, 0.06)):
        feed(number, now)
    assert feed.out == [1, 2, 3, 4]


def test_two_gaps_are_given_up_each_in_its_time() -> None:
    feed = Feed()
    for number, now in ((1, 0.0), (3, 0.0), (5, 0.05)):
        feed(number, now)
    feed.tick(0.06)
    assert feed.out == [1, Missing(1), 3]
    feed.tick(0.11)
    assert feed.out[3:] == [Missing(1), 5]


def test_late_and_duplicate_are_told_apart() -> None:
    feed = Feed()
    for number in (1, 3):
        feed(number, 0.0)
    feed.tick(1.0)
    for number in (2, 2, 3, 1):
        feed(number, 1.0)
    assert feed.arrivals[1:] == [Arrival.LATE, Arrival.DUPLICATE, Arrival.DUPLICATE, Arrival.DUPLICATE]
    assert feed.packets == [1, 3]


def test_a_duplicate_of_a_waiting_packet() -> None:
    feed = Feed()
    for number in (1, 3, 3):
        feed(number, 0.0)
    assert feed.arrivals == [Arrival.QUEUED, Arrival.DUPLICATE]


def test_no_more_than_capacity_is_held() -> None:
    feed = Feed()
    feed(0, 0.0)
    for number in range(2, 2 + 3 * CAPACITY, 2):  # every other packet is lost, and time stands still
        feed(number, 0.0)
        assert feed.buffer.waiting < CAPACITY
    assert feed.packets == sorted(feed.packets)


def test_a_jump_ahead_is_loss_and_what_comes_of_it_later_is_late() -> None:
    feed = Feed()
    feed(0, 0.0)
    feed(MAX_DROPOUT, 0.0)
    feed.tick(DELAY)
    feed(MAX_DROPOUT - 1, 0.1)
    assert feed.out == [0, Missing(MAX_DROPOUT - 1), MAX_DROPOUT]
    assert feed.arrivals[-1] is Arrival.LATE


@pytest.mark.parametrize("anew", [MAX_DROPOUT + 50, 30_000, 60_000, 65_536 - MAX_MISORDER - 10])
def test_a_sender_that_begins_anew_is_followed_from_its_first_packet(anew: int) -> None:
    feed = Feed()
    feed(0, 0.0)
    feed(2, 0.0)  # waits behind a gap
    for number in range(anew, anew + 4):
        feed(number, 0.01)
    assert feed.out == [0, Missing(1), 2, RESTARTED, anew, anew + 1, anew + 2, anew + 3]


def test_a_single_stray_changes_nothing() -> None:
    feed = Feed()
    for number in (0, 1, 30_000, 2, 45_000, 3):
        feed(number, 0.0)
    assert feed.out == [0, 1, 2, 3]
    assert feed.arrivals == [Arrival.STRAY, Arrival.DISPLACED]


def test_a_restart_just_beyond_what_was_held_is_loss() -> None:
    feed = Feed()
    for number in (0, MAX_DROPOUT - 1, MAX_DROPOUT + 2, MAX_DROPOUT + 3, MAX_DROPOUT + 4):
        feed(number, 0.0)
    feed.tick(1.0)
    feed(MAX_DROPOUT + 6, 1.0)
    assert feed.buffer.waiting == 1  # a gap like any other
    feed.tick(2.0)
    assert feed.out[1:] == [
        Missing(MAX_DROPOUT - 2),
        MAX_DROPOUT - 1,
        Missing(2),
        MAX_DROPOUT + 2,
        MAX_DROPOUT + 3,
        MAX_DROPOUT + 4,
        Missing(1),
        MAX_DROPOUT + 6,
    ]


def test_clearing_forgets_and_says_how_much() -> None:
    feed = Feed()
    for number in (0, 2, 3, 30_000):
        feed(number, 0.0)
    assert feed.buffer.clear() == 3
    feed(500, 0.0)
    assert feed.out == [0, 500]


@given(
    start=st.integers(0, 0xFFFF),
    delays=st.lists(st.floats(0, DELAY), min_size=2, max_size=80),
)
@example(start=0xFFFE, delays=[0.0, DELAY, 0.0, DELAY, 0.0])
def test_any_order_of_arrival_within_the_window_gives_all_packets_in_order(start: int, delays: list[float]) -> None:
    delays[0] = 0.0  # nothing tells that something came before the first
    arrivals = sorted((number * FRAME + delay, start + number) for number, delay in enumerate(delays))
    feed = Feed()
    for now, number in arrivals:
        feed.tick(now)
        feed(number, now)
    assert feed.out == [start + number for number in range(len(delays))]


@given(
    start=st.integers(0, 0xFFFF),
    arrivals=st.lists(st.tuples(st.integers(0, MAX_MISORDER - 1), st.floats(0, 0.1)), max_size=150),
)
def test_whatever_arrives_comes_out_once_in_order_and_every_number_is_accounted_for(start: int, arrivals: list[tuple[int, float]]) -> None:
    feed, now = Feed(), 0.0
    feed(start, now)
    for ahead, later in arrivals:
        now += later
        feed(start + ahead, now)
        feed.tick(now)
    feed.tick(now + 1)
    assert feed.packets == sorted(set(feed.packets))
    assert feed.buffer.waiting == 0
    assert len(feed.packets) + feed.missing == feed.packets[-1] - start + 1
    assert RESTARTED not in feed.out


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 0.1)), max_size=200))
def test_wild_sequence_numbers_never_outgrow_the_buffer(arrivals: list[tuple[int, float]]) -> None:
    feed, now = Feed(), 0.0
    for sequence, later in arrivals:
        now += later
        feed(sequence, now)
        assert feed.buffer.waiting <= CAPACITY
    dropped = sum(arrival is not Arrival.QUEUED and arrival is not Arrival.STRAY for arrival in feed.arrivals)
    feed.tick(now + 1)
    assert len(feed.packets) + dropped + feed.buffer.clear() == len(arrivals)
