"""Whatever arrives, in whatever order: nothing raises, grows without bound, overlaps, or goes uncounted."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.voice.jitter import CAPACITY
from bot.voice.opus import SILENCE
from bot.voice.speaker import HOLD_FRAMES
from bot.voice.unmapped import MAX_PACKETS, MAX_SSRCS
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import BOT, FRAME, KEY, LEVEL, Call, Sender, assert_sound, rtp, speech
from tests.loopback.voice.transport import MODES, Transport

pytestmark = pytest.mark.integration

PEOPLE = (2, 3, 4)
_GROUP = DaveGroup.of(BOT, *PEOPLE)

SSRCS = st.sampled_from([2002, 2003, 2004, 5, 6])
USERS = st.sampled_from([*PEOPLE, 99])
PAYLOADS = st.one_of(
    st.binary(max_size=80),
    st.binary(min_size=9, max_size=60).map(lambda body: body + b"\x0c\xfa\xfa"),
    st.sampled_from([b"", SILENCE, speech(1)[0], b"\xff\x00", b"\xfb\x3f"]),
)
SHAPES = st.fixed_dictionaries(
    {
        "ssrc": SSRCS,
        "sequence": st.one_of(st.integers(0, 40), st.integers(65_500, 65_540), st.integers(0, 0xFFFF)),
        "timestamp": st.one_of(st.integers(0, 40).map(lambda n: n * 960), st.integers(0, 0xFFFFFFFF)),
        "extension": st.sampled_from([b"", LEVEL]),
        "padding": st.sampled_from([0, 0, 1, 200]),
        "csrcs": st.sampled_from([0, 0, 1, 15]),
        "payload_type": st.sampled_from([120, 120, 120, 120, 101, 102, 72, 0]),
    }
)

Step = Callable[[Call, dict[int, Sender]], None]


def malicious(payload: bytes, shape: dict[str, object]) -> Step:
    """A member of the call, with the transport key behind it, sends whatever it likes."""
    return lambda call, talking: void(call.receive(call.seal(*rtp(payload, **shape))))  # type: ignore[arg-type]


def mutated(user_id: int, at: int, value: int, length: int) -> Step:
    """An honest packet, damaged or cut short on the way."""

    def step(call: Call, talking: dict[int, Sender]) -> None:
        data = bytearray(talking[user_id].packet(speech(1)[0]))
        data[at % len(data)] = value
        call.receive(bytes(data[:length]))

    return step


def honest(user_id: int, count: int, skip: int, lost: int) -> Step:
    """Somebody speaks, after a pause, and packets are lost before."""

    def step(call: Call, talking: dict[int, Sender]) -> None:
        talking[user_id].pause(skip)
        talking[user_id].packets(speech(lost) if lost else [])
        call.stream(talking[user_id].packets(speech(count)))

    return step


def void(result: object) -> None:
    """For lambdas that return nothing."""


STEPS = st.one_of(
    st.builds(malicious, PAYLOADS, SHAPES),
    st.binary(max_size=120).map(lambda data: lambda call, talking: void(call.receive(data))),
    st.builds(mutated, st.sampled_from(PEOPLE), st.integers(0, 300), st.integers(0, 255), st.integers(0, 300)),
    st.builds(honest, st.sampled_from(PEOPLE), st.integers(1, 8), st.integers(0, 60), st.integers(0, 5)),
    st.floats(0, 1).map(lambda seconds: lambda call, talking: void(call.wait(seconds))),
    st.tuples(SSRCS, USERS).map(lambda who: lambda call, talking: void(call.keep(call.receiver.speaking(who[0], who[1], call.now)))),
    USERS.map(lambda user_id: lambda call, talking: void(call.keep(call.receiver.user_left(user_id, call.now)))),
    st.just(lambda call, talking: void(call.keep(call.receiver.epoch_changed(call.now)))),
    st.booleans().map(lambda on: lambda call, talking: setattr(call.receiver, "listening", on)),
    st.sets(st.sampled_from(PEOPLE)).map(lambda who: lambda call, talking: setattr(call.receiver, "accept", lambda user: user not in who)),
    st.sampled_from([0, 1]).map(lambda version: lambda call, talking: call.dave.prepare_transition(0, version, call.now)),
    st.just(lambda call, talking: (call.receiver.reset(), call.receiver.set_transport(call.mode, KEY))),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mode=st.sampled_from(MODES), steps=st.lists(STEPS, max_size=40))
def test_nothing_that_arrives_raises_grows_overlaps_or_goes_uncounted(mode: str, steps: list[Step]) -> None:
    call = Call(_GROUP, mode)
    talking = {user_id: call.sender(user_id) for user_id in PEOPLE}
    for step in steps:
        step(call, talking)
        assert_bounded(call)
    assert_sound(call)
    assert_accounted(call)


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 40),
    delays=st.lists(st.floats(0, 0.06), min_size=40, max_size=40),
    twice=st.sets(st.integers(0, 39), max_size=8),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
)
def test_any_order_of_arrival_within_the_window_is_heard_in_order(
    count: int, delays: list[float], twice: set[int], sequence: int, timestamp: int
) -> None:
    call = Call(_GROUP)
    ada = call.sender(PEOPLE[0])
    ada.sequence, ada.timestamp = sequence, timestamp
    packets = ada.packets(speech(count))
    delays[0] = 0.0
    arrivals = [(n * FRAME + delays[n], packets[n]) for n in range(count)]
    arrivals += [(n * FRAME + delays[n] + 0.1, packets[n]) for n in twice if n < count]
    started = call.now
    for at, data in sorted(arrivals):
        call.now = started + at
        call.keep(call.receiver.tick(call.now))
        call.receive(data)
    assert call.heard == list(speech(count))
    stats = call.stats(PEOPLE[0])
    assert (stats.lost, stats.late, stats.concealed) == (0, 0, 0)
    assert stats.duplicate == len([n for n in twice if n < count])
    assert_sound(call)


@pytest.mark.parametrize("mode", MODES)
def test_a_flood_from_a_member_leaves_memory_bounded(mode: str) -> None:
    call = Call(_GROUP, mode)
    talking = call.sender(PEOPLE[0])
    seal = Transport(mode, KEY).seal
    for number in range(6_000):
        ssrc = 2002 if number % 3 == 0 else 10_000 + number
        call.receive(seal(*rtp(bytes(60) + b"\x0c\xfa\xfa", ssrc=ssrc, sequence=number * 7, timestamp=number * 977)))
        if number % 200 == 0:
            assert_bounded(call)
            call.wait(FRAME)
    call.wait(3)
    call.receive(talking.packet(speech(2)[0]), talking.packet(speech(2)[1]))
    assert call.heard == list(speech(2))
    assert_accounted(call)


def assert_bounded(call: Call) -> None:
    receiver = call.receiver
    rings = receiver._unmapped.rings()
    assert len(rings) <= MAX_SSRCS
    assert all(len(ring.packets) <= MAX_PACKETS for _, ring in rings)
    assert all(stream.jitter.waiting <= CAPACITY for stream in receiver._roster.streams.values())
    assert all(len(speaker._held) <= HOLD_FRAMES for speaker in receiver._roster.speakers.values())


def assert_accounted(call: Call) -> None:
    """Every datagram is in exactly one counter, and so is every packet of each speaker."""
    call.receiver.listening = False  # abandons what waits
    stats, total = call.receiver.stats(), call.receiver.call_stats()
    known = sum(each.received + each.refused for each in stats.values())
    assert total.datagrams == sum(total.ignored.values()) + sum(total.dropped.values()) + known
    for each in stats.values():
        fates = (each.silence, each.padding, each.decoded, each.undecodable, each.late, each.duplicate, each.stray, each.abandoned)
        assert each.received == sum(fates) + sum(each.failed.values())
        assert each.decrypted == each.decoded + each.undecodable
        assert each.seconds_heard <= each.seconds_spoken + 0.12 * each.recovered
