"""Registration of application commands (https://discord.com/developers/docs/interactions/application-commands)."""

import re
from typing import Any

from tests.loopback.errors import FormErrors, missing_access, unknown
from tests.loopback.routing import Call, Router
from tests.loopback.state import Json, World

CHAT_INPUT, USER, MESSAGE = 1, 2, 3
SUB_COMMAND, SUB_GROUP = 1, 2
MAX_COMMANDS = {CHAT_INPUT: 100, USER: 15, MESSAGE: 15}
MAX_TEXT = 8000  # characters of one command's names, descriptions and values together
NAME = re.compile(r"[-_'\w]{1,32}")


class CommandRoutes:
    """`/applications/{application_id}/[guilds/{guild_id}/]commands`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, router: Router) -> None:
        """Add the routes."""
        for base in ("/applications/{application_id}/commands", "/applications/{application_id}/guilds/{guild_id}/commands"):
            router.add("GET", base, self._list)
            router.add("PUT", base, self._replace)
            router.add("POST", base, self._upsert)
            router.add("GET", f"{base}/{{command_id}}", self._get)
            router.add("DELETE", f"{base}/{{command_id}}", self._delete)

    def _scope(self, call: Call) -> int | None:
        if call.id("application_id") != self._world.application_id:
            raise missing_access()
        if "guild_id" not in call.params:
            return None
        if call.id("guild_id") not in self._world.guilds:
            raise missing_access()
        return call.id("guild_id")

    async def _list(self, call: Call) -> list[Json]:
        return self._world.commands.get(self._scope(call), [])

    async def _replace(self, call: Call) -> list[Json]:
        scope = self._scope(call)
        check_commands(call.body)
        before = {(each["type"], each["name"]): each for each in self._world.commands.get(scope, [])}
        self._world.commands[scope] = [self._stored(each, scope, before) for each in call.body]
        return self._world.commands[scope]

    async def _upsert(self, call: Call) -> Json:
        scope = self._scope(call)
        errors = FormErrors()
        _check_command(errors, "command", call.json)
        errors.check()
        kept = {(each["type"], each["name"]): each for each in self._world.commands.get(scope, [])}
        stored = self._stored(call.json, scope, kept)
        kept[stored["type"], stored["name"]] = stored
        self._world.commands[scope] = list(kept.values())
        return stored

    async def _get(self, call: Call) -> Json:
        for command in self._world.commands.get(self._scope(call), []):
            if command["id"] == call.params["command_id"]:
                return command
        raise unknown("command")

    async def _delete(self, call: Call) -> None:
        await self._get(call)
        commands = self._world.commands[self._scope(call)]
        commands[:] = [each for each in commands if each["id"] != call.params["command_id"]]

    def _stored(self, asked: Json, scope: int | None, before: dict[tuple[int, str], Json]) -> Json:
        kind = asked.get("type", CHAT_INPUT)
        old = before.get((kind, asked["name"]))
        return {
            "id": old["id"] if old else str(self._world.ids.next()),
            "application_id": str(self._world.application_id),
            "version": str(self._world.ids.next()),
            "default_member_permissions": asked.get("default_member_permissions"),
            "type": kind,
            "name": asked["name"],
            "name_localizations": asked.get("name_localizations"),
            "description": asked.get("description", ""),
            "description_localizations": asked.get("description_localizations"),
            "dm_permission": asked.get("dm_permission", True),
            "contexts": asked.get("contexts"),
            "integration_types": asked.get("integration_types") or [0],
            "options": asked.get("options") or [],
            "nsfw": asked.get("nsfw", False),
            **({"guild_id": str(scope)} if scope is not None else {}),
        }


def check_commands(commands: list[Json]) -> None:
    """Raise `ApiError` 50035 when Discord would refuse to register these."""
    errors = FormErrors()
    seen: dict[int, set[str]] = {}
    for index, command in enumerate(commands):
        _check_command(errors, str(index), command)
        names = seen.setdefault(command.get("type", CHAT_INPUT), set())
        if command.get("name") in names:
            errors.add(f"{index}.name", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
        names.add(str(command.get("name")))
    for kind, names in seen.items():
        if len(names) > MAX_COMMANDS[kind]:
            errors.add("commands", "APPLICATION_COMMAND_TOO_MANY", f"Must be {MAX_COMMANDS[kind]} or fewer in length.")
    errors.check()


def _check_command(errors: FormErrors, path: str, command: Json) -> None:
    if command.get("type", CHAT_INPUT) != CHAT_INPUT:
        errors.length(f"{path}.name", command.get("name"), 1, 32)
        return
    _check_name(errors, path, command)
    _check_options(errors, path, command.get("options") or [], depth=0)
    if _text(command) > MAX_TEXT:
        errors.add(path, "APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({MAX_TEXT})")


def _check_name(errors: FormErrors, path: str, item: Json) -> None:
    name = str(item.get("name") or "")
    if not NAME.fullmatch(name) or name != name.lower():
        errors.add(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    errors.required(f"{path}.description", item.get("description"))
    errors.max_length(f"{path}.description", item.get("description"), 100)


def _check_options(errors: FormErrors, path: str, options: list[Json], *, depth: int) -> None:
    errors.length(f"{path}.options", options, 0, 25)
    optional_seen = False
    for index, option in enumerate(options):
        here = f"{path}.options.{index}"
        _check_name(errors, here, option)
        if option["type"] in (SUB_COMMAND, SUB_GROUP):
            if depth == 2 or (depth == 1 and option["type"] == SUB_GROUP):
                errors.add(f"{here}.type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-command option types can not be nested here")
            _check_options(errors, here, option.get("options") or [], depth=depth + 1 if option["type"] == SUB_GROUP else 2)
            continue
        if option.get("required") and optional_seen:
            code = "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID"
            errors.add(here, code, "Required options must be placed before non-required options")
        optional_seen = optional_seen or not option.get("required")
        _check_choices(errors, here, option)


def _check_choices(errors: FormErrors, path: str, option: Json) -> None:
    choices = option.get("choices") or []
    errors.length(f"{path}.choices", choices, 0, 25)
    if choices and option.get("autocomplete"):
        errors.add(path, "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_CHOICES", "Autocomplete options cannot have choices")
    for index, choice in enumerate(choices):
        errors.length(f"{path}.choices.{index}.name", choice.get("name"), 1, 100)
        errors.max_length(f"{path}.choices.{index}.value", choice.get("value"), 100)


def _text(item: Json) -> int:
    values: list[Any] = [item.get("name"), item.get("description"), item.get("value")]
    own = sum(len(value) for value in values if isinstance(value, str))
    return own + sum(_text(child) for key in ("options", "choices") for child in item.get(key) or [])
