"""The world of a loopback Discord: who exists, who may do what, who is in which voice channel, what was said.

Plain objects; nothing here sends or receives. `payloads.py` turns them into Discord's JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, TypeVar

from tests.loopback.errors import unknown
from tests.loopback.permissions import EVERYTHING, NOTHING, WHILE_TIMED_OUT, Permission, channel_permissions
from tests.loopback.snowflake import Snowflakes

Json = dict[str, Any]
T = TypeVar("T")

KEEP_MESSAGES = 5000  # per channel; the oldest is forgotten
KEEP_ATTACHMENTS = 2000  # in all; the oldest is forgotten


class ChannelKind(IntEnum):
    """Channel types (https://discord.com/developers/docs/resources/channel#channel-object-channel-types)."""

    TEXT = 0
    DM = 1
    VOICE = 2
    CATEGORY = 4
    STAGE = 13


VOICE_KINDS = frozenset({ChannelKind.VOICE, ChannelKind.STAGE})
MESSAGE_KINDS = frozenset({ChannelKind.TEXT, ChannelKind.DM, ChannelKind.VOICE, ChannelKind.STAGE})


@dataclass(eq=False, slots=True)
class User:
    """An account. `dms_open=False` refuses direct messages (403, code 50007)."""

    id: int
    username: str
    bot: bool = False
    dms_open: bool = True


@dataclass(eq=False, slots=True)
class Role:
    """A role; the one with the guild's id is `@everyone`."""

    id: int
    name: str
    permissions: Permission
    position: int = 1
    bot_id: int | None = None


@dataclass(eq=False, slots=True)
class Overwrite:
    """Permissions of one role or member in one channel."""

    allow: Permission = NOTHING
    deny: Permission = NOTHING

    @property
    def pair(self) -> tuple[Permission, Permission]:
        """(allow, deny)."""
        return self.allow, self.deny


@dataclass(eq=False, slots=True)
class Attachment:
    """A stored file and the CDN path it is served at."""

    id: int
    filename: str
    data: bytes = field(repr=False)
    content_type: str
    path: str
    description: str | None = None
    ephemeral: bool = False

    @property
    def url(self) -> str:
        """Where a client downloads it."""
        return f"https://cdn.discordapp.com{self.path}"


@dataclass(eq=False, slots=True)
class Message:
    """A message. `embeds` and `components` are Discord's JSON as sent; `allowed_mentions` as asked by the author."""

    id: int
    channel_id: int
    guild_id: int | None
    author: User
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    nonce: str | int | None = None
    flags: int = 0
    tts: bool = False
    allowed_mentions: Json | None = None
    reference: Json | None = None
    edited: datetime | None = None
    webhook_id: int | None = None
    interaction: Json | None = field(default=None, repr=False)
    deleted: bool = False

    @property
    def ephemeral(self) -> bool:
        """Whether only the person who used the command sees it (flag 1 << 6)."""
        return bool(self.flags & 1 << 6)


@dataclass(eq=False, slots=True)
class Channel:
    """A channel of a guild, or a DM (`guild_id` None, `recipient` set)."""

    id: int
    kind: ChannelKind
    name: str
    guild_id: int | None = None
    position: int = 0
    parent_id: int | None = None
    topic: str | None = None
    user_limit: int = 0
    status: str | None = None
    recipient: User | None = None
    overwrites: dict[int, Overwrite] = field(default_factory=dict, repr=False)
    messages: dict[int, Message] = field(default_factory=dict, repr=False)

    @property
    def last_message_id(self) -> int | None:
        """Id of the newest message."""
        return next(reversed(self.messages), None)

    def keep(self, message: Message) -> None:
        """Store a message, forgetting the oldest when there are too many."""
        self.messages[message.id] = message
        if len(self.messages) > KEEP_MESSAGES:
            del self.messages[next(iter(self.messages))]


@dataclass(eq=False, slots=True)
class VoiceState:
    """Someone's presence in a voice channel."""

    user_id: int
    channel_id: int
    session_id: str
    self_mute: bool = False
    self_deaf: bool = False
    suppress: bool = False
    request_to_speak: str | None = None


@dataclass(eq=False, slots=True)
class Member:
    """A user in a guild. `mute` and `deaf` are the server's, not the user's own."""

    guild_id: int
    user: User
    joined_at: datetime
    nick: str | None = None
    roles: list[int] = field(default_factory=list)
    mute: bool = False
    deaf: bool = False
    timed_out_until: datetime | None = None

    @property
    def id(self) -> int:
        """The user's id."""
        return self.user.id


@dataclass(eq=False, slots=True)
class Guild:
    """A server."""

    id: int
    name: str
    owner_id: int
    afk_channel_id: int | None = None
    roles: dict[int, Role] = field(default_factory=dict, repr=False)
    channels: dict[int, Channel] = field(default_factory=dict, repr=False)
    members: dict[int, Member] = field(default_factory=dict, repr=False)
    voice_states: dict[int, VoiceState] = field(default_factory=dict, repr=False)

    @property
    def everyone(self) -> Role:
        """The role every member has."""
        return self.roles[self.id]

    def in_voice(self, channel_id: int) -> Iterator[VoiceState]:
        """Who is in that voice channel."""
        return (state for state in self.voice_states.values() if state.channel_id == channel_id)


class World:
    """Everything that exists. Lookups raise `ApiError` 404 as Discord's REST does."""

    def __init__(self, bot_name: str = "Earshot") -> None:
        self.ids = Snowflakes()
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.attachments: dict[int, Attachment] = {}
        # Registered application commands: None for global ones, else by guild.
        self.commands: dict[int | None, list[Json]] = {}
        self.owner = self.add_user("owner")
        self.bot = self.add_user(bot_name, bot=True)

    @property
    def application_id(self) -> int:
        """The bot's application; Discord gives new applications the bot user's id."""
        return self.bot.id

    def add_user(self, username: str, *, bot: bool = False) -> User:
        """Make an account."""
        user = User(self.ids.next(), username, bot)
        self.users[user.id] = user
        return user

    def user(self, user_id: int) -> User:
        """That user, or 404 10013."""
        return _found(self.users.get(user_id), "user")

    def guild(self, guild_id: int) -> Guild:
        """That guild, or 404 10004."""
        return _found(self.guilds.get(guild_id), "guild")

    def channel(self, channel_id: int) -> Channel:
        """That channel, or 404 10003."""
        return _found(self.channels.get(channel_id), "channel")

    def member(self, guild_id: int, user_id: int) -> Member:
        """That member, or 404 10004 / 10007."""
        return _found(self.guild(guild_id).members.get(user_id), "member")

    def message(self, channel_id: int, message_id: int) -> Message:
        """That message, or 404 10003 / 10008. Ephemeral ones are in no channel."""
        return _found(self.channel(channel_id).messages.get(message_id), "message")

    def dm_with(self, user: User) -> Channel:
        """The bot's DM channel with that user, made when there is none."""
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.ids.next(), ChannelKind.DM, "", recipient=user)
        self.channels[channel.id] = channel
        return channel

    def permissions(self, user_id: int, channel: Channel | None = None, *, guild_id: int | None = None) -> Permission:
        """What a member may do in a channel, or in the guild as a whole when no channel is given."""
        guild_id = guild_id if channel is None else channel.guild_id
        if guild_id is None:
            return EVERYTHING
        guild = self.guild(guild_id)
        member = self.member(guild_id, user_id)
        if guild.owner_id == user_id:
            return EVERYTHING
        base = guild.everyone.permissions
        for role_id in member.roles:
            base |= guild.roles[role_id].permissions
        if base & Permission.ADMINISTRATOR:
            return EVERYTHING
        if channel is not None:
            base = channel_permissions(
                base,
                everyone=channel.overwrites.get(guild_id, Overwrite()).pair,
                roles=[channel.overwrites[role].pair for role in member.roles if role in channel.overwrites],
                member=channel.overwrites.get(user_id, Overwrite()).pair,
            )
        if member.timed_out_until is not None and member.timed_out_until > datetime.now(UTC):
            base &= WHILE_TIMED_OUT
        return base

    def keep_attachment(self, attachment: Attachment) -> Attachment:
        """Store a file for the CDN, forgetting the oldest when there are too many."""
        self.attachments[attachment.id] = attachment
        if len(self.attachments) > KEEP_ATTACHMENTS:
            del self.attachments[next(iter(self.attachments))]
        return attachment


def _found(value: T | None, kind: str) -> T:
    if value is None:
        raise unknown(kind)
    return value
