"""Making, editing and deleting messages in the world; used by channel routes, interaction answers and webhooks alike."""

import copy
import mimetypes
import re
import time
from collections import OrderedDict
from datetime import UTC, datetime

from tests.loopback import payloads
from tests.loopback.message_rules import COMPONENTS_V2, check_message
from tests.loopback.permissions import Permission
from tests.loopback.routing import Upload, snowflake
from tests.loopback.sessions import Intent
from tests.loopback.state import Attachment, Channel, Json, Message, User, World
from tests.loopback.voice_states import Emit

NONCE_SECONDS = 300  # Discord says "the past few minutes"
KEEP_NONCES = 10_000
EPHEMERAL = 1 << 6
LOADING = 1 << 7
CALLER_FLAGS = 1 << 2 | 1 << 6 | 1 << 12 | 1 << 15  # what a sender may set: no embeds, ephemeral, silent, components v2


class Messages:
    """The one place where messages change; tells the gateway about what everyone may see."""

    def __init__(self, world: World, emit: Emit) -> None:
        self._world = world
        self._emit = emit
        self._nonces: OrderedDict[tuple[int, int, str], tuple[float, Message]] = OrderedDict()

    def send(
        self,
        channel: Channel,
        author: User,
        body: Json,
        files: dict[int, Upload],
        *,
        interaction: Json | None = None,
        application_id: int | None = None,
    ) -> Message:
        """Create a message and announce it. An enforced nonce seen lately from this author here gives the earlier message."""
        check_message(body, files=files)
        nonce = body.get("nonce")
        if nonce is not None and body.get("enforce_nonce") and (earlier := self._earlier(channel, author, str(nonce))) is not None:
            return earlier
        message = self._new(channel, author, interaction, application_id)
        message.nonce = nonce
        message.flags = int(body.get("flags") or 0) & CALLER_FLAGS & ~(0 if interaction else EPHEMERAL)
        message.tts = bool(body.get("tts"))
        message.reference = self._reference(channel, body.get("message_reference"))
        self._fill(message, body, files)
        if nonce is not None:
            self._remember(channel, author, str(nonce), message)
        self._publish(channel, message)
        return message

    def defer(self, channel: Channel, author: User, *, interaction: Json, application_id: int, ephemeral: bool) -> Message:
        """Create the "… is thinking" message of a deferred answer."""
        message = self._new(channel, author, interaction, application_id)
        message.flags = LOADING | (EPHEMERAL if ephemeral else 0)
        self._publish(channel, message)
        return message

    def _new(self, channel: Channel, author: User, interaction: Json | None, application_id: int | None) -> Message:
        return Message(self._world.ids.next(), channel.id, channel.guild_id, author, interaction=interaction, webhook_id=application_id)

    def _publish(self, channel: Channel, message: Message) -> None:
        if not message.ephemeral:
            channel.keep(message)
        self._announce("MESSAGE_CREATE", message)

    def edit(self, message: Message, body: Json, files: dict[int, Upload]) -> Message:
        """Replace the fields that are there, keep the others."""
        check_message(body, files=files, keeps=True)
        message.flags = message.flags & ~LOADING | int(body.get("flags") or 0) & COMPONENTS_V2
        self._fill(message, body, files)
        message.edited = datetime.now(UTC)
        self._announce("MESSAGE_UPDATE", message)
        return message

    def delete(self, message: Message) -> None:
        """Delete a message; a second time is fine."""
        self._world.channel(message.channel_id).messages.pop(message.id, None)
        message.deleted = True
        if not message.ephemeral:
            body: Json = {"id": str(message.id), "channel_id": str(message.channel_id)}
            if message.guild_id is not None:
                body["guild_id"] = str(message.guild_id)
            self._emit("MESSAGE_DELETE", body, guild_id=message.guild_id, intent=_intent(message))

    def store(self, upload: Upload, folder: str, *, description: str | None = None, ephemeral: bool = False) -> Attachment:
        """Keep a file for the CDN. Its name and type become what Discord makes of them."""
        filename = re.sub(r"[^\w.\-]", "_", upload.filename)
        kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        attachment_id = self._world.ids.next()
        path = f"{folder}/{attachment_id}/{filename}"
        return self._world.keep_attachment(Attachment(attachment_id, filename, upload.data, kind, path, description, ephemeral))

    def _fill(self, message: Message, body: Json, files: dict[int, Upload]) -> None:
        if "content" in body:
            message.content = body["content"] or ""
        if "components" in body:
            message.components = _numbered(body["components"] or [])
        if "allowed_mentions" in body:
            message.allowed_mentions = body["allowed_mentions"]
        self._attach(message, body.get("attachments"), files)
        if "embeds" in body:
            message.embeds = [self._embed(embed, message) for embed in body["embeds"] or []]

    def _attach(self, message: Message, listed: list[Json] | None, files: dict[int, Upload]) -> None:
        """An edit without `attachments` keeps all there are; with it, only those it lists. New files come on top."""
        told = {int(item.get("id", index)): item for index, item in enumerate(listed or [])}
        if listed is not None:
            message.attachments = [each for each in message.attachments if each.id in told]
        folder = f"/ephemeral-attachments/{message.webhook_id}" if message.ephemeral else f"/attachments/{message.channel_id}"
        for index, upload in sorted(files.items()):
            item = told.get(index, {})
            named = Upload(item.get("filename") or upload.filename, upload.data)
            message.attachments.append(self.store(named, folder, description=item.get("description"), ephemeral=message.ephemeral))

    def _embed(self, embed: Json, message: Message) -> Json:
        stored = copy.deepcopy(embed) | {"type": embed.get("type", "rich")}
        urls = {f"attachment://{each.filename}": each.url for each in message.attachments}
        for key in ("image", "thumbnail"):
            if (stored.get(key) or {}).get("url") in urls:
                stored[key]["url"] = urls[stored[key]["url"]]
        return stored

    def _reference(self, channel: Channel, asked: Json | None) -> Json | None:
        if not asked:
            return None
        message_id = snowflake(asked.get("message_id"), "message_reference.message_id")
        if message_id not in channel.messages and asked.get("fail_if_not_exists", True):
            self._world.message(channel.id, message_id)
        return {"type": 0, "message_id": str(message_id), "channel_id": str(channel.id), "guild_id": str(channel.guild_id)}

    def _earlier(self, channel: Channel, author: User, nonce: str) -> Message | None:
        sent = self._nonces.get((channel.id, author.id, nonce))
        return sent[1] if sent is not None and time.monotonic() - sent[0] < NONCE_SECONDS else None

    def _remember(self, channel: Channel, author: User, nonce: str, message: Message) -> None:
        self._nonces[channel.id, author.id, nonce] = (time.monotonic(), message)
        if len(self._nonces) > KEEP_NONCES:
            self._nonces.popitem(last=False)

    def _announce(self, event: str, message: Message) -> None:
        if message.ephemeral:
            return  # only the person who used the command is told
        body = payloads.message(message, self._world)
        self._emit(event, body, guild_id=message.guild_id, intent=_intent(message))


def may_send(world: World, user_id: int, channel: Channel, body: Json, files: dict[int, Upload]) -> Permission:
    """Which permissions a message needs that the author lacks; 0 when it may be sent."""
    needed = Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES
    if body.get("embeds"):
        needed |= Permission.EMBED_LINKS
    if files:
        needed |= Permission.ATTACH_FILES
    if body.get("message_reference"):
        needed |= Permission.READ_MESSAGE_HISTORY
    return needed & ~world.permissions(user_id, channel)


def _intent(message: Message) -> Intent:
    return Intent.DIRECT_MESSAGES if message.guild_id is None else Intent.GUILD_MESSAGES


def _numbered(components: list[Json]) -> list[Json]:
    """Discord numbers every component it stores."""
    stored = copy.deepcopy(components)
    pending, number = list(stored), 0
    while pending:
        item = pending.pop(0)
        number += 1
        item.setdefault("id", number)
        pending.extend(item.get("components") or [])
        pending.extend(item[key] for key in ("accessory", "component") if isinstance(item.get(key), dict))
    return stored
