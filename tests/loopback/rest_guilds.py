"""Routes of one guild: itself, its channels, roles, members and voice states."""

from collections.abc import Callable
from datetime import datetime

from tests.loopback import payloads
from tests.loopback.errors import ApiError, missing_permissions, unknown
from tests.loopback.permissions import Permission
from tests.loopback.routing import Call, Router, snowflake
from tests.loopback.sessions import Intent
from tests.loopback.state import Channel, ChannelKind, Guild, Json, Member, World
from tests.loopback.voice_states import Emit, VoiceStates

NOT_IN_VOICE = (400, 40032, "Target user is not connected to voice.")


class GuildRoutes:
    """`/guilds/{guild_id}…`."""

    def __init__(self, world: World, emit: Emit, voice: VoiceStates) -> None:
        self._world = world
        self._emit = emit
        self._voice = voice

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/guilds/{guild_id}"
        router.add("GET", base, self._get)
        router.add("GET", f"{base}/channels", self._channels)
        router.add("GET", f"{base}/roles", self._roles)
        router.add("GET", f"{base}/members", self._members)
        router.add("GET", f"{base}/members/{{user_id}}", self._member)
        router.add("PATCH", f"{base}/members/{{user_id}}", self._edit_member)
        router.add("GET", f"{base}/voice-states/{{user_id}}", self._voice_state)
        router.add("PATCH", f"{base}/voice-states/{{user_id}}", self._edit_voice_state)

    def _guild(self, call: Call) -> Guild:
        return self._world.guild(call.id("guild_id"))

    def _named(self, call: Call) -> Member:
        user_id = self._world.bot.id if call.params["user_id"] == "@me" else call.id("user_id")
        return self._world.member(call.id("guild_id"), user_id)

    def _need(self, guild_id: int, needed: Permission) -> None:
        if needed & ~self._world.permissions(self._world.bot.id, guild_id=guild_id):
            raise missing_permissions()

    async def _get(self, call: Call) -> Json:
        guild = self._guild(call)
        count = {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
        return payloads.guild(guild, self._world) | (count if call.query.get("with_counts") in ("1", "true") else {})

    async def _channels(self, call: Call) -> list[Json]:
        return [payloads.channel(each, self._world) for each in self._guild(call).channels.values()]

    async def _roles(self, call: Call) -> list[Json]:
        return [payloads.role(each) for each in self._guild(call).roles.values()]

    async def _members(self, call: Call) -> list[Json]:
        limit = call.number("limit", 1, low=1, high=1000)
        after = call.number("after", 0, low=0, high=1 << 63)
        members = self._guild(call).members
        return [payloads.member(members[user_id]) for user_id in sorted(members) if user_id > after][:limit]

    async def _member(self, call: Call) -> Json:
        return payloads.member(self._named(call))

    async def _edit_member(self, call: Call) -> Json:
        """Nickname, roles, timeout, server mute and deafen, move and disconnect, each with its own permission."""
        member, body = self._named(call), call.json
        guild_id = member.guild_id
        needs: dict[str, tuple[Permission, Callable[[], None]]] = {
            "nick": (Permission.MANAGE_NICKNAMES, lambda: setattr(member, "nick", body["nick"])),
            "roles": (Permission.MANAGE_ROLES, lambda: setattr(member, "roles", [int(each) for each in body["roles"]])),
            "communication_disabled_until": (Permission.MODERATE_MEMBERS, lambda: _time_out(member, body["communication_disabled_until"])),
            "mute": (Permission.MUTE_MEMBERS, lambda: setattr(member, "mute", bool(body["mute"]))),
            "deaf": (Permission.DEAFEN_MEMBERS, lambda: setattr(member, "deaf", bool(body["deaf"]))),
        }
        asked = [needs[key] for key in needs if key in body]
        for permission, _ in asked:
            self._need(guild_id, permission)
        if "channel_id" in body:
            self._need(guild_id, Permission.MOVE_MEMBERS)
        if {"mute", "deaf", "channel_id"} & body.keys() and member.id not in self._world.guild(guild_id).voice_states:
            raise ApiError(*NOT_IN_VOICE)
        for _, change in asked:
            change()
        if {"mute", "deaf"} & body.keys():
            self._voice.changed(member)
        if "channel_id" in body:
            await self._voice.move(member, self._voice_channel(guild_id, body["channel_id"]))
        own = member.id == self._world.bot.id
        self._emit("GUILD_MEMBER_UPDATE", member_update(member), guild_id=guild_id, intent=Intent.GUILD_MEMBERS, own=own)
        return payloads.member(member)

    def _voice_channel(self, guild_id: int, channel_id: object) -> Channel | None:
        if channel_id is None:
            return None
        channel = self._world.channel(snowflake(channel_id, "channel_id"))
        if channel.guild_id != guild_id:
            raise unknown("channel")
        return channel

    async def _voice_state(self, call: Call) -> Json:
        member = self._named(call)
        state = self._world.guild(member.guild_id).voice_states.get(member.id)
        if state is None:
            raise unknown("voice state")
        return payloads.voice_state(state, member)

    async def _edit_voice_state(self, call: Call) -> None:
        """Stage channels: become speaker or audience, or raise a hand."""
        member, body = self._named(call), call.json
        state = self._world.guild(member.guild_id).voice_states.get(member.id)
        if state is None:
            raise unknown("voice state")
        channel = self._world.channel(state.channel_id)
        if channel.kind is not ChannelKind.STAGE or str(body.get("channel_id", channel.id)) != str(channel.id):
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        held = self._world.permissions(self._world.bot.id, channel)
        own = member.id == self._world.bot.id
        if (not own or body.get("suppress") is False) and "suppress" in body and not held & Permission.MUTE_MEMBERS:
            raise missing_permissions()
        if body.get("request_to_speak_timestamp") and not held & Permission.REQUEST_TO_SPEAK:
            raise missing_permissions()
        state.suppress = bool(body.get("suppress", state.suppress))
        state.request_to_speak = body.get("request_to_speak_timestamp", state.request_to_speak)
        self._voice.changed(member)


def member_update(member: Member) -> Json:
    """GUILD_MEMBER_UPDATE."""
    return payloads.member(member) | {"guild_id": str(member.guild_id)}


def _time_out(member: Member, until: str | None) -> None:
    member.timed_out_until = None if until is None else datetime.fromisoformat(until)
