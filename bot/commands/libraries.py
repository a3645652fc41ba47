"""Whether the Python that runs has what Earshot is made of. Imports nothing that may be missing."""

import sys
from importlib.util import find_spec

LIBRARIES = (
    *("ahocorasick_rs", "aiohttp", "aiosqlite", "alembic", "av", "cryptography", "databricks.sql", "davey", "discord", "nacl", "numpy"),
    *("prometheus_client", "pydantic", "pydantic_settings", "rich", "sqlalchemy", "vosk"),
)
"""Modules of the dependencies in `pyproject.toml`."""
OWN = ("bot", "cogs", "config", "moderation")


def missing_libraries() -> list[str]:
    """Those of `LIBRARIES` that this Python does not find."""
    return [name for name in LIBRARIES if not _found(name)]


def advice(missing: list[str]) -> str:
    """What is missing, for whom, and what to do."""
    what = f"{', '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed for {sys.executable}"
    return f"{what}; use `.venv/bin/python -m bot` in Earshot's folder (`make doctor` makes the .venv there)"


def foreign(error: ModuleNotFoundError) -> str:
    """The missing module that an error names; empty where it is one of ours, which no installing helps."""
    name = error.name or ""
    return "" if name.partition(".")[0] in OWN else name


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False
