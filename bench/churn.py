"""How much is heard while the call's members change all the time: a real client in the loopback's voice server, DAVE on.

Eight people talk without a break while others join and leave, each change as soon as the one before is through: proposals, commit,
welcome, transition. Coverage is seconds handed to the pipeline ÷ seconds spoken as each sender counts them; what is missing is told
by reason. Nothing is recognised here, so that a slow machine's shedding is not taken for the protocol's loss.
"""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass

from bench.rows import Row
from bot.voice.stats import SpeakerStats
from tests.bot.sources.support import Heard, hearing
from tests.bot.voice.support import World, world
from tests.loopback.voice import Human, VoiceServer
from tests.scenario import conversation

CHANGES = 200
"""Joins and leaves in turn."""
TALKERS = tuple(f"talker {number}" for number in range(8))
GUESTS = 10
"""Who join and leave; each comes back again and again."""
TAIL_SECONDS = 1.5
"""After the last packet: jitter, held frames and the end of speech take less."""


@dataclass(frozen=True, slots=True)
class Churned:
    """What came of it."""

    spoken: dict[int, float]
    """Seconds by user id, as the senders count them."""
    heard: dict[int, float]
    """Seconds by user id, without what was made up."""
    reasons: Counter[str]
    """Packets that were not heard, as the receiver counts them."""
    seconds: float
    """That the changes took."""

    @property
    def coverage(self) -> float:
        """Of all together."""
        return sum(self.heard.values()) / sum(self.spoken.values())

    @property
    def worst(self) -> float:
        """Of whoever was heard least."""
        return min(self.heard[user_id] / seconds for user_id, seconds in self.spoken.items())


def run() -> list[Row]:
    """Keys that change at op 22, as the protocol says, and keys that change a moment too early."""
    rows = []
    for name, eager in (("", False), (", keys changed before op 22", True)):
        found = asyncio.run(churned(CHANGES, eager=eager))
        why = ", ".join(f"{count} packets {reason}" for reason, count in sorted(found.reasons.items())) or "no packet lost"
        peer = f"worst of {len(found.spoken)} speakers {100 * found.worst:.2f} %; {why}; {found.seconds:.0f} s"
        rows.append(Row(f"heard ÷ spoken, {CHANGES} joins and leaves{name}", 100 * found.coverage, "%", peer))
    return rows


async def churned(changes: int, *, eager: bool = False) -> Churned:
    """So many joins and leaves. `eager`: senders use a new key as soon as they know it."""
    async with world(*TALKERS, voice=VoiceServer(seed=5, eager_humans=eager)) as at, hearing(at) as heard:
        over = asyncio.Event()
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, person in enumerate(at.people):
                group.create_task(_talk(at.voice.human(person.id), number, over))
            await _change(at, changes)
            took = time.monotonic() - started
            over.set()
        await asyncio.sleep(TAIL_SECONDS)
        statistics, _ = heard.source.statistics()
        return Churned(
            spoken={person.id: at.voice.stats.human(person.id).seconds for person in at.people},
            heard={person.id: _seconds(heard, person.id) for person in at.people},
            reasons=sum(
                (_reasons(statistics[person.id]) for person in at.people), Counter({"not taken in time": heard.source.health().dropped})
            ),
            seconds=took,
        )


async def _talk(human: Human, number: int, over: asyncio.Event) -> None:
    lines = conversation()
    for line in itertools.cycle(lines[number:] + lines[:number]):
        if over.is_set():
            return
        await human.say(line.path)


async def _change(at: World, changes: int) -> None:
    guests = [at.loopback.add_member(at.guild, f"guest {number}") for number in range(GUESTS)]
    for number in range(changes):
        turn, leaves = divmod(number, 2)
        guest = guests[turn % GUESTS]
        await (at.loopback.voice_leave(guest) if leaves else at.loopback.voice_join(guest, at.lobby))
        await at.settled()


def _seconds(heard: Heard, user_id: int) -> float:
    return sum(frame.seconds for frame in heard.frames(user_id) if not frame.concealed)


def _reasons(stats: SpeakerStats) -> Counter[str]:
    refused = {f"refused ({reason})": count for reason, count in stats.failed.items()}
    return Counter({"lost": stats.lost, "undecodable": stats.undecodable, "abandoned": stats.abandoned, **refused})


if __name__ == "__main__":
    for row in run():
        print(row)
