"""Who speaks and is not heard, from counters alone."""

from collections import Counter

import pytest

from bot.sources.hearing import QUIET_SECONDS, SOMEBODY, HearingWatch
from bot.voice.dave import Refusal
from bot.voice.deafness import Remedy
from bot.voice.stats import CallStats, Drop, SpeakerCounters, SpeakerStats

pytestmark = pytest.mark.unit

ADA, BEN = 5, 6
BOTH = frozenset({ADA, BEN})


class Counts:
    """Counters that grow by seconds of frames."""

    def __init__(self) -> None:
        self.people = {ADA: SpeakerCounters(), BEN: SpeakerCounters()}
        self.dropped: Counter[Drop] = Counter()

    def heard(self, user: int) -> None:
        self.people[user].decrypted += 50
        self.people[user].decoded += 50

    def refused(self, user: int) -> None:
        self.people[user].failed[next(iter(Refusal))] += 50

    def look(self, watch: HearingWatch, now: float, present: frozenset[int] = BOTH) -> Remedy | None:
        return watch.look(*self.read(), present, now)

    def read(self) -> tuple[dict[int, SpeakerStats], CallStats]:
        call = CallStats(datagrams=0, ignored={}, dropped=dict(self.dropped), trials=0, identified=0)
        return {user: counters.snapshot() for user, counters in self.people.items()}, call


def test_one_deaf_speaker_among_others_is_noticed_within_five_seconds_rekeyed_then_rejoined() -> None:
    counts, watch = Counts(), HearingWatch()
    tried: list[tuple[int, Remedy]] = []
    for second in range(1, 15):
        counts.heard(ADA)
        counts.refused(BEN)
        remedy = counts.look(watch, float(second))
        if remedy is not None:
            tried.append((second, remedy))
    assert [remedy for _, remedy in tried] == [Remedy.REKEY, Remedy.REJOIN]
    assert tried[0][0] - 1 <= 5
    assert watch.unheard == {BEN: 1.0}
    counts.heard(BEN)
    assert counts.look(watch, 15.0) is None
    assert not watch.unheard


def test_who_left_is_unheard_no_more_and_starts_anew() -> None:
    counts, watch = Counts(), HearingWatch()
    for second in range(10):
        counts.refused(BEN)
        counts.look(watch, float(second))
    assert BEN in watch.unheard
    counts.look(watch, 10.0, frozenset({ADA}))
    assert not watch.unheard
    counts.look(watch, 11.0)
    assert not watch.unheard


@pytest.mark.parametrize("drop", [Drop.UNMAPPED, Drop.TRANSPORT_REFUSED])
def test_packets_of_nobody_are_an_outage_until_they_stop(drop: Drop) -> None:
    counts, watch = Counts(), HearingWatch()
    for second in range(1, 10):
        counts.dropped[drop] += 50
        counts.look(watch, float(second))
    assert watch.unheard == {SOMEBODY: 1.0}
    for second in range(10, 12 + int(QUIET_SECONDS)):
        counts.look(watch, float(second))
    assert not watch.unheard
    counts.look(watch, 60.0)
    assert not watch.unheard


def test_unmapped_speech_is_noticed_beside_people_who_are_heard_and_forged_packets_are_not() -> None:
    counts, watch = Counts(), HearingWatch()
    for second in range(1, 20):
        counts.heard(ADA)
        counts.dropped[Drop.TRANSPORT_REFUSED] += 50
        assert counts.look(watch, float(second)) is None
    assert not watch.unheard
    for second in range(20, 30):
        counts.heard(ADA)
        counts.dropped[Drop.UNMAPPED] += 50
        counts.look(watch, float(second))
    assert SOMEBODY in watch.unheard


def test_unmapped_speech_of_whoever_must_not_be_heard_brings_no_remedy() -> None:
    counts, watch = Counts(), HearingWatch()
    for second in range(1, 60):
        counts.dropped[Drop.UNMAPPED] += 50
        assert watch.look(*counts.read(), BOTH, float(second), excused=True) is None
    assert not watch.unheard
    remedies = []
    for second in range(60, 70):
        counts.dropped[Drop.UNMAPPED] += 50
        remedies.append(counts.look(watch, float(second)))
    assert Remedy.REKEY in remedies, "another SSRC that nobody named is another matter"


def test_a_quiet_call_is_no_outage() -> None:
    counts, watch = Counts(), HearingWatch()
    assert [counts.look(watch, float(second)) for second in range(400)] == [None] * 400
    assert not watch.unheard
