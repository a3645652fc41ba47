"""`python -m bot api` from outside: what it serves without a bot, and what strangers' requests find."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from bot.commands.serving import EX_CONFIG, refuse
from bot.http_only import open_http_only
from config.settings import Settings
from tests.bot.api.test_openapi import examine
from tests.readme import README
from tests.scenario import MODEL

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Of a process's whole HTTP side, without a token."""
    settings = Settings(
        database_url=SecretStr(f"sqlite:///{tmp_path}/e.db"),
        earshot_data_dir=tmp_path,
        vosk_model_path=str(MODEL),
        api_port=0,
        api_token=SecretStr("a-token"),
        api_requests_per_minute=0,
    )
    async with open_http_only(settings) as port:
        yield f"http://127.0.0.1:{port}"


async def test_everything_of_the_contract_is_served(url: str) -> None:
    async with aiohttp.ClientSession(url, headers={"Authorization": "Bearer a-token"}) as client:
        paths = (await (await client.get("/api/openapi.json")).json())["paths"]
        ready = await client.get("/ready")
        assert (ready.status, (await ready.json())["discord"]["status"]) == (200, "off")
        assert (await (await client.get("/api/voicechat/health/")).json())["vosk_model_loaded"]
        predicted = await (await client.post("/api/ml/predict", json={"text": "you absolute idiot"})).json()
        assert {"score", "label", "flagged", "provider", "predictions"} <= predicted.keys()
        created = await client.post("/databricks/products/", json={"product_name": "Widget", "price": 100})
        assert created.status == 201
        assert "earshot_http_streams" in await (await client.get("/metrics")).text()
        async with client.ws_connect("/ws/events/") as socket:
            assert (await socket.receive_json())["type"] == "status"
    assert paths.keys() >= {
        *("/", "/voicechat/", "/demo/live-audio", "/health", "/ready", "/metrics", "/api/docs", "/api/openapi.json"),
        *("/api/voicechat/health/", "/api/ml/predict", "/api/voicechat/transcribe/", "/api/voicechat/finalize/"),
        *("/databricks/products/", "/databricks/products/{product_name}/", "/ws/voicechat/stream/", "/ws/flag-audio/"),
    }
    readme = README.read_text(encoding="utf-8")
    assert {path for path in paths if f"{path}`" not in readme} <= {"/sign-in", "/sign-out", "/static/{name}", "/databricks/products-form"}


async def test_strangers_requests_find_nothing(url: str, tmp_path: Path) -> None:
    """Apart from rules that a schema cannot say (a price of more than two decimals), which are refused with 400."""
    rules = ("--exclude-path", "/api/events", "--exclude-checks", "positive_data_acceptance")
    code, told = await examine(url, tmp_path, "-H", "Authorization: Bearer a-token", *rules)
    assert code == 0, told


async def test_what_is_likely_not_meant_is_in_the_log_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("[]")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "VOSK_MODEL_PATH": str(MODEL), "API_PORT": "0", "LOG_FORMAT": "json"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "api"),
        cwd=tmp_path,
        env=env | {"API_TOKE": "secret", "FLAG_TERMS_PATH": "empty.json"},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    lines = [json.loads(await asyncio.wait_for(process.stderr.readline(), 60)) for _ in range(3)]
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert [line["level"] for line in lines] == ["WARNING", "WARNING", "INFO"]
    assert lines[0]["advice"].startswith("API_TOKE: there is no such setting; did you mean API_TOKEN?")
    assert lines[1]["advice"].startswith("FLAG_TERMS_PATH: empty.json has no term that flags")


async def test_the_command_serves_and_stops_cleanly(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "VOSK_MODEL_PATH": str(MODEL), "API_PORT": "0", "LOG_FORMAT": "json"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "api", cwd=tmp_path, env=env, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stderr.readline(), 60)
    assert b"ready" in line
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 60) == 0


def test_what_both_the_settings_and_the_port_find_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(["API_TOKEN: it is not set", "API_PORT: 1", "API_TOKEN: it is not set"]) == EX_CONFIG
    assert capsys.readouterr().err.count("API_TOKEN: it is not set") == 1


def test_a_start_loads_no_libraries_of_databricks_or_of_training(tmp_path: Path) -> None:
    """Neither the bot's code nor the HTTP side, also with a serving endpoint set up: they cost memory and seconds of a start."""
    code = """
import asyncio, sys, bot.app
from bot.http_only import open_http_only
from config.settings import Settings

HEAVY = {"databricks", "thrift", "pandas", "pyarrow", "mlflow", "sklearn", "scipy"}

async def main():
    async with open_http_only(Settings.load(None)):
        print(*{m.partition(".")[0] for m in sys.modules} & HEAVY)

asyncio.run(main())
"""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "VOSK_MODEL_PATH": str(MODEL), "API_PORT": "0"}
    endpoint = {"DATABRICKS_HOST": "https://workspace.invalid", "DATABRICKS_TOKEN": "a-token", "DATABRICKS_ENDPOINT": "toxicity"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=tmp_path, env=env | endpoint, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
