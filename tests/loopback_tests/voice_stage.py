"""A voice server behind an HTTP listener, with reference clients that come to it."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.loopback.voice import Human, VoiceServer
from tests.loopback.voice.human import Said
from tests.loopback_tests.reference import ReferenceClient

VOICES = Path(__file__).parents[1] / "speech" / "voices"
GUILD, CHANNEL, BOT = 10, 20, 99


class Stage:
    """A voice server with an HTTP listener, and clients that come to it."""

    def __init__(self, server: VoiceServer, url: str) -> None:
        self.server = server
        self.url = url
        self.clients: list[ReferenceClient] = []

    async def human(self, user_id: int, channel_id: int = CHANNEL) -> Human:
        await self.server.human_joined(guild_id=GUILD, channel_id=channel_id, user_id=user_id)
        return self.server.human(user_id)

    async def leave(self, user_id: int) -> None:
        await self.server.human_left(guild_id=GUILD, channel_id=CHANNEL, user_id=user_id)

    def newcomer(self, channel_id: int = CHANNEL, *, stage: bool = False, max_dave: int = 1) -> ReferenceClient:
        token = self.server.expect(guild_id=GUILD, channel_id=channel_id, user_id=BOT, session_id="session", stage=stage)
        client = ReferenceClient(
            self.url, guild_id=GUILD, channel_id=channel_id, user_id=BOT, session_id="session", token=token, max_dave=max_dave
        )
        self.clients.append(client)
        return client

    async def bot(self, channel_id: int = CHANNEL, *, stage: bool = False) -> ReferenceClient:
        client = self.newcomer(channel_id, stage=stage)
        await client.connect()
        await client.ready()
        await self.server.settled(channel_id, clients=1)
        return client

    async def settled(self) -> None:
        await self.server.settled(CHANNEL, clients=1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 — what is waited for happens in many places
            await asyncio.sleep(0.005)


class Stages:
    """Starts servers; closes them and their clients at the end."""

    def __init__(self) -> None:
        self._open: list[tuple[Stage, web.AppRunner]] = []

    async def begin(self, server: VoiceServer) -> Stage:
        await server.start()
        app = web.Application()
        app.router.add_get("/", server.websocket)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stage = Stage(server, f"ws://127.0.0.1:{runner.addresses[0][1]}/?v=8")
        self._open.append((stage, runner))
        return stage

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for stage, runner in self._open:
            for client in stage.clients:
                await client.close()
            await stage.server.aclose()
            await runner.cleanup()


Serve = Callable[[VoiceServer], Awaitable[Stage]]


async def joined(stage: Stage, user_id: int) -> Human:
    human = await stage.human(user_id)
    await stage.settled()
    return human


async def hears(client: ReferenceClient, human: Human, sample: int = 1) -> Said:
    """The human says something; the client must have heard exactly that, frame for frame."""
    before = len(client.heard[human.user_id])
    said = await human.say(VOICES / f"sample_{sample:02}.wav", speed=math.inf)
    await until(lambda: len(client.heard[human.user_id]) >= before + len(said.packets))
    assert client.heard[human.user_id][before:] == list(said.packets)
    return said
