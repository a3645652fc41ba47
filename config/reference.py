"""What the settings are, as rows, as a Markdown table and as `.env.example`: one source for the doctor, the README and the example."""

import json
import textwrap
from itertools import groupby
from typing import NamedTuple

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

HIDDEN = "********"
"""Stands for a secret that is set."""
COMMENT_WIDTH = 110


class SettingRow(NamedTuple):
    """One setting, for people."""

    name: str
    """As in the environment."""
    value: str
    """The value in force; secrets as `********`, nothing set as an empty string."""
    default: str
    description: str


def names(field_name: str, field: FieldInfo) -> list[str]:
    """The names a setting has in the environment; the first is the one to use."""
    alias = field.validation_alias
    found = [str(c) for c in alias.choices] if isinstance(alias, AliasChoices) else [field_name]
    return [name.upper() for name in found]


def known(model: type[BaseModel]) -> list[str]:
    """All names that settings have in the environment."""
    return [name for item in model.model_fields.items() for name in names(*item)]


def note(field: FieldInfo, key: str) -> str:
    """A text that stands with the field: `group`, `expects` or `default`."""
    given = field.json_schema_extra
    return str(given.get(key, "")) if isinstance(given, dict) else ""


def describe(settings: BaseModel) -> list[SettingRow]:
    """Every setting with its value in force."""
    fields = type(settings).model_fields.items()
    return [SettingRow(names(n, f)[0], _shown(getattr(settings, n)) or _unset(f), _default(f), _description(n, f)) for n, f in fields]


def settings_table(model: type[BaseModel]) -> str:
    """A Markdown table of all settings: name, default, what it is."""
    lines = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        default = _default(field)
        cells = [f"`{names(name, field)[0]}`", f"`{default}`" if default and " " not in default else default, _description(name, field)]
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def env_example(model: type[BaseModel]) -> str:
    """A `.env` file with every setting commented out or empty."""
    lines = ["# Settings of Earshot. Copy this file to .env and change what you need: what is empty or commented out has its default.", ""]
    for group, fields in groupby(model.model_fields.items(), key=lambda item: note(item[1], "group")):
        lines += [f"# ---- {group}", ""]
        for name, field in fields:
            lines += [f"# {line}" for line in textwrap.wrap(_description(name, field), COMMENT_WIDTH)]
            default = _default(field)
            literal = default if default and " " not in default else ""
            lines += [*([f"# Default: {default}"] if default and not literal else []), f"# {names(name, field)[0]}={literal}", ""]
    return "\n".join(lines[:-1]) + "\n"


def _description(name: str, field: FieldInfo) -> str:
    _, *others = names(name, field)
    also = f" Also read as {', '.join(others)}." if others else ""
    return f"{field.description}{also}"


def _as_given(value: object) -> object:
    """What was set of a model, for JSON."""
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else str(value)


def _default(field: FieldInfo) -> str:
    return note(field, "default") or _shown(field.default)


def _unset(field: FieldInfo) -> str:
    """What stands for no value: `all` shards is a word that can be set, "as many as needed" is not."""
    default = note(field, "default")
    return default if field.default == () else ""


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case SecretStr():
            secret = value.get_secret_value()
            return secret if secret.startswith("sqlite") else HIDDEN if secret else ""
        case tuple():
            return ",".join(map(str, value))
        case dict():
            return json.dumps(value, default=_as_given) if value else ""
        case _:
            return str(value)
