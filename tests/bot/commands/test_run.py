"""The production process from outside: refusals, clean stops, the doctor."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.commands.check import try_token
from bot.commands.libraries import LIBRARIES, missing_libraries
from bot.commands.run import serve
from config.settings import Settings
from tests.loopback.discord import LoopbackDiscord
from tests.loopback.resolver import connector
from tests.scenario import MODEL

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]
CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def bot(*args: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m bot …` in an empty folder with an empty environment."""
    return subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-m", "bot", *args],
        cwd=folder,
        env=CLEAN | {"PYTHONPATH": str(PROJECT)} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings(folder: Path, token: str) -> Settings:
    return Settings(discord_token=SecretStr(token), earshot_data_dir=folder, vosk_model_path=str(MODEL), api_port=0)


def test_help_names_the_commands_and_imports_nothing_heavy(tmp_path: Path) -> None:
    answer = bot("--help", folder=tmp_path)
    assert answer.returncode == 0
    assert all(name in answer.stdout for name in ("run", "replay", "check", "lexicon", "deploy-model-serving"))
    code = "import sys, bot.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert not [
        name
        for name in ("discord", "vosk", "numpy", "sqlalchemy", "pydantic", "aiohttp", "rich", "prometheus_client", "mlflow")
        if f"'{name}'" in loaded
    ]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    answer = bot("run", folder=tmp_path, API_PORT="x", API_HOST="192.0.2.1", DATABRICKS_HOTS="y")
    assert answer.returncode == 78
    for name in ("DISCORD_TOKEN", "API_PORT", "API_TOKEN", "DATABRICKS_HOTS"):
        assert name in answer.stderr


def test_what_the_settings_name_is_looked_at_in_the_same_go(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[{]")
    (tmp_path / "file").write_text("")
    answer = bot(
        "run",
        folder=tmp_path,
        DISCORD_TOKEN="MTIz.abc.def",
        VOSK_MODEL_PATH="nowhere",
        FLAG_TERMS_PATH="bad.json",
        EARSHOT_DATA_DIR="file/data",
        SCORE_EVERY_SECONDS="x",
        API_HOST="203.0.113.7",
        API_TOKEN="secret-token",
    )
    assert answer.returncode == 78
    told = answer.stderr.splitlines()
    for part in ("SCORE_EVERY_SECONDS", "Speech model", "bad.json", "database", "API_HOST"):
        assert any(part in line for line in told), part
    assert "Traceback" not in answer.stderr


def test_a_misspelt_name_in_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DISCORD_TOKN=MTIz.abc.def\nSOMEBODY_ELSES=1\n")
    answer = bot("run", folder=tmp_path, DISCORD_TOKEM_OF_OTHERS="x")
    assert answer.returncode == 78
    assert "DISCORD_TOKN: there is no such setting; did you mean DISCORD_TOKEN?" in answer.stderr
    assert "SOMEBODY_ELSES" not in answer.stderr


def test_the_doctor_makes_nothing(tmp_path: Path) -> None:
    assert "is made at the first start" in bot("check", folder=tmp_path, VOSK_MODEL_PATH=str(MODEL)).stdout
    assert list(tmp_path.iterdir()) == []


def test_no_model_is_told_with_what_to_do(tmp_path: Path) -> None:
    answer = bot("run", folder=tmp_path, DISCORD_TOKEN="MTIz.abc.def", API_PORT="0")
    assert answer.returncode == 78
    assert "VOSK_MODEL_PATH" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_unknown_command_is_an_error(tmp_path: Path) -> None:
    answer = bot("dance", folder=tmp_path)
    assert answer.returncode == 2
    assert "dance" in answer.stderr


def test_check_says_what_is_missing_and_what_is_there(tmp_path: Path) -> None:
    answer = bot("check", folder=tmp_path)
    assert answer.returncode == 1
    lines = {line[2:15].strip(): line[0] for line in answer.stdout.splitlines() if line.startswith(("✓", "!", "✗"))}
    wanted = {"settings": "✓", "lexicon": "✓", "libopus": "✓", "DAVE": "✓", "database": "✓", "speech model": "✗", "Discord": "✗"}
    assert wanted.items() <= lines.items()


def test_check_looks_at_the_rest_where_settings_are_wrong(tmp_path: Path) -> None:
    answer = bot("check", folder=tmp_path, API_PORT="x", FLAG_TERMS_PATH="/nope.json", API_TOKE="y")
    assert answer.returncode == 1
    assert "✗ settings      API_PORT: 'x' is not a port number" in answer.stdout
    assert "! settings      API_TOKE: there is no such setting; did you mean API_TOKEN?" in answer.stdout
    assert "✗ lexicon       FLAG_TERMS_PATH: /nope.json: the file cannot be read: No such file or directory\n" in answer.stdout
    assert "✓ DAVE" in answer.stdout
    assert "The bot cannot run like this" in answer.stdout


def test_check_doubts_a_lexicon_that_can_flag_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("[]")
    assert "! lexicon       FLAG_TERMS_PATH: empty.json has no term" in bot("check", folder=tmp_path, FLAG_TERMS_PATH="empty.json").stdout
    assert "✓ lexicon       52 terms" in bot("check", folder=tmp_path, FLAG_TERMS_PATH="starter").stdout
    told = bot("check", folder=tmp_path).stdout
    assert "✓ lexicon       41 terms" in told
    assert "placeholders and mild insults, no threats; set FLAG_TERMS_PATH to `starter`" in told


def test_a_misspelt_name_in_the_environment_is_told_with_what_keeps_it_from_starting(tmp_path: Path) -> None:
    answer = bot("run", folder=tmp_path, DISCORD_TOKN="MTIz.abc.def", FLAG_TERMS_PATH="/nope.json")
    assert answer.returncode == 78
    assert "DISCORD_TOKN: there is no such setting; did you mean DISCORD_TOKEN?" in answer.stderr
    assert "FLAG_TERMS_PATH: /nope.json: the file" in answer.stderr
    assert "MTIz" not in answer.stderr


def bare(*args: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The same by a Python without any library, as one outside the .venv is."""
    command = [sys.executable, "-S", "-m", "bot", *args]
    return subprocess.run(command, cwd=folder, env=CLEAN | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.mark.parametrize("command", [["run"], ["api"], ["replay", "x.wav"], ["lexicon", "coverage", "x.json"]])
def test_without_the_libraries_it_says_in_a_line_what_to_do(command: list[str], tmp_path: Path) -> None:
    answer = bare(*command, folder=tmp_path)
    assert answer.returncode == 78
    (line,) = answer.stderr.splitlines()
    for part in ("Earshot cannot start: ", "discord, ", "vosk are not installed for ", ".venv/bin/python -m bot", "make doctor"):
        assert part in line


def test_the_doctor_tells_missing_libraries_too(tmp_path: Path) -> None:
    answer = bare("check", folder=tmp_path)
    assert answer.returncode == 1
    assert answer.stdout.startswith("✗ libraries     ahocorasick_rs, aiohttp, ")
    assert "Traceback" not in answer.stderr


def test_the_doctor_knows_every_library() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[^\w.-]", text)[0].lower().replace("_", "-") for text in project["dependencies"]}
    packages = metadata.packages_distributions()
    assert wanted <= {d.lower().replace("_", "-") for library in LIBRARIES for d in packages[library.split(".")[0]]}
    assert missing_libraries() == []


def test_check_says_whether_deploying_is_possible(tmp_path: Path) -> None:
    assert "deploying     DATABRICKS_MODEL_FULL_NAME is not set" in bot("check", folder=tmp_path).stdout
    there = bot("check", folder=tmp_path, DATABRICKS_MODEL_FULL_NAME="main.earshot.toxicity", DATABRICKS_HOST="https://127.0.0.1:9")
    assert "✓ deploying     the packages are there" in there.stdout


def test_check_settings_lists_them_and_hides_secrets(tmp_path: Path) -> None:
    answer = bot("check", "--settings", folder=tmp_path, DISCORD_TOKEN="MTIz.hidden.part")
    assert answer.returncode == 0
    assert "EARSHOT_EVIDENCE_SECONDS" in answer.stdout
    assert "MTIz" not in answer.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    async with LoopbackDiscord() as discord:
        discord.add_guild("Somewhere")
        serving = asyncio.create_task(serve(settings(tmp_path, discord.token), connector(discord)))
        await discord.wait_for(lambda: discord.gateway.identifies, what="the bot to log in")
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(serving, 60) == 0


async def test_a_refused_token_ends_it_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with LoopbackDiscord() as discord:
        assert await serve(settings(tmp_path, "MTIz.wrong.token"), connector(discord)) == 78
        told = capsys.readouterr().err
        assert "DISCORD_TOKEN" in told
        assert "MTIz.wrong.token" not in told


async def test_the_doctor_tries_the_token(tmp_path: Path) -> None:
    async with LoopbackDiscord() as discord:
        assert (await try_token(settings(tmp_path, discord.token), connector(discord))).ok
        assert not (await try_token(settings(tmp_path, "MTIz.wrong.token"), connector(discord))).ok


async def test_without_discord_it_keeps_trying_and_still_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with LoopbackDiscord() as discord:
        unreachable = connector(discord)
    serving = asyncio.create_task(serve(settings(tmp_path, "MTIz.any.token"), unreachable))
    await discord.wait_for(lambda: len(caplog.records) >= 2, what="two attempts")
    assert not serving.done()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(serving, 60) == 0
    assert {r.getMessage() for r in caplog.records} == {"Discord cannot be reached, trying again"}


async def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = str(server.sockets[0].getsockname()[1])
    answer = await asyncio.to_thread(
        lambda: bot("run", folder=tmp_path, DISCORD_TOKEN="MTIz.abc.def", VOSK_MODEL_PATH=str(MODEL), API_PORT=port)
    )
    server.close()
    await server.wait_closed()
    assert answer.returncode == 78
    assert f"port {port} cannot be listened on" in answer.stderr
    assert "Traceback" not in answer.stderr
