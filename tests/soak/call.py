"""A voice call in media time: people whose packets reach a real `DiscordSource` as fast as it takes them.

    clip ─▶ Opus ─▶ DAVE ─▶ RTP + AES-GCM ─▶ lost now and then ─▶ DiscordSource.datagram ─▶ … the application's own way

There is no socket and no clock: `now` moves on with what is said, and the source believes it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import davey

from bot.app import Application
from bot.sources.discord import DiscordSource
from bot.voice.opus import SILENCE
from moderation.models import FRAME_SECONDS, Session
from moderation.sessions import Running
from tests.bot.voice.group import DaveGroup
from tests.bot.voice.packets import KEY, Sender
from tests.loopback.voice.transport import AES256_GCM, Transport

BOT, LISTENER = 1, 2
"""Always there: ourselves, and somebody who never speaks."""
LOSS = 0.01
"""Share of packets that the way swallows."""
PIECE = 16
"""Frames that are sent at once before the tracks are waited for: 0.32 s, well below what counts as being behind."""
SILENCE_FRAMES = 5


async def until(condition: Callable[[], object]) -> None:
    """Let the application work until that is so."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


class Speaking(Sender):
    """A member's client, which shows them unmuted."""

    mute = self_mute = suppress = False


class FakeVoice:
    """A voice client that is connected; its DAVE session is the bot's in the call's group."""

    latency, dave_version, dave_epoch, voice_privacy_code, reconnects, recoveries = 0.02, 1, 1, None, 0, 0

    def __init__(self, call: "Call", channel_id: int) -> None:
        self._call = call
        self.guild: Any = call.guild
        self.channel: Any = SimpleNamespace(id=channel_id, name="General", voice_states=call.senders)

    @property
    def dave_session(self) -> davey.DaveSession:
        return self._call.group.sessions[BOT]

    def is_connected(self) -> bool:
        return True

    def ask(self) -> None:
        """There is no server to answer."""

    async def disconnect(self, *, force: bool) -> None:
        pass


class Call:
    """One session's call."""

    def __init__(self, app: Application, session: Session, seed: int, *, loss: float = LOSS) -> None:
        """`loss`: share of packets lost."""
        self.now = 0.0
        """Media seconds."""
        self.senders: dict[int, Speaking] = {}
        self.group = DaveGroup.of(BOT, LISTENER)
        self.session = session
        self._app = app
        self._random = random.Random(seed)
        self._loss = loss
        self._seal = Transport(AES256_GCM, KEY).seal
        privacy = app.services.privacy
        guild: Any = SimpleNamespace(id=session.guild_id, me=SimpleNamespace(id=BOT, voice=None), get_member=lambda user_id: None)
        self.guild = guild
        self.source = DiscordSource(
            guild,
            keep=lambda user_id, start, opus: app.evidence.keep(session.id, user_id, start, opus),
            accept=lambda user_id: privacy.standing(session.guild_id, user_id).heard,
            clock=lambda: self.now,
        )
        voice: Any = FakeVoice(self, session.channel_id)
        self.source._client = voice
        self.source.transport_ready(AES256_GCM, KEY, 1)
        self.source.listen()

    @property
    def running(self) -> Running:
        """What the application runs for this call."""
        running = self._app.services.sessions.running(self.session.guild_id)
        assert running is not None
        return running

    def join(self, user_id: int) -> None:
        """Somebody comes: the group's next epoch, and an SSRC."""
        self.group.add(user_id).apply_rest()
        self.senders[user_id] = Speaking(user_id, self._random.getrandbits(32), self._seal, self.group.encrypt)
        self.source.epoch_changed(0)
        self.source.speaking(self.senders[user_id].ssrc, user_id)

    def leave(self, user_id: int) -> None:
        """Somebody goes."""
        del self.senders[user_id]
        self.source.user_left(user_id)
        self.group.remove(user_id).apply_rest()
        self.source.epoch_changed(0)

    def frame(self, said: Mapping[int, bytes]) -> None:
        """20 ms: a packet of each of these speakers. Never waits."""
        for user_id, opus in said.items():
            sender = self.senders[user_id]
            data = sender.raw(SILENCE) if opus == SILENCE else sender.packet(opus)
            if self._random.random() >= self._loss:
                self.source.datagram(data)
        self.now += FRAME_SECONDS
        self.source.tick()

    async def play(self, said: Mapping[int, Sequence[bytes]]) -> None:
        """Clips, spoken at the same time; afterwards the clients send silence frames and stop."""
        length = max(len(packets) for packets in said.values())
        for n in range(length + SILENCE_FRAMES):
            self.frame({user_id: packets[n] if n < len(packets) else SILENCE for user_id, packets in said.items()})
            if n % PIECE == PIECE - 1:
                await self.caught_up(PIECE)
        await self.pause(0.3)

    async def pause(self, seconds: float) -> None:
        """Nobody sends anything. The first second passes in ticks, the rest at once."""
        ticks = round(min(seconds, 1.0) / FRAME_SECONDS)
        for _ in range(ticks):
            self.frame({})
        for sender in self.senders.values():
            sender.pause(seconds / FRAME_SECONDS)
        await self.caught_up()  # else whoever still works on what was said before would seem to be that far behind
        self.now += max(seconds - 1.0, 0.0)

    async def caught_up(self, waiting: int = 0) -> None:
        """Until no track has more items waiting than that."""
        pipeline = self.running.pipeline
        await until(lambda: not self.source.queued and pipeline.waiting <= waiting)


class Switchboard:
    """The gateway of calls that exist in media time alone: joining one takes no time. Implements `VoiceGateway`."""

    def __init__(self, app: Application, seed: int = 1, *, loss: float = LOSS) -> None:
        self._app = app
        self._seed = seed
        self._loss = loss
        self.calls: dict[int, Call] = {}
        """The latest call of each guild."""

    async def join(self, session: Session) -> DiscordSource:
        """A new call, with nobody in it."""
        self._seed += 1
        self.calls[session.guild_id] = call = Call(self._app, session, self._seed, loss=self._loss)
        return call.source

    async def call(self, guild_id: int) -> Call:
        """Start a session; its call."""
        await self._app.services.sessions.start(guild_id, guild_id * 10, "General")
        return self.calls[guild_id]
