"""What people do with a bot: use its commands, click its buttons, fill in its modals."""

import asyncio
from collections.abc import Mapping

from tests.loopback import payloads
from tests.loopback.interaction_data import (
    CannotInvoke,
    InvalidOption,
    OptionValue,
    Resolved,
    check_permitted,
    command_data,
    component_data,
    find_command,
    modal_data,
)
from tests.loopback.messages import Messages
from tests.loopback.permissions import Permission
from tests.loopback.replies import Interaction, Interactions, Kind, Reply, metadata
from tests.loopback.rest_commands import MESSAGE, USER
from tests.loopback.routing import Upload
from tests.loopback.sessions import Intent
from tests.loopback.state import Attachment, Channel, ChannelKind, Json, Member, Message, User, World
from tests.loopback.voice_states import Emit


class NoAnswer(Exception):
    """The bot did not answer in time ("The application did not respond")."""


class People:
    """Acts for human users. Each method returns once the person sees the result, and raises `NoAnswer` when none comes.

    `CannotInvoke` and its children are raised when Discord's own client would not let the person try.
    """

    def __init__(self, world: World, emit: Emit, interactions: Interactions, messages: Messages) -> None:
        self._world = world
        self._emit = emit
        self._interactions = interactions
        self._messages = messages

    async def slash(
        self,
        user: Member | User,
        channel: Channel,
        command: str,
        values: Mapping[str, OptionValue] | None = None,
        /,
        *,
        timeout: float = 60.0,
        **options: OptionValue,
    ) -> Reply:
        """Use a command, e.g. `slash(ada, general, "voice join", channel=lobby)`; files are `Upload` values.

        `timeout` is how long a deferred answer may take, in seconds. Options with awkward names go into `values`.
        """
        name, *path = command.split()
        registered = find_command(self._world, channel.guild_id, name)
        check_permitted(registered, self._world.permissions(user.id, channel), channel.guild_id)
        data = command_data(registered, path, {**(values or {}), **options}, self._resolved(channel))
        return await self._ask(Kind.COMMAND, user, channel, data, timeout)

    async def autocomplete(
        self, user: Member | User, channel: Channel, command: str, option: str, typed: str, /, **others: OptionValue
    ) -> list[Json]:
        """Type into an option; returns the suggested choices, each with `name` and `value`."""
        name, *path = command.split()
        registered = find_command(self._world, channel.guild_id, name)
        check_permitted(registered, self._world.permissions(user.id, channel), channel.guild_id)
        data = command_data(registered, path, {**others, option: typed}, self._resolved(channel), focused=option)
        return (await self._ask(Kind.AUTOCOMPLETE, user, channel, data, 0)).choices

    async def context_menu(
        self, user: Member, name: str, target: Member | Message, channel: Channel | None = None, *, timeout: float = 60.0
    ) -> Reply:
        """Use a command from the menu of a member or a message. Without `channel`: the message's, or the guild's first text channel."""
        if channel is None:
            channel = self._world.channel(target.channel_id) if isinstance(target, Message) else self._first_text(user.guild_id)
        kind = MESSAGE if isinstance(target, Message) else USER
        registered = find_command(self._world, channel.guild_id, name, kind)
        check_permitted(registered, self._world.permissions(user.id, channel), channel.guild_id)
        resolved = self._resolved(channel)
        if isinstance(target, Message):
            resolved.objects["messages"] = {str(target.id): payloads.message(target, self._world)}
        else:
            resolved.add(target)
        data: Json = {"id": registered["id"], "name": name, "type": kind, "target_id": str(target.id), "resolved": resolved.objects}
        if "guild_id" in registered:
            data["guild_id"] = registered["guild_id"]
        return await self._ask(Kind.COMMAND, user, channel, data, timeout)

    async def click(
        self,
        user: Member | User,
        message: Message | Reply,
        custom_id: str,
        values: list[str | Member | User | Channel] | None = None,
        *,
        timeout: float = 60.0,
    ) -> Reply:
        """Click a button, or with `values` choose in a select menu."""
        shown = message.message if isinstance(message, Reply) else message
        if shown is None or shown.deleted:
            raise CannotInvoke("there is no message to click on")
        channel = self._world.channel(shown.channel_id)
        if not shown.ephemeral and not self._world.permissions(user.id, channel) & Permission.VIEW_CHANNEL:
            raise CannotInvoke("the member does not see that channel")
        resolved = self._resolved(channel)
        chosen = [each if isinstance(each, str) else str(resolved.add(each)) for each in values] if values is not None else None
        data = component_data(shown.components, custom_id, chosen, resolved.objects)
        return await self._ask(Kind.COMPONENT, user, channel, data, timeout, source=shown)

    async def submit(self, user: Member | User, opened: Reply, values: Mapping[str, str | list[str]], *, timeout: float = 60.0) -> Reply:
        """Fill in and send the modal that a reply opened; values by `custom_id`."""
        if opened.modal is None:
            raise InvalidOption("that reply opened no modal")
        return await self._ask(Kind.MODAL, user, opened.channel, modal_data(opened.modal, values), timeout, source=opened.message)

    def say(self, user: Member | User, channel: Channel, content: str, *files: Upload) -> Message:
        """Write a message as a human."""
        author = user.user if isinstance(user, Member) else user
        return self._messages.send(channel, author, {"content": content}, dict(enumerate(files)))

    async def _ask(
        self, kind: Kind, user: Member | User, channel: Channel, data: Json, timeout: float, *, source: Message | None = None
    ) -> Reply:
        account = user.user if isinstance(user, Member) else user
        interaction_id = self._world.ids.next()
        about = metadata(interaction_id, kind, channel.guild_id, payloads.user(account))
        interaction = Interaction(interaction_id, kind, Reply(account, channel), about, source)
        self._interactions.open(interaction)
        body = self._payload(interaction, account, channel, data)
        self._emit("INTERACTION_CREATE", body, guild_id=channel.guild_id, intent=Intent.NONE)
        try:
            await asyncio.wait_for(interaction.acknowledged.wait(), self._interactions.deadline)
            if interaction.reply.deferred:
                await asyncio.wait_for(interaction.answered.wait(), timeout)
        except TimeoutError:
            stage = "deferred its answer and sent none" if interaction.reply.deferred else "did not respond"
            raise NoAnswer(f"the application {stage}") from None
        return interaction.reply

    def _payload(self, interaction: Interaction, account: User, channel: Channel, data: Json) -> Json:
        world, guild_id = self._world, channel.guild_id
        rights = world.permissions(account.id, channel)
        body: Json = {
            "id": str(interaction.id),
            "application_id": str(world.application_id),
            "type": int(interaction.kind),
            "token": interaction.token,
            "version": 1,
            "data": data,
            "channel_id": str(channel.id),
            "channel": payloads.interaction_channel(channel, world, rights),
            "app_permissions": str(int(world.permissions(world.bot.id, channel))),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": interaction.metadata["authorizing_integration_owners"],
            "context": 1 if guild_id is None else 0,
            "attachment_size_limit": 10_485_760,
        }
        if interaction.source is not None:
            body["message"] = payloads.message(interaction.source, world)
        if guild_id is None:
            return body | {"user": payloads.user(account)}
        who = payloads.member(world.member(guild_id, account.id)) | {"permissions": str(int(rights))}
        guild = {"id": str(guild_id), "locale": "en-US", "features": []}
        return body | {"guild_id": str(guild_id), "guild": guild, "guild_locale": "en-US", "member": who}

    def _resolved(self, channel: Channel) -> Resolved:
        return Resolved(self._world, channel.guild_id, self._store)

    def _store(self, upload: Upload) -> Attachment:
        return self._messages.store(upload, f"/ephemeral-attachments/{self._world.application_id}", ephemeral=True)

    def _first_text(self, guild_id: int) -> Channel:
        for channel in self._world.guild(guild_id).channels.values():
            if channel.kind is ChannelKind.TEXT:
                return channel
        raise CannotInvoke("the guild has no text channel")
