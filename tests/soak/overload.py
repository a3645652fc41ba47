"""More speakers than the machine can carry, whatever machine it is: they speak on while only a share of what they say gets decoded.

The pace is the decoder's own: so many media seconds for each second decoded. So it is the share that overloads, not this machine's
speed, and the evening is the same on a fast one and on a slow one.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bot.app import Application
from moderation.models import FRAME_SECONDS, Coverage
from moderation.shedding import Shed
from tests.loopback.voice.clips import opus_packets
from tests.scenario import conversation
from tests.soak.call import PIECE, Call, Switchboard, until

GUILDS = (1, 2)
CARRIED, CALM = 0.4, 4.0
"""Seconds decoded for each second that one of them speaks: while overloaded, and afterwards."""

ORDER = tuple(level.name.lower() for level in Shed)


@dataclass
class Course:
    """What came of it."""

    levels: list[str] = field(default_factory=list)
    """What the operator reads in the log: each change of what is left out."""
    coverage: dict[int, Sequence[Coverage]] = field(default_factory=dict)
    """Guild → its speakers."""

    @property
    def in_order(self) -> bool:
        """Whether everything was left out, and never before what comes before it: partials, then silence, then a channel."""
        steps = [ORDER.index(level) for level in ("nothing", *self.levels)]
        return set(steps) == set(range(len(ORDER))) and all(after <= before + 1 for before, after in itertools.pairwise(steps))

    @property
    def over(self) -> bool:
        """Whether nothing is left out any more."""
        return self.levels[-1:] == ["nothing"]


class _Log(logging.Handler):
    """Notes what the application says about being short of CPU."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "left_out"):
            self._course.levels.append(record.left_out)


async def overload(app: Application, gateway: Switchboard, *, speakers: int, seconds: float) -> Course:
    """Two calls with so many speakers each talk without a pause: overloaded for so many media seconds, then as long at an easy pace.

    In guild 1 everybody says the whole conversation, insults included; in guild 2 only what is harmless.
    """
    course = Course()
    log, handler = logging.getLogger("bot.live"), _Log(course)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        calls = [await gateway.call(guild_id) for guild_id in GUILDS]
        voices = {call: _join(call, speakers) for call in calls}
        for carried in (CARRIED, CALM):
            await _talk(app, voices, carried * speakers * len(calls), seconds)
        for call in calls:
            await call.pause(1.0)
        for call in calls:
            course.coverage[call.session.guild_id] = await app.services.sessions.stop(call.session.guild_id) or ()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    return course


def _join(call: Call, speakers: int) -> dict[int, Iterator[bytes]]:
    """Who speaks, and what."""
    guild_id = call.session.guild_id
    lines = [line for line in conversation() if guild_id == GUILDS[0] or line.speaker in {"Ada", "Cleo"}]
    clips = [opus_packets(line.path) for line in lines]
    voices: dict[int, Iterator[bytes]] = {}
    for n in range(speakers):
        call.join(guild_id * 100 + n)
        voices[guild_id * 100 + n] = itertools.cycle(itertools.chain.from_iterable([*clips[n:], *clips[:n]]))
    return voices


async def _talk(app: Application, voices: dict[Call, dict[int, Iterator[bytes]]], carried: float, seconds: float) -> None:
    """`carried`: seconds decoded for each media second."""
    for _ in range(round(seconds / FRAME_SECONDS / PIECE)):
        before = app.core.transcriber.stats().seconds_decoded
        for _ in range(PIECE):
            for call, said in voices.items():
                call.frame({user_id: next(packets) for user_id, packets in said.items()})
        await until(partial(_paced, app, voices, before + carried * PIECE * FRAME_SECONDS))


def _paced(app: Application, calls: Iterable[Call], decoded: float) -> bool:
    """Whether so many seconds are decoded, or there is nothing left to decode."""
    return app.core.transcriber.stats().seconds_decoded >= decoded or all(map(_idle, calls))


def _idle(call: Call) -> bool:
    return not call.source.queued and not call.running.pipeline.waiting
