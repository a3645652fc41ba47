"""Reading a `.env` file: NAME=value lines, quotes and comments as python-dotenv understands them, without `${…}` expansion."""

import io
import re
from pathlib import Path

from dotenv.parser import parse_stream

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

MAX_BYTES = 1_000_000
"""A `.env` file larger than this is something else."""


def read_env_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """The values of a file and what is wrong with it; nothing of both when there is no such file.

    Values are taken literally, because tokens may hold `$`. Problems name the line and never quote it: it may hold a secret.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"{path}: it cannot be read ({error.strerror}); make it a file that this user may read, or remove it"]
    if len(data) > MAX_BYTES:
        return {}, [f"{path}: it has {len(data)} bytes, so it is no settings file; point to the right one, or remove it"]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return {}, [f"{path}: line {line} is not UTF-8; save the file as UTF-8"]
    return _parse(path, text)


def _parse(path: Path, text: str) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    problems: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error or (binding.key is not None and (binding.value is None or not _NAME.fullmatch(binding.key))):
            problems.append(f"{path}: line {line} is not NAME=value; correct it, or put a # in front")
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values, problems


def _blank_lines(statement: str) -> int:
    """Blank lines belong to the statement after them."""
    return statement[: len(statement) - len(statement.lstrip())].count("\n")
