"""A Discord on one TLS listener of 127.0.0.1; start reading here.

    async with LoopbackDiscord() as discord:
        guild = discord.add_guild("Earshot")
        lobby = discord.add_voice_channel(guild, "General")
        client = Client(intents=…, connector=connector(discord))
        …
        reply = await discord.slash(ada, text, "voice join", channel=lobby)

The Host header picks the role: `discord.com` REST, `*.discord.gg` main gateway, `*.discord.media` voice gateway
(the voice backend's), `cdn.discordapp.com` files. All state is in `world`; nothing is written to disk.
"""

import asyncio
import base64
import contextlib
import re
import secrets
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web

from tests.loopback.builder import Builder
from tests.loopback.certs import Certificates
from tests.loopback.gateway import Gateway
from tests.loopback.interactions import People
from tests.loopback.messages import Messages
from tests.loopback.ports import VoiceBackend
from tests.loopback.replies import Interactions
from tests.loopback.resolver import LoopbackResolver
from tests.loopback.rest import MAX_BODY, Rest
from tests.loopback.rest_channels import ChannelRoutes
from tests.loopback.rest_commands import CommandRoutes
from tests.loopback.rest_guilds import GuildRoutes
from tests.loopback.rest_interactions import InteractionRoutes
from tests.loopback.rest_users import UserRoutes
from tests.loopback.state import Channel, Member, Message, World
from tests.loopback.voice_states import VoiceStates

T = TypeVar("T")
POLL_SECONDS = 0.005


class LoopbackDiscord(Builder):
    """The whole of Discord, as far as one bot goes. `token` is the bot's; `shards` what `/gateway/bot` recommends.

    Parts a test may turn to: `world`, `gateway` (drop, invalidate, zombie …), `voice_states`, `rate_limits`, `interactions`
    (`deadline`), `resolver` (`asked`); `faults` to append to; `requests`, the log of REST requests.
    """

    def __init__(self, voice: VoiceBackend | None = None, *, bot_name: str = "Earshot", shards: int = 1) -> None:
        self.world = World(bot_name)
        self.token = f"{base64.b64encode(str(self.world.bot.id).encode()).decode().rstrip('=')}.loopb.{secrets.token_urlsafe(28)}"
        self.gateway = Gateway(self.world, self.token, shards)
        super().__init__(self.world, self.gateway)
        self.voice = voice
        self.voice_states = VoiceStates(self.world, self.gateway.emit, voice)
        self.gateway.on_voice_state = self.voice_states.request
        self.gateway.on_session_end = self.voice_states.session_ended
        self.interactions = Interactions()
        self.messages = Messages(self.world, self.gateway.emit)
        self.rest = Rest(self.token)
        self.faults = self.rest.faults
        self.requests = self.rest.requests
        self.rate_limits = self.rest.rate_limits
        self.people = People(self.world, self.gateway.emit, self.interactions, self.messages)
        self.slash = self.people.slash
        self.autocomplete = self.people.autocomplete
        self.context_menu = self.people.context_menu
        self.click = self.people.click
        self.submit = self.people.submit
        self.say = self.people.say
        self.resolver = LoopbackResolver(0)
        self._certificates = Certificates()
        self._runner: web.AppRunner | None = None
        self._register()

    def _register(self) -> None:
        router, emit = self.rest.router, self.gateway.emit
        UserRoutes(self.world, lambda: (self.gateway.shards, self.gateway.max_concurrency)).register(router)
        CommandRoutes(self.world).register(router)
        ChannelRoutes(self.world, emit, self.messages).register(router)
        GuildRoutes(self.world, emit, self.voice_states).register(router)
        InteractionRoutes(self.world, self.interactions, self.messages).register(router)

    # life

    async def __aenter__(self) -> Self:
        if self.voice is not None:
            await self.voice.start()
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._certificates.server_context())
        await site.start()
        self.resolver.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cut every connection and stop listening; idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await self.gateway.aclose()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.cleanup(), 5)
        if self.voice is not None:
            await self.voice.aclose()

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1; 0 before the start."""
        return self.resolver.port

    @property
    def authority_pem(self) -> str:
        """The certificate a client in another process must trust (`resolver.connector_to`)."""
        return self._certificates.authority_pem.decode("ascii")

    def client_context(self) -> ssl.SSLContext:
        """TLS settings that trust this Discord and nothing else."""
        return self._certificates.client_context()

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0].lower()
        if host == "discord.com":
            return await self.rest.handle(request)
        if host.endswith(".discord.gg"):
            return await self.gateway.websocket(request)
        if host.endswith(".discord.media") and self.voice is not None:
            return await self.voice.websocket(request)
        if host in ("cdn.discordapp.com", "media.discordapp.net"):
            return self._file(request)
        return web.Response(status=404, text="not found")

    def _file(self, request: web.Request) -> web.Response:
        match = re.fullmatch(r"/(?:ephemeral-)?attachments/\d+/(\d+)/[^/]+", request.path)
        attachment = self.world.attachments.get(int(match[1])) if match else None
        if attachment is None or attachment.path != request.path:
            return web.Response(status=404, text="This content is no longer available.")
        return web.Response(body=attachment.data, content_type=attachment.content_type)

    # voice

    async def voice_join(self, member: Member, channel: Channel) -> None:
        """A member enters a voice channel."""
        await self.voice_states.move(member, channel)

    async def voice_move(self, member: Member, channel: Channel) -> None:
        """A member changes voice channels; for the bot: a moderator drags it."""
        await self.voice_states.move(member, channel)

    async def voice_leave(self, member: Member) -> None:
        """A member leaves voice; for the bot: a moderator disconnects it."""
        await self.voice_states.move(member, None)

    def server_mute(self, member: Member, *, mute: bool | None = None, deaf: bool | None = None) -> None:
        """A moderator mutes or deafens a member (None leaves it as it is)."""
        member.mute = member.mute if mute is None else mute
        member.deaf = member.deaf if deaf is None else deaf
        self.voice_states.changed(member)

    def self_mute(self, member: Member, *, mute: bool | None = None, deaf: bool | None = None) -> None:
        """A member in voice mutes or deafens themselves."""
        state = self.world.guild(member.guild_id).voice_states[member.id]
        state.self_mute = state.self_mute if mute is None else mute
        state.self_deaf = state.self_deaf if deaf is None else deaf
        self.voice_states.changed(member)

    async def change_voice_server(self, guild_id: int) -> None:
        """Discord moves the bot's call to another voice server: VOICE_SERVER_UPDATE in the middle of a call."""
        bot = self.bot_in(guild_id)
        await self.voice_states.serve(bot, self.world.guild(guild_id).voice_states[bot.id])

    def bot_in(self, guild_id: int) -> Member:
        """The bot as a member of a guild."""
        return self.world.member(guild_id, self.world.bot.id)

    # looking

    def sent_in(self, channel: Channel) -> list[Message]:
        """What the bot wrote in a channel and is still there, oldest first."""
        return [message for message in channel.messages.values() if message.author is self.world.bot]

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 60.0, *, what: str = "") -> T:
        """Wait until the predicate gives something truthy and return that. Raises `TimeoutError` naming `what`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            if result := predicate():
                return result
            if loop.time() >= end:
                raise TimeoutError(f"waited {timeout} s in vain{f' for {what}' if what else ''}")
            await asyncio.sleep(POLL_SECONDS)
