"""What happens in a guild's calls, drawn by lot: people come and go, talk, leave their microphones open, say nothing, insult, opt out.

Every session has its own length and people; half of those who come were never there before, so whatever is kept per person shows.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from bot.app import Application, open_application
from bot.metrics.delivery import MeteredDelivery
from config.settings import Settings
from moderation.errors import DeliveryFailed
from moderation.models import SAMPLE_RATE, Alert
from moderation.settings import GuildSettings
from tests.loopback.voice.clips import opus_packets
from tests.scenario import MODEL, conversation
from tests.soak.call import LOSS, Call, Switchboard

LENGTHS = (900.0, 2100.0)
"""Media seconds that a session lasts, between these."""
BREAKS = (60.0, 300.0)
"""Media seconds between two sessions of a guild."""
PAUSES = (2.0, 40.0)
"""Media seconds in which nobody sends."""
REGULARS = 12
"""People of a guild who come again and again."""
MOST = 6
"""People in a call at once."""
REFUSALS = 0.02
"""Share of attempts to post an alert that fail at first."""
NOISE_SECONDS = 12.0
"""Length of a stretch of open microphone."""

TURNS = {"talk": 30, "together": 6, "open microphone": 14, "nothing": 40, "come": 5, "go": 4, "choose": 1}
"""What may happen next, by weight."""


class FakeDelivery:
    """A moderators' channel that keeps nothing and sometimes refuses."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self.cards = 0
        self.clips = 0
        """Cards that came with a clip."""

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None, *, late: bool = False) -> int | None:
        if self._random.random() < REFUSALS:
            raise DeliveryFailed("made to fail", retryable=True)
        self.cards += 1
        self.clips += clip is not None
        return self.cards

    async def find(self, alert: Alert, settings: GuildSettings) -> int | None:
        return None

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        pass


def open_microphone(seed: int) -> tuple[bytes, ...]:
    """Opus packets of a room: hiss, and a keyboard."""
    lots, samples = np.random.default_rng(seed), int(NOISE_SECONDS * SAMPLE_RATE)
    noise = lots.normal(0, 60, samples)
    for at in lots.integers(0, samples - 400, int(NOISE_SECONDS * 3)):
        noise[at : at + 400] += lots.normal(0, 1500, 400) * np.exp(-np.arange(400) / 60)
    return opus_packets(np.clip(noise, -32768, 32767).astype(np.int16).tobytes())


class Evening:
    """One guild's calls, one after another."""

    def __init__(
        self,
        app: Application,
        gateway: Switchboard,
        guild_id: int,
        *,
        seed: int = 1,
        lengths: tuple[float, float] = LENGTHS,
        turns: Mapping[str, int] = TURNS,
    ) -> None:
        """`lengths`: media seconds that a session lasts, between these; `turns`: what may happen, by weight."""
        self.guild_id = guild_id
        self._app = app
        self._gateway = gateway
        self._random = random.Random(seed * 1000 + guild_id)
        self._lengths = lengths
        self._turns = turns
        self._clips = [opus_packets(line.path) for line in conversation()]
        self._rooms = [open_microphone(n) for n in range(3)]
        self._strangers = guild_id * 1_000_000
        self.over = 0.0
        """Media seconds of the calls and breaks that are over."""
        self.sessions = 0
        self.people = 0
        """How often somebody joined."""

    async def run(self, seconds: float, reached: Callable[[int, float], "asyncio.Future[None] | None"]) -> None:
        """Go on for so many media seconds.

        `reached` is told the guild and its media second after each turn; what it returns is waited for.
        """
        while self.over < seconds:
            call = await self._gateway.call(self.guild_id)
            self.sessions += 1
            length = min(self._random.uniform(*self._lengths), seconds - self.over)
            while call.now < length:
                await self._turn(call)
                if (wait := reached(self.guild_id, self.over + call.now)) is not None:
                    await wait
            await self._app.services.sessions.stop(self.guild_id)
            self.over += call.now + self._random.uniform(*BREAKS)
        reached(self.guild_id, float("inf"))

    async def _turn(self, call: Call) -> None:
        here = sorted(call.senders)
        what = self._random.choices(list(self._turns), list(self._turns.values()))[0] if len(here) >= 2 else "come"
        match what:
            case "talk":
                await call.play({self._random.choice(here): self._random.choice(self._clips)})
            case "together":
                await call.play({user_id: self._random.choice(self._clips) for user_id in here[:3]})
            case "open microphone":
                await call.play({self._random.choice(here): self._random.choice(self._rooms)})
            case "nothing":
                await call.pause(self._random.uniform(*PAUSES))
            case "come" if len(here) < MOST:
                self._come(call)
            case "go" if here:
                call.leave(self._random.choice(here))
                await call.pause(1.0)
            case "choose":
                await self._choose(self._random.choice(here))

    def _come(self, call: Call) -> None:
        user_id = self.guild_id * 1000 + self._random.randrange(REGULARS)
        if self._random.random() < 0.5 or user_id in call.senders:
            self._strangers += 1
            user_id = self._strangers
        call.join(user_id)
        self.people += 1

    async def _choose(self, user_id: int) -> None:
        """Somebody opts out, or in again; now and then somebody has everything deleted."""
        privacy = self._app.services.privacy
        if self._random.random() < 0.2:
            await privacy.delete(user_id)
        elif privacy.standing(self.guild_id, user_id).heard:
            await privacy.opt_out(self.guild_id, user_id)
        else:
            await privacy.opt_in(self.guild_id, user_id)


@asynccontextmanager
async def open_evening(folder: Path, *, seed: int = 1, loss: float = LOSS) -> AsyncIterator[tuple[Application, Switchboard, FakeDelivery]]:
    """The application as `run` opens it, with two things put in place of Discord: the calls, and the moderators' channel."""
    settings = Settings(earshot_data_dir=folder, vosk_model_path=str(MODEL), api_port=0)
    async with open_application(settings) as app:
        gateway, delivery = Switchboard(app, seed, loss=loss), FakeDelivery(seed)
        app.services.sessions._gateway = gateway
        metered = app.dispatcher._courier._delivery
        assert isinstance(metered, MeteredDelivery)
        metered._inner = delivery
        yield app, gateway, delivery


async def in_step(evenings: Sequence[Evening], seconds: float, each_minute: Callable[[int], None]) -> None:
    """All guilds' evenings beside each other, none more than a minute ahead. `each_minute` is told each minute that all have reached."""
    at = {evening.guild_id: 0.0 for evening in evenings}
    minute, moved = 0, asyncio.get_running_loop().create_future()

    def reached(guild_id: int, second: float) -> "asyncio.Future[None] | None":
        nonlocal minute, moved
        at[guild_id] = second
        while minute < min(*at.values(), seconds) // 60:
            minute += 1
            each_minute(minute)
            moved.set_result(None)
            moved = asyncio.get_running_loop().create_future()
        return moved if second >= (minute + 2) * 60 else None

    async with asyncio.TaskGroup() as group:
        for evening in evenings:
            group.create_task(evening.run(seconds, reached))
