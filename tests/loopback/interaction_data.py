"""What a Discord client puts into an interaction: option values checked against the registered command, and the resolved objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from tests.loopback import payloads
from tests.loopback.message_rules import walk
from tests.loopback.permissions import Permission
from tests.loopback.rest_commands import CHAT_INPUT, SUB_COMMAND, SUB_GROUP
from tests.loopback.routing import Upload
from tests.loopback.state import Attachment, Channel, Json, Member, Role, User, World

OptionValue = str | int | float | bool | Member | User | Channel | Role | Upload


class CannotInvoke(Exception):
    """Discord's own client would not let that person do that; the bot is never asked."""


class UnknownCommand(CannotInvoke):
    """No such command is registered where it was used."""


class NotPermitted(CannotInvoke):
    """The command is hidden from this member."""


class InvalidOption(CannotInvoke):
    """A value the registered option does not take, or a required one is missing."""


class Option(IntEnum):
    """Option types."""

    STRING = 3
    INTEGER = 4
    BOOLEAN = 5
    USER = 6
    CHANNEL = 7
    ROLE = 8
    MENTIONABLE = 9
    NUMBER = 10
    ATTACHMENT = 11


PLAIN: dict[int, tuple[type, ...]] = {
    Option.STRING: (str,),
    Option.INTEGER: (int,),
    Option.BOOLEAN: (bool,),
    Option.NUMBER: (int, float),
}


@dataclass(slots=True)
class Resolved:
    """Collects the objects that options and targets refer to by id."""

    world: World
    guild_id: int | None
    store: Callable[[Upload], Attachment]
    objects: dict[str, Json] = field(default_factory=dict)

    def add(self, value: OptionValue | None) -> str | None:
        """Remember an object and return its id; None for plain values."""
        if isinstance(value, Upload):
            value_stored = self.store(value)
            return self._put("attachments", value_stored.id, payloads.attachment(value_stored))
        if isinstance(value, Member | User):
            user = value.user if isinstance(value, Member) else value
            if self.guild_id is not None and (member := self.world.guild(self.guild_id).members.get(user.id)) is not None:
                rights = {"permissions": str(int(self.world.permissions(user.id, guild_id=self.guild_id)))}
                self._put("members", user.id, payloads.member_without_user(member) | rights)
            return self._put("users", user.id, payloads.user(user))
        if isinstance(value, Role):
            return self._put("roles", value.id, payloads.role(value))
        if isinstance(value, Channel):
            rights_here = self.world.permissions(self.world.bot.id, value)
            return self._put("channels", value.id, payloads.interaction_channel(value, self.world, rights_here))
        return None

    def _put(self, kind: str, object_id: int, payload: Json) -> str:
        self.objects.setdefault(kind, {})[str(object_id)] = payload
        return str(object_id)


def find_command(world: World, guild_id: int | None, name: str, kind: int = CHAT_INPUT) -> Json:
    """The registered command of that name: the guild's own before the global one. Raises `UnknownCommand`."""
    for scope in (guild_id, None) if guild_id is not None else (None,):
        for command in world.commands.get(scope, []):
            if command["type"] == kind and command["name"] == name:
                return command
    raise UnknownCommand(f"no command {name!r} of type {kind} is registered here")


def check_permitted(command: Json, held: Permission, guild_id: int | None) -> None:
    """Raise `NotPermitted` when Discord would not show the command to someone with these permissions here."""
    contexts = command["contexts"]
    if contexts is not None and (0 if guild_id is not None else 1) not in contexts:
        raise NotPermitted("the command is not available in this kind of channel")
    if guild_id is None or held & Permission.ADMINISTRATOR:
        return
    if not held & Permission.USE_APPLICATION_COMMANDS:
        raise NotPermitted("the member may not use application commands in this channel")
    needed = command["default_member_permissions"]
    if needed is None:
        return
    if int(needed) == 0 or Permission(int(needed)) & ~held:
        raise NotPermitted(f"the command needs permissions {needed}, the member lacks some")


def command_data(command: Json, path: list[str], values: Mapping[str, OptionValue], resolved: Resolved, focused: str | None = None) -> Json:
    """The `data` of a chat input command (or, with `focused`, of an autocomplete request for that option)."""
    nested: list[Json] = []
    level, current = nested, command
    for name in path:
        current = _child(current, name)
        item: Json = {"type": current["type"], "name": name, "options": []}
        level.append(item)
        level = item["options"]
    options = current.get("options") or []
    if any(option["type"] in (SUB_COMMAND, SUB_GROUP) for option in options):
        raise UnknownCommand(f"{command['name']} {' '.join(path)} needs a sub-command")
    if stray := set(values) - {option["name"] for option in options}:
        raise InvalidOption(f"no such option: {', '.join(sorted(stray))}")
    for option in options:
        if option["name"] in values:
            level.append(_filled(option, values[option["name"]], resolved, focused == option["name"]))
        elif option.get("required") and focused is None:
            raise InvalidOption(f"option {option['name']!r} is required")
    data: Json = {"id": command["id"], "name": command["name"], "type": CHAT_INPUT, "options": nested, "resolved": resolved.objects}
    return data | ({"guild_id": command["guild_id"]} if "guild_id" in command else {})


def _child(command: Json, name: str) -> Json:
    for option in command.get("options") or []:
        if option["name"] == name and option["type"] in (SUB_COMMAND, SUB_GROUP):
            return dict(option)
    raise UnknownCommand(f"{command['name']} has no sub-command {name!r}")


def _filled(option: Json, value: OptionValue, resolved: Resolved, focused: bool) -> Json:
    if focused:
        if not option.get("autocomplete"):
            raise InvalidOption(f"option {option['name']!r} has no autocomplete")
        return {"type": option["type"], "name": option["name"], "value": value, "focused": True}
    kind = option["type"]
    if kind in PLAIN:
        _check_plain(option, value)
        return {"type": kind, "name": option["name"], "value": value}
    _check_object(option, value)
    return {"type": kind, "name": option["name"], "value": resolved.add(value)}


def _check_plain(option: Json, value: object) -> None:
    kind, name = option["type"], option["name"]
    if (
        not isinstance(value, str | int | float)
        or not isinstance(value, PLAIN[kind])
        or (isinstance(value, bool) and kind != Option.BOOLEAN)
    ):
        raise InvalidOption(f"option {name!r} takes {PLAIN[kind][0].__name__}, not {type(value).__name__}")
    if (choices := option.get("choices")) and value not in [choice["value"] for choice in choices]:
        raise InvalidOption(f"{value!r} is not a choice of option {name!r}")
    size = len(value) if isinstance(value, str) else value
    low, high = ("min_length", "max_length") if isinstance(value, str) else ("min_value", "max_value")
    if size < option.get(low, size) or size > option.get(high, size) or (isinstance(value, str) and size > 6000):
        raise InvalidOption(f"option {name!r} is out of its bounds")


def _check_object(option: Json, value: OptionValue) -> None:
    takes: dict[int, tuple[type, ...]] = {
        Option.USER: (Member, User),
        Option.CHANNEL: (Channel,),
        Option.ROLE: (Role,),
        Option.MENTIONABLE: (Member, User, Role),
        Option.ATTACHMENT: (Upload,),
    }
    if not isinstance(value, takes[option["type"]]):
        raise InvalidOption(f"option {option['name']!r} does not take {type(value).__name__}")
    if isinstance(value, Channel) and (kinds := option.get("channel_types")) and int(value.kind) not in kinds:
        raise InvalidOption(f"option {option['name']!r} does not take channels of type {int(value.kind)}")


def component_data(components: list[Json], custom_id: str, values: list[str] | None, resolved: Json) -> Json:
    """The `data` of a click on a button or a choice in a select menu. Raises `InvalidOption`."""
    for item in walk(components):
        if item.get("custom_id") == custom_id:
            if item.get("disabled"):
                raise InvalidOption(f"component {custom_id!r} is disabled")
            data: Json = {"custom_id": custom_id, "component_type": item["type"], "id": item.get("id", 1)}
            data |= {"values": values} if values is not None else {}
            return data | ({"resolved": resolved} if resolved else {})  # menus of texts have none
    raise InvalidOption(f"the message has no component {custom_id!r}")


def modal_data(modal: Json, values: Mapping[str, str | list[str]]) -> Json:
    """The `data` of a submitted modal: every input with its value, in the nesting it was shown. Raises `InvalidOption`."""
    known = {item["custom_id"] for item in walk(modal["components"]) if "custom_id" in item}
    if stray := set(values) - known:
        raise InvalidOption(f"the modal has no input {', '.join(sorted(stray))}")
    return {"custom_id": modal["custom_id"], "components": [_submitted(item, values) for item in modal["components"]], "resolved": {}}


def _submitted(item: Json, values: Mapping[str, str | list[str]]) -> Json:
    result: Json = {"type": item["type"], "id": item.get("id", 1)}
    if "custom_id" in item:
        value = values.get(item["custom_id"], item.get("value", ""))
        if item.get("required", True) and not value:
            raise InvalidOption(f"input {item['custom_id']!r} is required")
        return result | {"custom_id": item["custom_id"], ("values" if isinstance(value, list) else "value"): value}
    if "components" in item:
        result["components"] = [_submitted(child, values) for child in item["components"]]
    if "component" in item:
        result["component"] = _submitted(item["component"], values)
    return result
