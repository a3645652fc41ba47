"""Log lines: fields come through, speech and object contents do not."""

import json
import logging
from collections.abc import Iterator
from enum import StrEnum

import pytest

from config import logs

pytestmark = pytest.mark.unit


class Kind(StrEnum):
    ONE = "one"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = [(name, logging.getLogger(name).level) for name in (None, *logs.OWN, *logs.QUIET, *logs.SILENT)]
    handlers = list(root.handlers)
    yield
    root.handlers[:] = handlers
    for name, level in before:
        logging.getLogger(name).setLevel(level)


def test_json_has_message_and_fields_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    extra = {"session_id": "s", "guild_id": 7, "state": Kind.ONE, "parts": (1, 2), "time": "other", "ratio": float("nan")}
    logging.getLogger("bot.alerts").warning("alert\nnot delivered", extra=extra)
    (line,) = capsys.readouterr().err.splitlines()
    got = json.loads(line, parse_constant=pytest.fail)
    assert got.pop("time").endswith("+00:00")
    assert got == {
        "level": "WARNING",
        "logger": "bot.alerts",
        "message": "alert\nnot delivered",
        "session_id": "s",
        "guild_id": 7,
        "state": "one",
        "parts": [1, 2],
        "extra.time": "other",
        "ratio": "nan",
    }


def test_console_lines_start_with_the_session_and_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "console")
    logging.getLogger("cogs.voice").info("left", extra={"guild_id": 7, "session_id": "s\n00:00:00 ERROR forged\x1b[2J"})
    (line,) = capsys.readouterr().err.splitlines()
    assert line[9:] == "INFO    cogs.voice: left  session_id=s\\x0a00:00:00 ERROR forged\\x1b[2J guild_id=7"


@pytest.mark.parametrize("format_", ["console", "json"])
def test_speech_and_contents_of_objects_stay_out(capsys: pytest.CaptureFixture[str], format_: str) -> None:
    logs.configure("DEBUG", format_)

    class Heard:
        def __repr__(self) -> str:
            return "spoken words"

    def fail(words: str) -> None:
        raise RuntimeError(words)

    extra = {"pii.text": "spoken words", "heard": Heard(), "deep": {"pii.name": "spoken words", "n": 1}}
    logging.getLogger("bot").debug("heard", extra=extra)
    try:
        fail("spoken " + "words")
    except RuntimeError:
        logging.getLogger("bot").exception("failed", extra=extra)
    text = capsys.readouterr().err
    assert "spoken words" not in text
    assert "<Heard>" in text
    assert "builtins.RuntimeError" in text
    assert "in fail" in text


def test_debugging_output_is_ours_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "console")
    for name in ("moderation.track", "discord.gateway", "aiosqlite", "other"):
        logging.getLogger(name).debug("details")
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == ["moderation.track:"]


def test_configuring_again_replaces_and_leaves_others_handlers(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    others = [h for h in logging.getLogger().handlers if "config.logs" not in type(h).__module__]
    logs.configure("ERROR", "console")
    logging.getLogger("bot").warning("quiet")
    logging.getLogger("bot").error("once")
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [h for h in logging.getLogger().handlers if h in others] == others


def test_the_warehouse_client_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG", "json")
    logging.getLogger("databricks.sql.backend.thrift_backend").error("ThriftBackend.attempt_request: no row for Ben")
    assert capsys.readouterr().err == ""
