"""The evidence ring: what it holds, what it lets go, what it forgets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.evidence import PACKET_OVERHEAD, EvidenceRing
from bot.ogg import RATE, SILENCE
from moderation.ports import Evidence
from tests.bot.opus import decode_file, decode_packets, encode, speech

pytestmark = pytest.mark.integration


def fill(ring: EvidenceRing, session: str, speaker: int, seconds: float, start: float = 0.0) -> None:
    for n in range(round(seconds * 50)):
        ring.keep(session, speaker, start + n * 0.02, SILENCE)


def seconds(clip: bytes | None) -> float:
    return 0.0 if clip is None else round(decode_file(clip).shape[1] / RATE, 2)


def test_it_is_what_the_port_says() -> None:
    evidence: Evidence = EvidenceRing()
    assert evidence.clip("s", 1, 0.0, 1.0) is None


def test_a_clip_is_the_speech_of_that_span_and_speaker() -> None:
    ring, ada, ben = EvidenceRing(), encode(speech("sample_01.wav")), encode(speech("sample_02.wav"))
    for n, (a, b) in enumerate(zip(ada, ben, strict=False)):
        ring.keep("s", 1, 100 + n * 0.02, a)
        ring.keep("s", 2, 100 + n * 0.02, b)
    for speaker, packets in ((1, ada), (2, ben)):
        clip = ring.clip("s", speaker, 101.0, 102.5)
        assert clip is not None
        got, whole = decode_file(clip), decode_packets(packets)[:, RATE : round(2.5 * RATE)]
        assert got.shape == whole.shape
        assert np.corrcoef(got.ravel(), whole.ravel())[0, 1] > 0.99


def test_spans_that_reach_beyond_what_is_held_are_cut() -> None:
    ring = EvidenceRing()
    fill(ring, "s", 1, 2.0, start=10.0)
    assert seconds(ring.clip("s", 1, 5.0, 20.0)) == 2.0
    assert ring.clip("s", 1, 12.5, 20.0) is None
    assert ring.clip("s", 1, 0.0, 9.0) is None
    assert ring.clip("s", 1, 11.0, 11.0) is None
    assert ring.clip("other", 1, 10.0, 12.0) is None
    assert ring.clip("s", 2, 10.0, 12.0) is None


def test_what_is_older_than_its_reach_is_gone() -> None:
    ring = EvidenceRing(3.0)
    fill(ring, "s", 1, 10.0)
    assert seconds(ring.clip("s", 1, 0.0, 10.0)) == pytest.approx(3.0, abs=0.03)
    assert ring.stats.dropped_packets == 0, "reaching no further is no loss"


def test_who_was_silent_for_longer_than_the_reach_is_gone() -> None:
    ring = EvidenceRing(3.0)
    fill(ring, "s", 1, 1.0)
    fill(ring, "other", 1, 1.0)
    fill(ring, "s", 2, 3.5, start=1.0)
    assert ring.clip("s", 1, 0.0, 1.0) is None
    assert ring.clip("other", 1, 0.0, 1.0) is not None, "its session did not move on"
    assert ring.stats.speakers == 2


def test_no_reach_holds_nothing() -> None:
    ring = EvidenceRing(0)
    fill(ring, "s", 1, 1.0)
    assert ring.clip("s", 1, 0.0, 1.0) is None
    assert ring.stats.bytes == 0


def test_a_full_ring_loses_its_oldest_packets_and_counts_them() -> None:
    size = len(SILENCE) + PACKET_OVERHEAD
    ring = EvidenceRing(max_speaker_bytes=25 * size)
    fill(ring, "s", 1, 1.0)
    assert (ring.stats.bytes, ring.stats.dropped_packets) == (25 * size, 25)
    assert seconds(ring.clip("s", 1, 0.0, 0.49)) == 0.0
    assert seconds(ring.clip("s", 1, 0.0, 1.0)) == 0.5


def test_too_many_speakers_cost_the_one_who_was_silent_longest() -> None:
    ring = EvidenceRing(max_speakers=3)
    for speaker in (1, 2, 3):
        fill(ring, f"session of {speaker}", speaker, 0.5)
    fill(ring, "session of 1", 1, 0.5, start=0.5)
    fill(ring, "another", 4, 0.5)
    held = [s for s in (1, 2, 3) if ring.clip(f"session of {s}", s, 0.0, 1.0)]
    assert held == [1, 3]
    assert (ring.stats.speakers, ring.stats.dropped_speakers) == (3, 1)


def test_too_many_bytes_cost_the_one_who_was_silent_longest() -> None:
    size = len(SILENCE) + PACKET_OVERHEAD
    ring = EvidenceRing(max_bytes=60 * size)
    for speaker in (1, 2, 3):
        fill(ring, "s", speaker, 0.5)
    assert ring.clip("s", 1, 0.0, 1.0) is None
    assert ring.stats.bytes == 50 * size
    fill(ring, "s", 3, 2.0, start=0.5)
    assert (ring.stats.speakers, ring.stats.dropped_speakers) == (1, 2), "the last ring has a limit of its own"


def test_forgetting_drops_a_speaker_everywhere_and_nobody_else() -> None:
    ring = EvidenceRing()
    for session in ("a", "b"):
        for speaker in (1, 2):
            fill(ring, session, speaker, 0.5)
    ring.forget(1)
    ring.forget(1)
    assert [(s, n) for s in "ab" for n in (1, 2) if ring.clip(s, n, 0.0, 1.0)] == [("a", 2), ("b", 2)]
    ring.drop_session("a")
    ring.drop_session("a")
    ring.forget(2)
    assert (ring.stats.bytes, ring.stats.speakers) == (0, 0)


def test_what_is_no_opus_is_refused_and_counted() -> None:
    ring = EvidenceRing()
    for data in (b"", b"\xfb\x00", b"\xfb\x3f"):
        ring.keep("s", 1, 0.0, data)
    ring.keep("s", 1, float("nan"), SILENCE)
    assert (ring.stats.refused_packets, ring.stats.speakers) == (4, 0)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.floats(-10, 100), st.binary(max_size=200)), max_size=200),
    st.floats(-10, 100),
    st.floats(-10, 100),
)
def test_any_packets_keep_within_the_bounds(packets: list[tuple[str, int, float, bytes]], start: float, end: float) -> None:
    ring = EvidenceRing(5.0, max_speaker_bytes=2000, max_bytes=5000, max_speakers=3)
    for packet in packets:
        ring.keep(*packet)
        assert ring.stats.speakers <= 3
        assert ring.stats.bytes <= 5000
    for session in "ab":
        for speaker in range(1, 5):
            ring.clip(session, speaker, start, end)
    for speaker in range(1, 5):
        ring.forget(speaker)
    assert (ring.stats.bytes, ring.stats.speakers) == (0, 0)
