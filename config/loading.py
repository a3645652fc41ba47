"""From an environment to checked values: names, values, and a sentence for each that is wrong."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from config import reference
from config.checks import WrongValue

S = TypeVar("S", bound=BaseSettings)

OWN_PREFIXES = ("DATABRICKS_", "EARSHOT_", "VOSK_")
"""A name that begins so and is not known is reported: most likely a typing error."""

NOT_OURS = frozenset(
    f"DATABRICKS_{name}"
    for name in (
        *("ACCOUNT_ID", "AUTH_TYPE", "BUNDLE_ROOT", "CLI_PATH", "CLUSTER_ID", "CONFIG_FILE", "CONFIG_PROFILE", "DEBUG_HEADERS"),
        *("DEBUG_TRUNCATE_BYTES", "METADATA_SERVICE_URL", "PASSWORD", "RATE_LIMIT", "RUNTIME_VERSION", "SERVERLESS_COMPUTE_ID"),
        *("USERNAME", "WAREHOUSE_ID"),
    )
)
"""Names that Databricks' own tools read (databricks-sdk, `Config` attributes): others may have set them on this machine."""


class InvalidSettings(Exception):
    """Settings that cannot be used. `problems` has all of them, each `NAME: what is wrong; what to do`; secrets are never quoted.

    `usable` are those values that are right, for looking at what they name.
    """

    def __init__(self, problems: list[str], usable: Any) -> None:  # noqa: ANN401 - `Settings`, which is made of this module
        super().__init__("\n".join(problems))
        self.problems = problems
        self.usable = usable


class EnvironmentSource(EnvSettingsSource):
    """Pydantic's reading of an environment, of one that is handed in."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[str, str]) -> None:
        self._values = values
        super().__init__(settings_cls, case_sensitive=False)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._values.items()}


def present(values: Mapping[str, str]) -> dict[str, str]:
    """Without surrounding space; what is empty then counts as unset."""
    return {name.upper(): value.strip() for name, value in values.items() if value.strip()}


def unknown(given: Collection[str], in_file: Collection[str], cls: type[BaseSettings]) -> list[str]:
    """A sentence for each name that looks like ours and is not; in our file, that is any name which is nearly one of ours."""
    known = reference.known(cls)
    problems = []
    for name in sorted(given):
        if name in known or name in NOT_OURS:
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if not name.startswith(OWN_PREFIXES) and not (close and name in in_file):
            continue
        advice = f"did you mean {close[0]}?" if close else "remove it; `python -m bot check --settings` lists what there is"
        problems.append(f"{name}: there is no such setting; {advice}")
    return problems


def validate(cls: type[S], values: dict[str, Any]) -> tuple[S, set[str], list[str]]:
    """Settings without those values that are wrong, the names of these, and what is wrong with each."""
    try:
        return cls(**values), set(), []
    except ValidationError as error:
        problems: dict[str, str] = {}
        wrong: set[str] = set()
        for detail in error.errors(include_url=False, include_input=False):
            key = str(detail["loc"][0])
            wrong.add(key)
            name, field = _field(cls, key)
            problems.setdefault(name, f"{name}: {_problem(field, values.get(key), detail.get('ctx', {}).get('error'))}")
        return cls(**{k: v for k, v in values.items() if k not in wrong}), set(problems), list(problems.values())


def _field(cls: type[BaseSettings], key: str) -> tuple[str, FieldInfo]:
    """The setting that a key (a field's name, or another name of it) belongs to."""
    found = ((reference.names(*item), item[1]) for item in cls.model_fields.items())
    return next((names[0], field) for names, field in found if key.upper() in names)


def _problem(field: FieldInfo, value: object, error: object) -> str:
    if isinstance(error, WrongValue):
        return str(error)
    shown = "its value" if "SecretStr" in repr(field.annotation) else repr(str(value)[:40])
    expected = reference.note(field, "expects") or "valid"
    return f"{shown} is not {expected}; correct it, or remove it to use the default"
