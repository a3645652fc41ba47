"""Discord's permission bits and how they combine (https://discord.com/developers/docs/topics/permissions)."""

from collections.abc import Iterable
from enum import IntFlag


class Permission(IntFlag):
    """Permission bits by their documented names."""

    CREATE_INSTANT_INVITE = 1 << 0
    KICK_MEMBERS = 1 << 1
    BAN_MEMBERS = 1 << 2
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_AUDIT_LOG = 1 << 7
    PRIORITY_SPEAKER = 1 << 8
    STREAM = 1 << 9
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    SEND_TTS_MESSAGES = 1 << 12
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_EXTERNAL_EMOJIS = 1 << 18
    VIEW_GUILD_INSIGHTS = 1 << 19
    CONNECT = 1 << 20
    SPEAK = 1 << 21
    MUTE_MEMBERS = 1 << 22
    DEAFEN_MEMBERS = 1 << 23
    MOVE_MEMBERS = 1 << 24
    USE_VAD = 1 << 25
    CHANGE_NICKNAME = 1 << 26
    MANAGE_NICKNAMES = 1 << 27
    MANAGE_ROLES = 1 << 28
    MANAGE_WEBHOOKS = 1 << 29
    MANAGE_GUILD_EXPRESSIONS = 1 << 30
    USE_APPLICATION_COMMANDS = 1 << 31
    REQUEST_TO_SPEAK = 1 << 32
    MANAGE_EVENTS = 1 << 33
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    USE_EXTERNAL_STICKERS = 1 << 37
    SEND_MESSAGES_IN_THREADS = 1 << 38
    USE_EMBEDDED_ACTIVITIES = 1 << 39
    MODERATE_MEMBERS = 1 << 40
    USE_SOUNDBOARD = 1 << 42
    USE_EXTERNAL_SOUNDS = 1 << 45
    SEND_VOICE_MESSAGES = 1 << 46
    SET_VOICE_CHANNEL_STATUS = 1 << 48
    SEND_POLLS = 1 << 49
    USE_EXTERNAL_APPS = 1 << 50


P = Permission
NOTHING = Permission(0)
EVERYTHING = Permission((1 << 51) - 1)

# What `@everyone` may do in a freshly made server, as far as it matters here.
EVERYONE = (
    P.CREATE_INSTANT_INVITE | P.ADD_REACTIONS | P.STREAM | P.VIEW_CHANNEL | P.SEND_MESSAGES | P.EMBED_LINKS | P.ATTACH_FILES
    | P.READ_MESSAGE_HISTORY | P.USE_EXTERNAL_EMOJIS | P.CONNECT | P.SPEAK | P.USE_VAD | P.CHANGE_NICKNAME
    | P.USE_APPLICATION_COMMANDS | P.REQUEST_TO_SPEAK | P.USE_SOUNDBOARD | P.SEND_VOICE_MESSAGES
)  # fmt: skip

# The role an invite link gives the bot unless a test says otherwise: voice moderation without ADMINISTRATOR or MOVE_MEMBERS.
BOT = P.VIEW_CHANNEL | P.SEND_MESSAGES | P.CONNECT | P.SPEAK | P.MUTE_MEMBERS | P.SET_VOICE_CHANNEL_STATUS

WHILE_TIMED_OUT = P.VIEW_CHANNEL | P.READ_MESSAGE_HISTORY


def channel_permissions(
    base: Permission,
    *,
    everyone: tuple[Permission, Permission] = (NOTHING, NOTHING),
    roles: Iterable[tuple[Permission, Permission]] = (),
    member: tuple[Permission, Permission] = (NOTHING, NOTHING),
) -> Permission:
    """Permissions in a channel: guild-wide `base`, then the (allow, deny) overwrites in Discord's order.

    ADMINISTRATOR overrules every overwrite; without VIEW_CHANNEL nothing else counts.
    """
    if base & P.ADMINISTRATOR:
        return EVERYTHING
    result = (base & ~everyone[1]) | everyone[0]
    allow = deny = NOTHING
    for role_allow, role_deny in roles:
        allow, deny = allow | role_allow, deny | role_deny
    result = (result & ~deny) | allow
    result = (result & ~member[1]) | member[0]
    return result if result & P.VIEW_CHANNEL else NOTHING
