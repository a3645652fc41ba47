"""`python -m bot deploy-model-serving` as a process of its own, with the real MLflow and SDK, against a workspace on a socket."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.databricks.deploy.packing import ServedScorer
from bot.scoring.answers import read_scores
from bot.scoring.embedded import EmbeddedScorer
from config.output_specs import OutputSpec
from tests.bot.databricks.deploying import MODEL, DeployStage
from tests.loopback.databricks.tokens import PERSONAL

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]

PROJECT = Path(__file__).parents[3]


class Command:
    """Runs it in an empty folder with an empty environment, settings aside."""

    def __init__(self, stage: DeployStage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder

    async def start(self, *args: str, **env: str) -> Process:
        settings = {
            "DATABRICKS_HOST": self.stage.workspace.url,
            "DATABRICKS_TOKEN": PERSONAL,
            "DATABRICKS_SERVING_ENDPOINT_NAME": "toxicity",
            "DATABRICKS_MODEL_FULL_NAME": MODEL,
        }
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(PROJECT), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        given = {name: value for name, value in (base | settings | env).items() if value}
        command = [sys.executable, "-m", "bot", "deploy-model-serving", *args]
        return await asyncio.create_subprocess_exec(*command, cwd=self.folder, env=given, stdout=PIPE, stderr=PIPE)

    async def run(self, *args: str, **env: str) -> tuple[int | None, str, str]:
        """Exit code, output, errors."""
        process = await self.start(*args, **env)
        out, err = (stream.decode() for stream in await process.communicate())
        assert "Traceback" not in err
        assert PERSONAL not in out + err
        return process.returncode, out, err


@pytest.fixture
async def command(tmp_path: Path) -> AsyncIterator[Command]:
    stage = DeployStage(tmp_path / "storage")
    (tmp_path / "home").mkdir()
    async with stage.workspace:
        yield Command(stage, tmp_path / "home")


async def invoked(stage: DeployStage, texts: list[str]) -> Any:  # noqa: ANN401 (JSON)
    url = f"{stage.workspace.url}/serving-endpoints/toxicity/invocations"
    body, headers = {"dataframe_records": [{"text": text} for text in texts]}, {"Authorization": f"Bearer {PERSONAL}"}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        return await answer.json()


@pytest.mark.timeout(300)  # imports MLflow five times
async def test_the_first_run_makes_everything_and_the_second_nothing(command: Command) -> None:
    stage = command.stage
    stage.endpoints.looks = 1
    code, out, err = await command.run()
    assert code == 0, err
    assert stage.written == [f"model {MODEL}", "version 1", "alias champion 1", "create toxicity"]
    assert "not ready, is being changed: Creating resources" in err, "it tells how the endpoint fares"
    assert "3 of 3 changed." in out
    assert f"{MODEL} version 1 as toxicity-1, Small" in out

    texts = ["good game everyone", "you stupid idiot", "", "kill yourself you worthless clown"]
    answer = await invoked(stage, texts)
    own = await EmbeddedScorer.load().score(texts)
    for read, expected in zip(read_scores(answer, len(texts), OutputSpec(), 0.7), own, strict=True):
        assert read.score == pytest.approx(expected.score, abs=1e-6)
        assert read.label == expected.label
        assert read.categories == pytest.approx(expected.categories, abs=1e-6)
    assert [row["label"] for row in answer["predictions"]] == [score.label for score in own]

    code, out, err = await command.run()
    assert code == 0, err
    assert "Nothing to change." in out
    assert len(stage.written) == 4
    assert list(command.folder.iterdir()) == [], "it leaves no files behind"


async def test_stopping_while_it_waits_is_clean(command: Command, tmp_path: Path) -> None:
    command.stage.has(ServedScorer.load(None, "text"), tmp_path)
    command.stage.endpoints.looks = 1_000_000
    process = await command.start()
    await asyncio.wait_for(command.stage.endpoints.looked.wait(), 60)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert "run it again" in err.decode()
    assert "Traceback" not in err.decode()


async def test_a_bad_alias_is_refused_before_anything_is_registered(command: Command) -> None:
    code, _, err = await command.run("--alias", "bad alias")
    assert (code, "letters, digits, - and _" in err) == (2, True)
    assert command.stage.workspace.requests == []


async def test_a_refusal_is_a_sentence_and_exit_code_1(command: Command) -> None:
    code, out, err = await command.run(DATABRICKS_TOKEN="dapi-wrong")
    assert (code, out) == (1, "")
    assert "The credentials are refused: renew DATABRICKS_TOKEN" in err
    assert "dapi-wrong" not in err


async def test_a_missing_package_is_told_with_how_to_get_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "mlflow.py").write_text("raise ModuleNotFoundError(\"No module named 'mlflow'\", name='mlflow')")
    code, _, err = await command.run(PYTHONPATH=f"{tmp_path / 'without'}{os.pathsep}{PROJECT}")
    assert code == 78
    assert "(mlflow): pip install" in err
    assert "[deploy]" in err


async def test_missing_settings_are_told_at_once(command: Command) -> None:
    code, _, err = await command.run(DATABRICKS_HOST="", DATABRICKS_TOKEN="", DATABRICKS_MODEL_FULL_NAME="")
    assert code == 78
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_MODEL_FULL_NAME"):
        assert name in err
