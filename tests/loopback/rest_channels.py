"""Routes of one channel: itself, its messages, its voice status."""

from tests.loopback import payloads
from tests.loopback.errors import ApiError, FormErrors, missing_access, missing_permissions
from tests.loopback.messages import Messages, may_send
from tests.loopback.permissions import Permission
from tests.loopback.routing import Call, Router
from tests.loopback.sessions import Intent
from tests.loopback.state import MESSAGE_KINDS, Channel, ChannelKind, Json, Message, World
from tests.loopback.voice_states import Emit

MAX_STATUS = 500  # characters of a voice channel status


class ChannelRoutes:
    """`/channels/{channel_id}…`."""

    def __init__(self, world: World, emit: Emit, messages: Messages) -> None:
        self._world = world
        self._emit = emit
        self._messages = messages

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/channels/{channel_id}"
        router.add("GET", base, self._get)
        router.add("PATCH", base, self._edit)
        router.add("PUT", f"{base}/voice-status", self._voice_status)
        router.add("POST", f"{base}/typing", self._typing)
        router.add("GET", f"{base}/messages", self._history)
        router.add("POST", f"{base}/messages", self._send)
        router.add("POST", f"{base}/messages/bulk-delete", self._bulk_delete)
        router.add("GET", f"{base}/messages/{{message_id}}", self._message)
        router.add("PATCH", f"{base}/messages/{{message_id}}", self._edit_message)
        router.add("DELETE", f"{base}/messages/{{message_id}}", self._delete_message)

    def _visible(self, call: Call, needed: Permission = Permission(0)) -> Channel:  # noqa: B008 - an immutable flag
        channel = self._world.channel(call.id("channel_id"))
        held = self._world.permissions(self._world.bot.id, channel)
        if not held & Permission.VIEW_CHANNEL:
            raise missing_access()
        if needed & ~held:
            raise missing_permissions()
        return channel

    async def _get(self, call: Call) -> Json:
        return payloads.channel(self._visible(call), self._world)

    async def _edit(self, call: Call) -> Json:
        channel = self._visible(call, Permission.MANAGE_CHANNELS)
        errors = FormErrors()
        errors.length("name", call.json.get("name"), 1, 100)
        errors.check()
        channel.name = call.json.get("name", channel.name)
        channel.topic = call.json.get("topic", channel.topic)
        channel.user_limit = call.json.get("user_limit", channel.user_limit)
        body = payloads.channel(channel, self._world)
        self._emit("CHANNEL_UPDATE", body, guild_id=channel.guild_id, intent=Intent.GUILDS)
        return body

    async def _voice_status(self, call: Call) -> None:
        channel = self._visible(call)
        if channel.kind is not ChannelKind.VOICE:
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        needed = Permission.SET_VOICE_CHANNEL_STATUS
        state = self._world.guild(channel.guild_id or 0).voice_states.get(self._world.bot.id)
        if state is None or state.channel_id != channel.id:
            needed |= Permission.MANAGE_CHANNELS  # only who is inside does without
        if needed & ~self._world.permissions(self._world.bot.id, channel):
            raise missing_permissions()
        errors = FormErrors()
        errors.max_length("status", call.json.get("status"), MAX_STATUS)
        errors.check()
        channel.status = call.json.get("status") or None
        body = {"id": str(channel.id), "guild_id": str(channel.guild_id), "status": channel.status}
        self._emit("VOICE_CHANNEL_STATUS_UPDATE", body, guild_id=channel.guild_id, intent=Intent.GUILDS)

    async def _typing(self, call: Call) -> None:
        self._visible(call, Permission.SEND_MESSAGES)

    async def _send(self, call: Call) -> Json:
        channel = self._visible(call)
        if channel.kind not in MESSAGE_KINDS:
            raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
        if channel.recipient is not None and not channel.recipient.dms_open:
            raise ApiError(403, 50007, "Cannot send messages to this user")
        if may_send(self._world, self._world.bot.id, channel, call.json, call.files):
            raise missing_permissions()
        return self._json(self._messages.send(channel, self._world.bot, call.json, call.files))

    async def _message(self, call: Call) -> Json:
        self._visible(call, Permission.READ_MESSAGE_HISTORY)
        return self._json(self._named(call))

    async def _history(self, call: Call) -> list[Json]:
        channel = self._visible(call)
        limit = call.number("limit", 50, low=1, high=100)
        if not self._world.permissions(self._world.bot.id, channel) & Permission.READ_MESSAGE_HISTORY:
            return []
        newest_first = list(reversed(channel.messages.values()))
        if before := call.query.get("before"):
            newest_first = [m for m in newest_first if m.id < int(before)]
        if after := call.query.get("after"):
            newest_first = [m for m in newest_first if m.id > int(after)]
            return [self._json(m) for m in newest_first[-limit:]]
        return [self._json(m) for m in newest_first[:limit]]

    async def _edit_message(self, call: Call) -> Json:
        self._visible(call)
        message = self._named(call)
        if message.author is not self._world.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        return self._json(self._messages.edit(message, call.json, call.files))

    async def _delete_message(self, call: Call) -> None:
        channel = self._visible(call)
        message = self._named(call)
        if message.author is not self._world.bot:
            self._need_manage(channel)
        self._messages.delete(message)

    async def _bulk_delete(self, call: Call) -> None:
        channel = self._visible(call)
        self._need_manage(channel)
        errors = FormErrors()
        errors.length("messages", call.json["messages"], 2, 100)
        errors.check()
        for message_id in call.json["messages"]:
            if (message := channel.messages.get(int(message_id))) is not None:
                self._messages.delete(message)

    def _need_manage(self, channel: Channel) -> None:
        if channel.guild_id is None or not self._world.permissions(self._world.bot.id, channel) & Permission.MANAGE_MESSAGES:
            raise missing_permissions()

    def _named(self, call: Call) -> Message:
        return self._world.message(call.id("channel_id"), call.id("message_id"))

    def _json(self, message: Message) -> Json:
        return payloads.message(message, self._world)
