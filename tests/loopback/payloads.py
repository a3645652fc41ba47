"""The world as Discord's JSON: ids are strings, absent things are null (https://discord.com/developers/docs/reference)."""

import re
from datetime import datetime

from tests.loopback.permissions import Permission
from tests.loopback.snowflake import made_at
from tests.loopback.state import (
    VOICE_KINDS,
    Attachment,
    Channel,
    ChannelKind,
    Guild,
    Json,
    Member,
    Message,
    Overwrite,
    Role,
    User,
    VoiceState,
    World,
)

USER_MENTION = re.compile(r"<@!?(\d+)>")
ROLE_MENTION = re.compile(r"<@&(\d+)>")


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with the UTC offset, as Discord writes times."""
    return None if moment is None else moment.isoformat()


def user(value: User) -> Json:
    """User object."""
    return {
        "id": str(value.id),
        "username": value.username,
        "discriminator": "0" if not value.bot else f"{value.id % 10_000:04d}",
        "global_name": None if value.bot else value.username.title(),
        "avatar": None,
        "bot": value.bot,
        "public_flags": 0,
        "avatar_decoration_data": None,
        "primary_guild": None,
        "collectibles": None,
    }


def own_user(value: User) -> Json:
    """The fuller user object an account gets about itself."""
    return user(value) | {"verified": True, "mfa_enabled": False, "flags": 0, "email": None, "locale": "en-US"}


def role(value: Role) -> Json:
    """Role object."""
    return {
        "id": str(value.id),
        "name": value.name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": value.position,
        "permissions": str(int(value.permissions)),
        "managed": value.bot_id is not None,
        "mentionable": False,
        "flags": 0,
        **({"tags": {"bot_id": str(value.bot_id)}} if value.bot_id is not None else {}),
    }


def member_without_user(value: Member) -> Json:
    """Member object as nested in messages."""
    return {
        "nick": value.nick,
        "avatar": None,
        "banner": None,
        "roles": [str(role_id) for role_id in value.roles],
        "joined_at": iso(value.joined_at),
        "premium_since": None,
        "deaf": value.deaf,
        "mute": value.mute,
        "flags": 0,
        "pending": False,
        "communication_disabled_until": iso(value.timed_out_until),
    }


def member(value: Member) -> Json:
    """Member object with its user."""
    return member_without_user(value) | {"user": user(value.user)}


def _overwrite(target_id: int, value: Overwrite, guild: Guild) -> Json:
    kind = 0 if target_id in guild.roles else 1
    return {"id": str(target_id), "type": kind, "allow": str(int(value.allow)), "deny": str(int(value.deny))}


def channel(value: Channel, world: World) -> Json:
    """Channel object of a guild channel or DM."""
    base: Json = {"id": str(value.id), "type": int(value.kind), "last_message_id": _id(value.last_message_id), "flags": 0}
    if value.kind is ChannelKind.DM:
        return base | {"recipients": [user(value.recipient)] if value.recipient else []}
    guild = world.guilds[value.guild_id or 0]
    base |= {
        "guild_id": str(guild.id),
        "name": value.name,
        "position": value.position,
        "parent_id": _id(value.parent_id),
        "permission_overwrites": [_overwrite(target, over, guild) for target, over in value.overwrites.items()],
        "nsfw": False,
        "rate_limit_per_user": 0,
    }
    if value.kind in VOICE_KINDS:
        return base | {"bitrate": 64_000, "user_limit": value.user_limit, "rtc_region": None, "topic": value.topic, "status": value.status}
    return base | {"topic": value.topic}


def interaction_channel(value: Channel, world: World, permissions: Permission) -> Json:
    """The partial channel of an interaction, with the invoker's permissions in it."""
    return channel(value, world) | {"permissions": str(int(permissions))}


def voice_state(value: VoiceState, who: Member, *, left: bool = False) -> Json:
    """Voice state object; `left` for the event that says this call is over."""
    return {
        "guild_id": str(who.guild_id),
        "channel_id": None if left else str(value.channel_id),
        "user_id": str(who.id),
        "member": member(who),
        "session_id": value.session_id,
        "deaf": who.deaf,
        "mute": who.mute,
        "self_deaf": value.self_deaf,
        "self_mute": value.self_mute,
        "self_video": False,
        "suppress": value.suppress,
        "request_to_speak_timestamp": value.request_to_speak,
    }


def guild(value: Guild, world: World) -> Json:
    """Guild object as REST gives it."""
    return {
        "id": str(value.id),
        "name": value.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "owner_id": str(value.owner_id),
        "region": "deprecated",
        "afk_channel_id": str(value.afk_channel_id) if value.afk_channel_id else None,
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "nsfw": False,
        "application_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": "en-US",
        "features": [],
        "emojis": [],
        "stickers": [],
        "roles": [role(each) for each in value.roles.values()],
        "max_members": 500_000,
        "max_video_channel_users": 25,
        "max_stage_video_channel_users": 50,
        "incidents_data": None,
        "widget_enabled": False,
        "widget_channel_id": None,
    }


def gateway_guild(value: Guild, world: World, *, all_members: bool, large_threshold: int = 250) -> Json:
    """GUILD_CREATE: without `all_members` only the bot and people in voice are listed, as for bots without the presence intent."""
    listed = [m for m in value.members.values() if all_members or m.id == world.bot.id or m.id in value.voice_states]
    states = [voice_state(state, value.members[user_id]) for user_id, state in value.voice_states.items()]
    for state in states:
        del state["guild_id"], state["member"]
    own = value.members[world.bot.id]
    return guild(value, world) | {
        "joined_at": iso(own.joined_at),
        "large": len(value.members) > large_threshold,
        "unavailable": False,
        "member_count": len(value.members),
        "members": [member(each) for each in listed],
        "channels": [channel(each, world) for each in value.channels.values()],
        "voice_states": states,
        "threads": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def attachment(value: Attachment) -> Json:
    """Attachment object."""
    return {
        "id": str(value.id),
        "filename": value.filename,
        "size": len(value.data),
        "url": value.url,
        "proxy_url": value.url.replace("cdn.discordapp.com", "media.discordapp.net"),
        "content_type": value.content_type,
        **({"description": value.description} if value.description else {}),
        **({"ephemeral": True} if value.ephemeral else {}),
    }


def message(value: Message, world: World) -> Json:
    """Message object."""
    mentions = mentioned_users(value, world)
    author_member = world.guilds[value.guild_id].members.get(value.author.id) if value.guild_id in world.guilds else None
    return {
        "id": str(value.id),
        "channel_id": str(value.channel_id),
        "type": _message_type(value),
        "author": user(value.author),
        "content": value.content,
        "timestamp": iso(made_at(value.id)),
        "edited_timestamp": iso(value.edited),
        "tts": value.tts,
        "mention_everyone": "@everyone" in value.content and _may_mention(value, "everyone"),
        "mentions": [user(each) for each in mentions],
        "mention_roles": ROLE_MENTION.findall(value.content) if _may_mention(value, "roles") else [],
        "attachments": [attachment(each) for each in value.attachments],
        "embeds": value.embeds,
        "components": value.components,
        "pinned": False,
        "flags": value.flags,
        **({"nonce": value.nonce} if value.nonce is not None else {}),
        **({"guild_id": str(value.guild_id)} if value.guild_id else {}),
        **({"member": member_without_user(author_member)} if author_member else {}),
        **({"webhook_id": str(value.webhook_id), "application_id": str(value.webhook_id)} if value.webhook_id else {}),
        **({"message_reference": value.reference} if value.reference else {}),
        **({"interaction_metadata": value.interaction} if value.interaction else {}),
    }


def _message_type(value: Message) -> int:
    if value.interaction is not None and value.interaction["type"] == 2:
        return 20
    return 19 if value.reference else 0


def _may_mention(value: Message, kind: str) -> bool:
    return value.allowed_mentions is None or kind in value.allowed_mentions.get("parse", ())


def mentioned_users(value: Message, world: World) -> list[User]:
    """Who is pinged by the content, as far as the author's `allowed_mentions` lets."""
    named = [int(user_id) for user_id in dict.fromkeys(USER_MENTION.findall(value.content))]
    if not _may_mention(value, "users"):
        listed = {int(user_id) for user_id in (value.allowed_mentions or {}).get("users", ())}
        named = [user_id for user_id in named if user_id in listed]
    return [world.users[user_id] for user_id in named if user_id in world.users]


def _id(value: int | None) -> str | None:
    return None if value is None else str(value)
