"""`kill -9` at chosen moments, then another process: every alert stands there once, and no row that was kept is lost."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.storage.database import Database
from moderation.events import SegmentTranscribed
from tests.bot.storage.conftest import BOTH, postgres_url, postgres_user
from tests.loopback.discord import LoopbackDiscord
from tests.loopback.faults import Fault
from tests.loopback.state import Channel, Guild, Member, Message
from tests.loopback.voice.server import VoiceServer
from tests.scenario import MODEL, MODERATOR, Line, conversation

__all__ = ["postgres_url", "postgres_user"]

ROOT = Path(__file__).parents[1]
INSULT, EARLY = "shut up you pathetic loser", "kill yourself you worthless clown nobody wants you here"
HELD = 60.0
"""Seconds a request is held up: the process is killed as soon as it is seen, and the request dies with it."""
MESSAGES, MESSAGE = r"^/channels/\d+/messages$", r"^/channels/\d+/messages/\d+$"


@dataclass(slots=True)
class World:
    """A server with an alert channel, and one bot process at a time in it."""

    discord: LoopbackDiscord
    voice: VoiceServer
    folder: Path
    database_url: str
    guild: Guild
    lobby: Channel
    alerts: Channel
    moderator: Member
    speaker: Member
    process: asyncio.subprocess.Process | None = None
    errors: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    """More of them, as environment variables."""

    async def start(self) -> None:
        """Another bot process; back when it has logged in."""
        before = self.discord.gateway.identifies
        authority = self.folder / "authority.pem"
        authority.write_text(self.discord.authority_pem)
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DISCORD_TOKEN": self.discord.token,
            "EARSHOT_DATA_DIR": str(self.folder / "data"),
            "DATABASE_URL": self.database_url,
            "VOSK_MODEL_PATH": str(MODEL),
            "FLAG_TERMS_PATH": "starter",
            "API_PORT": "0",
            "LOOPBACK_PORT": str(self.discord.port),
            "LOOPBACK_AUTHORITY": str(authority),
            **self.settings,
        }
        with (self.folder / "bot.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bot_process", env=env, cwd=ROOT, stderr=log)
        await self.discord.wait_for(lambda: self.discord.gateway.identifies != before, what="the bot to log in")

    async def kill(self) -> None:
        """As the kernel does when memory is short: no handler runs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """As an operator does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), 60) == 0

    async def listen(self) -> None:
        """A moderator calls the bot in; the speaker is there."""
        await self.discord.voice_join(self.speaker, self.lobby)
        for command, channel in (("alerts channel", self.alerts), ("voice join", self.lobby)):
            reply = await self.discord.slash(self.moderator, self.alerts, command, channel=channel, timeout=30.0)
            assert reply.content, reply.embeds

    async def say(self, said: str) -> None:
        line = line_of(said)
        await self.voice.human(self.speaker.id).say(line.path)

    def cards(self) -> list[Message]:
        return self.discord.sent_in(self.alerts)

    def footer(self) -> str:
        (card,) = self.cards()
        found: str = card.embeds[0]["footer"]["text"]
        return found

    def asked(self, method: str) -> int:
        """How many requests about messages came."""
        return sum(r.method == method and "/messages" in r.path for r in self.discord.requests)

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        database = await Database.open(self.database_url)
        try:
            async with database.read() as connection:
                return [tuple(row) for row in await connection.execute(text(query))]
        finally:
            await database.aclose()

    async def settled(self) -> None:
        """Wait until the outbox is empty: nothing more will be posted."""
        async with asyncio.timeout(60):
            while await self.rows("SELECT alert_id FROM outbox"):  # noqa: ASYNC110 - another process empties it
                await asyncio.sleep(0.05)


def line_of(said: str) -> Line:
    return next(line for line in conversation() if line.text == said)


@asynccontextmanager
async def open_world(folder: Path, database_url: str) -> AsyncIterator[World]:
    voice = VoiceServer(seed=7)
    async with LoopbackDiscord(voice) as discord:
        guild = discord.add_guild("Crashes")
        lobby, alerts = discord.add_voice_channel(guild, "General"), discord.add_text_channel(guild, "mod-alerts")
        moderator, speaker = discord.add_member(guild, "mod", permissions=MODERATOR), discord.add_member(guild, "ben")
        world = World(discord, voice, folder, database_url, guild, lobby, alerts, moderator, speaker)
        try:
            yield world
        finally:
            if world.process is not None and world.process.returncode is None:
                await world.kill()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data/earshot.db"


@pytest.fixture(params=BOTH)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, request.getfixturevalue(request.param)) as opened:
        yield opened


async def test_killed_before_discord_was_asked(world: World) -> None:
    await world.start()
    await world.listen()
    world.discord.faults.append(Fault("POST", MESSAGES, drop=True, delay=HELD))
    await world.say(INSULT)
    await world.discord.wait_for(lambda: world.asked("POST"), what="the card to be on its way")
    await world.kill()
    ((payload,),) = await world.rows("SELECT payload FROM outbox")
    assert json.loads(str(payload))["segment"]["text"] == INSULT
    kept = await world.rows("SELECT id FROM segments")
    await world.start()
    await world.discord.wait_for(world.cards, what="the card")
    await world.settled()
    await world.stop()
    assert "pathetic" in world.cards()[0].embeds[0]["description"]
    (evidence,) = [f["value"] for f in world.cards()[0].embeds[0]["fields"] if f["name"] == "Evidence"]
    assert "audio" in evidence
    assert len(world.cards()) == 1
    assert await world.rows("SELECT id FROM segments") == kept
    assert await world.rows("SELECT message_id FROM alerts") == [(world.cards()[0].id,)]


async def test_killed_when_the_card_stood_and_nobody_knew(world: World) -> None:
    await world.start()
    await world.listen()
    hold = Fault("GET", MESSAGES, drop=True, delay=HELD)
    world.discord.faults += [Fault("POST", MESSAGES, drop=True, when="after"), hold]
    await world.say(INSULT)
    await world.discord.wait_for(lambda: hold.used, what="the bot to look for its card")
    await world.kill()
    assert len(world.cards()) == 1
    assert await world.rows("SELECT message_id FROM outbox") == [(None,)]
    world.discord.messages._nonces.clear()  # Discord forgets them after minutes
    await world.start()
    await world.settled()
    await world.stop()
    assert len(world.cards()) == 1
    assert [a.filename.startswith("evidence-") for a in world.cards()[0].attachments] == [True], "its clip is still there"
    assert await world.rows("SELECT message_id FROM alerts") == [(world.cards()[0].id,)]


async def test_killed_during_an_edit(world: World) -> None:
    await world.start()
    await world.listen()
    world.discord.faults.append(Fault("PATCH", MESSAGE, drop=True, delay=HELD))
    await world.say(EARLY)
    await world.discord.wait_for(lambda: world.asked("PATCH"), what="the edit")
    assert world.footer().startswith("Early")
    await world.kill()
    await world.start()
    await world.settled()
    await world.stop()
    assert world.footer().startswith("Confirmed")
    assert len(world.cards()[0].attachments) == 1


@pytest.mark.integration
async def test_killed_while_the_database_was_locked(tmp_path: Path, sqlite_url: str) -> None:
    async with open_world(tmp_path, sqlite_url) as world:
        await world.start()
        await world.listen()
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await world.say(INSULT)
        await world.discord.wait_for(world.cards, what="the card, posted from memory")
        journal = tmp_path / "data" / "journal.jsonl"
        done = (SegmentTranscribed.__name__, "AlertSettled")
        await world.discord.wait_for(lambda: journal.exists() and all(k in journal.read_text() for k in done), what="the journal")
        await world.kill()
        other.execute("ROLLBACK")
        other.close()
        assert await world.rows("SELECT id FROM segments") == []
        await world.start()
        await world.settled()
        await world.stop()
        assert await world.rows("SELECT text FROM segments") == [(INSULT,)]
        assert await world.rows("SELECT message_id FROM alerts") == [(world.cards()[0].id,)]
        assert len(world.cards()) == 1
        assert not journal.exists()
