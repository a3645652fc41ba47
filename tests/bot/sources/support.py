"""Joining the loopback Discord through the gateway, and noting everything that is heard."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bot.sources.discord import DiscordSource
from bot.sources.gateway import DiscordVoiceGateway
from bot.sources.statuses import StatusKeeper
from moderation.errors import ModerationError
from moderation.models import AudioFrame, EndOfSpeech, Session, SourceItem, SpeakerLeft
from tests.bot.voice.support import World, until
from tests.loopback.state import Channel
from tests.loopback.voice.rtp import SILENCE

VOICES = Path(__file__).parents[2] / "speech" / "voices"


def session_in(at: World, channel: Channel | None = None) -> Session:
    """A session in the Lobby, unless another channel is named."""
    return Session("s1", at.guild.id, (channel or at.lobby).id, datetime.now(UTC))


@dataclass
class Heard:
    """What a source gave."""

    source: DiscordSource
    items: list[SourceItem] = field(default_factory=list)
    opus: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    error: ModerationError | None = None
    over: bool = False

    async def read(self) -> None:
        """Note everything until the source ends."""
        try:
            async for item in self.source.frames():
                self.items.append(item)
        except ModerationError as error:
            self.error = error
        self.over = True

    def speech(self, user_id: int) -> list[bytes]:
        """A speaker's Opus packets that are not silence."""
        return [packet for packet in self.opus[user_id] if packet != SILENCE]

    def frames(self, user_id: int) -> list[AudioFrame]:
        return [item for item in self.items if isinstance(item, AudioFrame) and item.speaker_id == user_id]

    def pcm(self, user_id: int) -> bytes:
        return b"".join(frame.pcm for frame in self.frames(user_id))

    def count(self, kind: type[EndOfSpeech] | type[SpeakerLeft], user_id: int) -> int:
        return sum(1 for item in self.items if isinstance(item, kind) and item.speaker_id == user_id)

    async def ends(self, user_id: int) -> None:
        """Wait until the speaker's speech has ended."""
        await until(lambda: self.count(EndOfSpeech, user_id))

    async def hears(self, user_id: int, packets: tuple[bytes, ...]) -> None:
        """Wait until the speaker's packets end with these, complete and in order."""
        with contextlib.suppress(TimeoutError):
            await until(lambda: self.speech(user_id)[-len(packets) :] == list(packets))
        assert self.speech(user_id)[-len(packets) :] == list(packets)


class Listening:
    """A gateway whose evidence ring is a list per speaker."""

    def __init__(
        self,
        at: World,
        *,
        accept: Callable[[int, int], bool] = lambda guild_id, user_id: True,
        timeout: float = 30.0,
        keeper: StatusKeeper | None = None,
    ) -> None:
        self.kept: dict[int, list[bytes]] = defaultdict(list)
        self.gateway = DiscordVoiceGateway(at.client, keep=self.keep, accept=accept, timeout=timeout, keeper=keeper)

    def keep(self, session_id: str, speaker_id: int, start: float, opus: bytes) -> None:
        assert session_id == "s1"
        assert start >= 0
        self.kept[speaker_id].append(opus)


@contextlib.asynccontextmanager
async def hearing(
    at: World, channel: Channel | None = None, *, settled: bool = True, accept: Callable[[int, int], bool] = lambda guild_id, user_id: True
) -> AsyncIterator[Heard]:
    """Join, hear everything, leave."""
    listening = Listening(at, accept=accept)
    source = await listening.gateway.join(session_in(at, channel))
    heard = Heard(source, opus=listening.kept)
    reading = asyncio.create_task(heard.read())
    try:
        if settled:
            await at.settled(channel)
        yield heard
    finally:
        await source.aclose()
        await asyncio.wait_for(reading, 60)
