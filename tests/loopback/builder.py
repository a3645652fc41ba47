"""Building a world in a few lines; a client that is already connected is told of everything added."""

from datetime import UTC, datetime

from tests.loopback import payloads
from tests.loopback.gateway import Gateway
from tests.loopback.permissions import BOT, EVERYONE, NOTHING, Permission
from tests.loopback.rest_guilds import member_update
from tests.loopback.sessions import Intent
from tests.loopback.snowflake import shard_of
from tests.loopback.state import Channel, ChannelKind, Guild, Member, Overwrite, Role, User, World


class Builder:
    """Adds and removes guilds, channels, roles and members."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self._world = world
        self._gateway = gateway

    def add_guild(self, name: str, *, bot_permissions: Permission = BOT, everyone: Permission = EVERYONE) -> Guild:
        """A guild with the bot in it, whose managed role has `bot_permissions`. Guilds alternate between the shards of two."""
        world = self._world
        guild_id = world.ids.next()
        if world.guilds and shard_of(guild_id, 2) == shard_of(max(world.guilds), 2):
            guild_id = world.ids.next()
        guild = Guild(guild_id, name, world.owner.id)
        guild.roles[guild.id] = Role(guild.id, "@everyone", everyone, position=0)
        world.guilds[guild.id] = guild
        self._join(guild, world.owner)
        role = self._new_role(guild, world.bot.username, bot_permissions, bot_id=world.bot.id)
        self._join(guild, world.bot).roles.append(role.id)
        self._gateway.announce_guild(guild.id)
        return guild

    def remove_guild(self, guild: Guild) -> None:
        """The bot is thrown out of a guild."""
        del self._world.guilds[guild.id]
        for channel_id in guild.channels:
            del self._world.channels[channel_id]
        self._gateway.emit("GUILD_DELETE", {"id": str(guild.id)}, guild_id=guild.id, intent=Intent.GUILDS)

    def add_role(self, guild: Guild, name: str, permissions: Permission = NOTHING) -> Role:
        """A role nobody has yet."""
        role = self._new_role(guild, name, permissions)
        body = {"guild_id": str(guild.id), "role": payloads.role(role)}
        self._gateway.emit("GUILD_ROLE_CREATE", body, guild_id=guild.id, intent=Intent.GUILDS)
        return role

    def set_permissions(self, guild: Guild, role: Role, permissions: Permission) -> None:
        """Change what a role may do."""
        role.permissions = permissions
        body = {"guild_id": str(guild.id), "role": payloads.role(role)}
        self._gateway.emit("GUILD_ROLE_UPDATE", body, guild_id=guild.id, intent=Intent.GUILDS)

    def bot_role(self, guild: Guild) -> Role:
        """The bot's own managed role."""
        return next(role for role in guild.roles.values() if role.bot_id == self._world.bot.id)

    def add_member(self, guild: Guild, who: str | User, *, permissions: Permission = NOTHING, bot: bool = False) -> Member:
        """A member; a name makes a new account. `permissions` come on top of what `@everyone` may do, by a role of its own."""
        user = who if isinstance(who, User) else self._world.add_user(who, bot=bot)
        member = self._join(guild, user)
        if permissions:
            member.roles.append(self.add_role(guild, f"{user.username}'s role", permissions).id)
        body = payloads.member(member) | {"guild_id": str(guild.id)}
        self._gateway.emit("GUILD_MEMBER_ADD", body, guild_id=guild.id, intent=Intent.GUILD_MEMBERS)
        return member

    def give_role(self, member: Member, role: Role) -> None:
        """Give a member a role."""
        member.roles.append(role.id)
        own = member.id == self._world.bot.id
        self._gateway.emit("GUILD_MEMBER_UPDATE", member_update(member), guild_id=member.guild_id, intent=Intent.GUILD_MEMBERS, own=own)

    def remove_member(self, member: Member) -> None:
        """A member leaves the guild (move them out of voice first)."""
        del self._world.guild(member.guild_id).members[member.id]
        body = {"guild_id": str(member.guild_id), "user": payloads.user(member.user)}
        self._gateway.emit("GUILD_MEMBER_REMOVE", body, guild_id=member.guild_id, intent=Intent.GUILD_MEMBERS)

    def add_category(self, guild: Guild, name: str) -> Channel:
        """A category."""
        return self._add_channel(guild, ChannelKind.CATEGORY, name)

    def add_text_channel(self, guild: Guild, name: str, *, parent: Channel | None = None) -> Channel:
        """A text channel."""
        return self._add_channel(guild, ChannelKind.TEXT, name, parent=parent)

    def add_voice_channel(self, guild: Guild, name: str, *, user_limit: int = 0, parent: Channel | None = None) -> Channel:
        """A voice channel; `user_limit` 0 means no limit."""
        return self._add_channel(guild, ChannelKind.VOICE, name, user_limit=user_limit, parent=parent)

    def add_stage_channel(self, guild: Guild, name: str, *, parent: Channel | None = None) -> Channel:
        """A stage channel."""
        return self._add_channel(guild, ChannelKind.STAGE, name, parent=parent)

    def remove_channel(self, channel: Channel) -> None:
        """Delete a guild channel (move people out of voice first)."""
        body = payloads.channel(channel, self._world)
        del self._world.channels[channel.id], self._world.guild(channel.guild_id or 0).channels[channel.id]
        self._gateway.emit("CHANNEL_DELETE", body, guild_id=channel.guild_id, intent=Intent.GUILDS)

    def overwrite(
        self, channel: Channel, target: Role | Member | Guild, *, allow: Permission = NOTHING, deny: Permission = NOTHING
    ) -> None:
        """Set the permissions of a role, a member or (by the guild) of everyone in one channel."""
        channel.overwrites[target.id] = Overwrite(allow, deny)
        body = payloads.channel(channel, self._world)
        self._gateway.emit("CHANNEL_UPDATE", body, guild_id=channel.guild_id, intent=Intent.GUILDS)

    def _add_channel(self, guild: Guild, kind: ChannelKind, name: str, *, user_limit: int = 0, parent: Channel | None = None) -> Channel:
        parent_id = parent.id if parent else None
        channel = Channel(self._world.ids.next(), kind, name, guild.id, len(guild.channels), parent_id, user_limit=user_limit)
        guild.channels[channel.id] = channel
        self._world.channels[channel.id] = channel
        body = payloads.channel(channel, self._world)
        self._gateway.emit("CHANNEL_CREATE", body, guild_id=guild.id, intent=Intent.GUILDS)
        return channel

    def _new_role(self, guild: Guild, name: str, permissions: Permission, *, bot_id: int | None = None) -> Role:
        role = Role(self._world.ids.next(), name, permissions, len(guild.roles), bot_id)
        guild.roles[role.id] = role
        return role

    def _join(self, guild: Guild, user: User) -> Member:
        member = Member(guild.id, user, datetime.now(UTC))
        guild.members[user.id] = member
        return member
