"""Snapshots: complete, frozen, and no longer moved by what happens next."""

import dataclasses

import pytest

from bot.voice.dave import Refusal
from bot.voice.stats import SpeakerCounters, SpeakerStats

pytestmark = pytest.mark.unit


def test_every_counter_is_in_the_snapshot_under_its_name() -> None:
    counters = SpeakerCounters()
    names = {field.name for field in dataclasses.fields(SpeakerCounters)} - {"failed", "heard_bytes", "spoken_ticks"}
    for number, name in enumerate(sorted(names), 1):
        setattr(counters, name, number)
    snapshot = counters.snapshot()
    assert {name: getattr(snapshot, name) for name in names} == {name: number for number, name in enumerate(sorted(names), 1)}
    assert {field.name for field in dataclasses.fields(SpeakerStats)} == names | {"failed", "seconds_heard", "seconds_spoken"}


def test_seconds_count_bytes_of_audio_and_ticks_of_rtp() -> None:
    snapshot = SpeakerCounters(heard_bytes=48_000, spoken_ticks=96_000).snapshot()
    assert (snapshot.seconds_heard, snapshot.seconds_spoken) == (1.5, 2.0)


def test_a_snapshot_stays_as_it_was() -> None:
    counters = SpeakerCounters()
    counters.failed[Refusal.NO_KEY] += 1
    snapshot = counters.snapshot()
    counters.failed[Refusal.NO_KEY] += 1
    counters.received += 1
    assert (snapshot.failed, snapshot.received) == ({Refusal.NO_KEY: 1}, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.received = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        snapshot.failed[Refusal.PLAIN] = 1  # type: ignore[index]
