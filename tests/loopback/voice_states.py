"""Who is in which voice channel: the main gateway's half of voice (op 4, VOICE_STATE_UPDATE, VOICE_SERVER_UPDATE).

https://discord.com/developers/docs/topics/voice-connections#retrieving-voice-server-information
"""

import secrets
from typing import Protocol

from tests.loopback import payloads
from tests.loopback.permissions import Permission
from tests.loopback.ports import VoiceBackend
from tests.loopback.sessions import Intent, Session
from tests.loopback.state import VOICE_KINDS, Channel, ChannelKind, Json, Member, VoiceState, World

MOVED_OR_LEFT = 4014  # voice close code: disconnected (channel deleted, kicked, moved)


class Emit(Protocol):
    """Sends one gateway event to the sessions it concerns."""

    def __call__(self, event: str, data: Json, *, guild_id: int | None, intent: Intent, own: bool = False) -> None: ...


class VoiceStates:
    """Moves people between voice channels and tells the client and the voice backend about it.

    `endpoint` is what VOICE_SERVER_UPDATE names; `servers_down=True` sends `endpoint: null`, Discord's way of saying
    that a voice server is being found.
    """

    def __init__(self, world: World, emit: Emit, voice: VoiceBackend | None) -> None:
        self._world = world
        self._emit = emit
        self._voice = voice
        self.endpoint = "loopback-1.discord.media:443"
        self.servers_down = False

    # the bot

    async def request(self, data: Json) -> None:
        """Op 4 of the bot. What Discord does not allow has no answer at all."""
        bot = self._world.guild(int(data["guild_id"])).members[self._world.bot.id]
        if data.get("channel_id") is None:
            await self._leave(bot)
            return
        channel = self._world.channels.get(int(data["channel_id"]))
        if channel is None or channel.guild_id != bot.guild_id or not self.may_enter(bot, channel):
            return
        state = self._state(bot)
        muted, deafened = bool(data.get("self_mute")), bool(data.get("self_deaf"))
        if state is not None and state.channel_id == channel.id:
            state.self_mute, state.self_deaf = muted, deafened
            self._announce(bot, state)
            return
        await self._enter(bot, channel, self_mute=muted, self_deaf=deafened)

    def may_enter(self, member: Member, channel: Channel) -> bool:
        """Whether Discord lets that member in: a voice channel, CONNECT, and room (MOVE_MEMBERS ignores the limit)."""
        if channel.kind not in VOICE_KINDS:
            return False
        allowed = self._world.permissions(member.id, channel)
        if not allowed & Permission.CONNECT:
            return False
        inside = sum(1 for state in self._world.guild(member.guild_id).in_voice(channel.id) if state.user_id != member.id)
        return not channel.user_limit or inside < channel.user_limit or bool(allowed & Permission.MOVE_MEMBERS)

    async def session_ended(self, session: Session) -> None:
        """A gateway session is over, and with it the bot's voice connections of that shard."""
        for guild in list(self._world.guilds.values()):
            if session.serves(guild.id) and self._world.bot.id in guild.voice_states:
                await self._leave(guild.members[self._world.bot.id])

    # anyone

    async def move(self, member: Member, channel: Channel | None) -> None:
        """Put a member into a voice channel, or with None out of voice. Limits do not stop a move."""
        if channel is None:
            await self._leave(member)
        elif (state := self._state(member)) is None or state.channel_id != channel.id:
            await self._enter(member, channel, self_mute=state.self_mute if state else False, self_deaf=state.self_deaf if state else False)

    async def _enter(self, member: Member, channel: Channel, *, self_mute: bool, self_deaf: bool) -> None:
        guild = self._world.guild(member.guild_id)
        before = self._state(member)
        stage = channel.kind is ChannelKind.STAGE
        state = VoiceState(member.id, channel.id, secrets.token_hex(16), self_mute, self_deaf, suppress=stage)
        guild.voice_states[member.id] = state
        self._announce(member, state)
        if member.id == self._world.bot.id:
            if before is not None:
                await self._close_client(member)
            await self.serve(member, state)
        elif self._voice is not None:
            if before is not None:
                await self._voice.human_left(guild_id=guild.id, channel_id=before.channel_id, user_id=member.id)
            await self._voice.human_joined(guild_id=guild.id, channel_id=channel.id, user_id=member.id)

    async def serve(self, bot: Member, state: VoiceState) -> None:
        """Send VOICE_SERVER_UPDATE; sent again in a call it makes the client change servers."""
        token = secrets.token_hex(8)
        if self._voice is not None and not self.servers_down:
            stage = self._world.channel(state.channel_id).kind is ChannelKind.STAGE
            token = self._voice.expect(
                guild_id=bot.guild_id, channel_id=state.channel_id, user_id=bot.id, session_id=state.session_id, stage=stage
            )
        body = {"token": token, "guild_id": str(bot.guild_id), "endpoint": None if self.servers_down else self.endpoint}
        self._emit("VOICE_SERVER_UPDATE", body, guild_id=bot.guild_id, intent=Intent.NONE)

    async def _leave(self, member: Member) -> None:
        state = self._world.guild(member.guild_id).voice_states.pop(member.id, None)
        if state is None:
            return
        self._announce(member, state, left=True)
        if member.id == self._world.bot.id:
            await self._close_client(member)
        elif self._voice is not None:
            await self._voice.human_left(guild_id=member.guild_id, channel_id=state.channel_id, user_id=member.id)

    async def _close_client(self, bot: Member) -> None:
        if self._voice is not None:
            await self._voice.close_client(guild_id=bot.guild_id, user_id=bot.id, code=MOVED_OR_LEFT)

    def changed(self, member: Member) -> None:
        """Announce a member's voice state after something in it changed; nothing when they are not in voice."""
        if (state := self._state(member)) is not None:
            self._announce(member, state)

    def _announce(self, member: Member, state: VoiceState, *, left: bool = False) -> None:
        body = payloads.voice_state(state, member, left=left)
        self._emit("VOICE_STATE_UPDATE", body, guild_id=member.guild_id, intent=Intent.GUILD_VOICE_STATES)

    def _state(self, member: Member) -> VoiceState | None:
        return self._world.guild(member.guild_id).voice_states.get(member.id)
