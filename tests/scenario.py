"""The demo's evening: a loopback Discord, a server with a voice channel, four members who talk, and the real bot.

`make demo` shows it; the end-to-end test asserts on it; `make bench` measures it.
"""

import asyncio
import csv
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr

from bot.app import Application, open_application
from bot.delivery import nonce
from config.settings import STARTER_LEXICON, Settings
from moderation.events import AlertRaised, AlertRevised, Event, SegmentFlagged, SegmentTranscribed, SessionEnded
from moderation.models import Alert, AlertState, Coverage, Flag, TranscriptSegment
from tests.loopback.discord import LoopbackDiscord
from tests.loopback.permissions import Permission
from tests.loopback.resolver import connector
from tests.loopback.snowflake import made_at
from tests.loopback.state import Channel, Guild, Member, Message
from tests.loopback.voice.server import VoiceServer

SPEECH = Path(__file__).parent / "speech"
CONVERSATION = SPEECH / "conversation"
LOOKS = 20
"""How often in a second `Stage.settle` looks whether there is something to do: looks, so that a machine that stands still counts less."""
MODEL = SPEECH / "vosk-model-tiny-en"
MODERATOR = Permission.MANAGE_GUILD | Permission.MODERATE_MEMBERS
EXPECTED_ALERTS = {
    "you are a stupid idiot and everybody knows it",
    "shut up you pathetic loser",
    "i hate you go and kill yourself",
    "kill yourself you worthless clown nobody wants you here",
}
"""What was said in the lines that moderators must be told of."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the recorded conversation."""

    path: Path
    speaker: str
    start: float
    """Seconds after the conversation's begin."""
    text: str


def conversation() -> list[Line]:
    """The recorded lines, by start."""
    with (CONVERSATION / "conversation.tsv").open(encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [Line(CONVERSATION / r["file"], r["speaker"].capitalize(), float(r["start_seconds"]), r["transcript"]) for r in rows]


class Watcher:
    """A sink that remembers what the bot noticed."""

    def __init__(self) -> None:
        self.segments: list[tuple[str, TranscriptSegment]] = []
        self.flagged: dict[str, SegmentFlagged] = {}
        self.alerts: dict[str, Alert] = {}
        self.early: set[str] = set()
        self.concluded: dict[str, float] = {}
        """Alert id → monotonic second at which its final transcript was there."""
        self.coverage: tuple[Coverage, ...] = ()

    async def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, SegmentTranscribed) and event.segment.final:
            self.segments.append((event.speaker.name, event.segment))
        elif isinstance(event, SegmentFlagged):
            self.flagged[event.segment.id] = event
        elif isinstance(event, AlertRaised | AlertRevised):
            self.alerts[event.alert.id] = event.alert
            if event.alert.state is AlertState.EARLY:
                self.early.add(event.alert.id)
            else:
                self.concluded.setdefault(event.alert.id, time.monotonic())
        elif isinstance(event, SessionEnded):
            self.coverage = event.coverage


@dataclass(slots=True)
class Stage:
    """The loopback world and the bot in it."""

    discord: LoopbackDiscord
    voice: VoiceServer
    app: Application
    guild: Guild
    lobby: Channel
    alerts: Channel
    moderator: Member
    members: dict[str, Member]
    watcher: Watcher = field(default_factory=Watcher)

    def cards(self) -> list[Message]:
        """What stands in the moderators' channel."""
        return self.discord.sent_in(self.alerts)

    async def begin(self) -> None:
        """A moderator chooses the alert channel and calls the bot into the voice channel; the members are there."""
        for member in self.members.values():
            await self.discord.voice_join(member, self.lobby)
        for command, channel in (("alerts channel", self.alerts), ("voice join", self.lobby)):
            reply = await self.discord.slash(self.moderator, self.alerts, command, channel=channel, timeout=30.0)
            if not reply.content:
                raise RuntimeError(f"/{command} was answered with {reply.embeds}")

    async def play(self, lines: Sequence[Line], *, speed: float = 1.0) -> None:
        """Everybody says their lines at their time; media time is `speed` times as fast as the clock."""
        async with asyncio.TaskGroup() as group:
            for line in lines:
                group.create_task(self._say(line, speed))

    async def _say(self, line: Line, speed: float) -> None:
        if not math.isinf(speed):
            await asyncio.sleep(line.start / speed)
        await self.voice.human(self.members[line.speaker].id).say(line.path, speed=speed)

    async def settle(self, timeout: float = 60.0) -> None:
        """Wait until what was said is transcribed and every alert is posted: until nothing is to be done for a second."""
        async with asyncio.timeout(timeout):
            quiet = 0
            while quiet < LOOKS:
                await asyncio.sleep(1.0 / LOOKS)
                quiet = 0 if self._transcribing() else quiet + 1
            await self.app.dispatcher.drained()

    def _transcribing(self) -> bool:
        running = self.app.services.sessions.running(self.guild.id)
        waiting = running is not None and (running.source.health().queued or running.pipeline.waiting)
        return bool(waiting or self.app.core.transcriber.stats().queued)

    async def finish(self) -> None:
        """The moderator sends the bot away."""
        await self.discord.slash(self.moderator, self.alerts, "voice leave", timeout=30.0)

    def spoken(self, user_id: int) -> float:
        """Seconds of speech that the member really sent, as the sender counts them."""
        return self.voice.stats.humans[user_id].seconds

    def latencies(self) -> dict[str, float]:
        """Alert id → seconds from the arrival of the last flagged word's audio to the card's creation at Discord."""
        offset = time.time() - time.monotonic()
        posted = {m.nonce: made_at(m.id).timestamp() - offset for m in self.cards()}
        alerts = [(a, posted.get(nonce(a))) for a in self.watcher.alerts.values() if a.verdict.flags]
        return {a.id: at - spoken_at(a.segment, a.verdict.flags) for a, at in alerts if at is not None}

    def alerted(self) -> set[str]:
        """The texts that moderators are told of in the end."""
        standing = [a for a in self.watcher.alerts.values() if a.state is not AlertState.WITHDRAWN]
        return {f.segment.text for a in standing for f in a.findings}


def spoken_at(segment: TranscriptSegment, flags: Sequence[Flag]) -> float:
    """Monotonic second at which the audio of the last flagged word had arrived."""
    return segment.received_at - (segment.end - max(f.span.end for f in flags))


@asynccontextmanager
async def open_stage(
    folder: Path,
    *,
    api_port: int = 0,
    seed: int = 7,
    database_url: str = "",
    shards: int = 1,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Stage]:
    """The loopback world, and the bot connected to it. `folder` takes what the bot keeps; `more`: other settings, by field."""
    voice = VoiceServer(seed=seed, dave_timeout=2.0)  # a bot that lost its keys is waited for as long
    async with LoopbackDiscord(voice, shards=shards) as discord:
        guild = discord.add_guild("Earshot demo")
        lobby, alerts = discord.add_voice_channel(guild, "General"), discord.add_text_channel(guild, "mod-alerts")
        moderator = discord.add_member(guild, "mod", permissions=MODERATOR)
        members = {name: discord.add_member(guild, name) for name in sorted({line.speaker for line in conversation()})}
        base = {"vosk_model_path": str(MODEL), "flag_terms_path": STARTER_LEXICON, "api_port": api_port}
        settings = Settings(**{"earshot_data_dir": folder, **base, **more})
        if database_url:
            settings = settings.model_copy(update={"database_url": SecretStr(database_url)})
        async with open_bot(discord, settings) as app:
            stage = Stage(discord, voice, app, guild, lobby, alerts, moderator, members)
            app.events.subscribe(stage.watcher)
            yield stage


@asynccontextmanager
async def open_bot(discord: LoopbackDiscord, settings: Settings) -> AsyncIterator[Application]:
    """The bot, connected, and without the pauses that discord.py makes for the real Discord's sake."""
    async with open_application(settings, connector=connector(discord)) as app:
        app.client._connection.guild_ready_timeout = 0.05  # 2 s, for guilds that may still come: here none will
        app.client.identify_seconds = 0.01
        connection = asyncio.create_task(app.connect(discord.token), name="discord")
        await discord.wait_for(lambda: set(app.client.connected()) == app.client.served != set(), what="the bot to be ready")
        yield app
    await connection
