"""A process that is late: packets that it has not read yet, frames that nobody has taken yet."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bot.sources.discord import DiscordSource
from bot.voice.speaker import END_SECONDS
from moderation.models import FRAME_SECONDS, EndOfSpeech
from tests.bot.voice.packets import BOT, KEY, Sender, speech
from tests.loopback.voice.transport import AES256_GCM, Transport

pytestmark = pytest.mark.unit
ADA = 2
PACKETS = speech(30)


class Heard:
    """A source with a clock of its own, in a call without end-to-end encryption."""

    def __init__(self) -> None:
        self.now = 100.0
        guild: Any = SimpleNamespace(id=1, me=SimpleNamespace(id=BOT, voice=None), get_member=lambda user_id: None)
        self.accepted = True
        self.source = DiscordSource(
            guild, keep=lambda user_id, start, opus: None, accept=lambda user_id: self.accepted, clock=lambda: self.now
        )
        self.source.transport_ready(AES256_GCM, KEY, 0)
        self.source.listen()
        self.source.speaking(7, ADA)
        self.ada = Sender(ADA, 7, Transport(AES256_GCM, KEY).seal, None)

    def read(self, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self.source.datagram(self.ada.packet(packet))

    def tick(self, after: float = FRAME_SECONDS) -> None:
        self.now += after
        self.source.tick()

    async def ends(self) -> int:
        self.source._queue.close()
        return sum([isinstance(item, EndOfSpeech) async for item in self.source.frames()])


async def test_a_pause_of_the_process_is_none_of_the_speaker() -> None:
    heard = Heard()
    heard.read(PACKETS[:10])
    heard.tick()
    heard.tick(2 * END_SECONDS)
    heard.read(PACKETS[10:])  # had been in the socket all the while
    heard.tick()
    assert await heard.ends() == 0


async def test_silence_is_noticed_by_the_next_tick_however_slow_they_are() -> None:
    heard = Heard()
    heard.read(PACKETS)
    heard.tick(2 * END_SECONDS)
    heard.tick(2 * END_SECONDS)
    assert await heard.ends() == 1


async def test_what_waited_when_its_speaker_opted_out_is_neither_heard_nor_missed() -> None:
    heard = Heard()
    heard.read(PACKETS)
    assert heard.source.spoken_seconds(ADA) == pytest.approx(len(PACKETS) * FRAME_SECONDS)
    heard.accepted = False
    heard.source._queue.close()
    assert [item async for item in heard.source.frames()] == []
    assert heard.source.spoken_seconds(ADA) == pytest.approx(0.0)
