"""Deploying through the real MLflow and SDK to a workspace on a socket that runs what is uploaded."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from bot.databricks.deploy.clients import missing_extra, open_workspace
from bot.databricks.deploy.deployment import Change
from bot.databricks.deploy.packing import SAMPLES, ServedScorer, compare, pack
from bot.databricks.deploy.refusals import DeploymentFailed, is_missing
from bot.databricks.deploy.registry import Registry
from bot.scoring.network import MODEL_FILE
from tests.bot.databricks.deploying import MODEL, DeployStage, own_environment
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.tokens import PERSONAL

pytestmark = [
    pytest.mark.integration,
    # MLflow is imported once
    pytest.mark.filterwarnings("default"),  # MLflow's and the SDK's own
]


@pytest.fixture(scope="module")
def scorer() -> ServedScorer:
    return ServedScorer.load(None, "text")


@pytest.fixture(scope="module")
def packed(scorer: ServedScorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "model"
    with own_environment():
        pack(scorer, folder)
    return folder


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[DeployStage]:
    stage = DeployStage(tmp_path / "storage")
    async with stage.workspace:
        yield stage


@pytest.fixture
def there(stage: DeployStage, scorer: ServedScorer, packed: Path) -> DeployStage:
    """With the model registered, and no endpoint."""
    stage.has(scorer, packed)
    return stage


def other(path: Path) -> ServedScorer:
    """A model that scores otherwise."""
    with np.load(MODEL_FILE) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["calibration"] = arrays["calibration"] * np.float32(0.5)
    np.savez(path, **arrays)
    return ServedScorer.load(path, "text")


def test_the_pack_holds_what_scores_and_nothing_else(packed: Path) -> None:
    files = {str(p.relative_to(packed)) for p in packed.rglob("*") if p.is_file()}
    assert {"MLmodel", "served_model.py", "code/network.py", "code/features.py", "artifacts/toxicity.npz", "requirements.txt"} <= files
    assert not [f for f in files if f.endswith((".pyc", ".pkl"))]
    pins = (packed / "requirements.txt").read_text(encoding="utf-8").split()
    assert [pin.partition("==")[0] for pin in pins] == ["mlflow", "numpy", "pandas"]


def test_the_digest_tells_other_models_columns_and_files_apart(scorer: ServedScorer, tmp_path: Path) -> None:
    digests = {scorer.digest, ServedScorer.load(None, "comment").digest, other(tmp_path / "other.npz").digest}
    assert len(digests) == 3
    assert ServedScorer.load(MODEL_FILE, "text").digest == scorer.digest


async def test_a_plan_writes_nothing(stage: DeployStage, scorer: ServedScorer) -> None:
    plan = await stage.deploy(scorer, plan=True)
    assert plan == [
        Change(f"model {MODEL}", "none", "a new version"),
        Change("alias champion", "none", "a new version"),
        Change("endpoint toxicity", "none", f"{MODEL} a new version, Small"),
    ]
    assert stage.written == []
    assert {method for method, _ in stage.workspace.requests} == {"GET", "HEAD"}


async def test_a_changed_model_is_a_new_version_and_the_endpoint_follows(there: DeployStage, scorer: ServedScorer, tmp_path: Path) -> None:
    await there.deploy(scorer)
    changed = await there.deploy(other(tmp_path / "other.npz"), databricks_scale_to_zero=True)
    assert there.written == ["version 2", "alias champion 2", "create toxicity", "update toxicity"]
    assert [c.after for c in changed] == ["version 2", "version 2", f"{MODEL} version 2 as toxicity-2, Small, scales to zero"]
    await there.deploy(scorer)
    assert there.written[3:] == ["create toxicity", "update toxicity", "update toxicity"], "version 1 is there still"
    assert there.registry.models[MODEL].aliases == {"champion": 1}


async def test_a_version_that_is_set_is_served_and_none_registered(there: DeployStage, tmp_path: Path) -> None:
    changed = await there.deploy(other(tmp_path / "other.npz"), databricks_model_version=1, databricks_served_entity_name="mine")
    assert there.written == ["create toxicity"]
    assert changed[-1].after == f"{MODEL} version 1 as mine, Small"


async def test_a_service_principal_deploys(there: DeployStage, scorer: ServedScorer) -> None:
    secret = SecretStr("loopback-secret")
    await there.deploy(scorer, databricks_token=None, databricks_client_id="loopback-client", databricks_client_secret=secret)
    assert there.written == ["create toxicity"]


async def test_an_upload_that_broke_off_is_not_taken_for_the_model(stage: DeployStage, packed: Path) -> None:
    stage.workspace.faults.append(Fault("/loopback-storage", method="PUT", status=403))  # MLflow asks for another URL
    refused = b'{"error_code": "PERMISSION_DENIED", "message": "no"}'
    stage.workspace.faults.append(Fault("/model-versions/finalize", status=403, answer=refused))
    settings = stage.settings()
    told, found = [], []

    def work() -> None:
        with own_environment():
            assert missing_extra() is None
            open_workspace(settings, retry_seconds=1)
            registry = Registry(MODEL, "champion")
            for _ in range(2):
                try:
                    registry.register(packed, "digest")
                except DeploymentFailed as error:
                    told.append(str(error))
                found.append(registry.look("digest", None).version)

    await asyncio.to_thread(work)
    assert [v.status for v in stage.registry.models[MODEL].versions.values()] == ["PENDING_REGISTRATION", "READY"]
    assert found == [None, 2]
    assert len(told) == 1
    assert f"Registering {MODEL} failed." in told[0]
    assert "CREATE MODEL" in told[0]


def test_other_scores_than_the_scorers_are_refused(scorer: ServedScorer) -> None:
    own = [{"score": score} for score in scorer.scores(SAMPLES)]
    compare("The endpoint", own, scorer)
    for wrong in (own[:1], [{"score": 0.5}, {"score": 0.5}], [{"label": "ok"}, {"label": "flag"}]):
        with pytest.raises(DeploymentFailed, match="scores otherwise"):
            compare("The endpoint", wrong, scorer)


async def test_a_change_under_way_to_what_is_wanted_is_waited_for(there: DeployStage, scorer: ServedScorer) -> None:
    there.endpoints.looks = 1_000_000
    first = asyncio.create_task(there.deploy(scorer, seconds=2.0))
    await there.endpoints.looked.wait()
    with pytest.raises(DeploymentFailed, match="--timeout"):
        await first
    there.endpoints.endpoints["toxicity"].looks = 0
    await there.deploy(scorer)
    assert there.written == ["create toxicity"]


async def test_a_failed_build_says_why_and_the_next_run_tries_again(there: DeployStage, scorer: ServedScorer) -> None:
    there.endpoints.build_failure = "Could not find a version that satisfies the requirement numpy"
    with pytest.raises(DeploymentFailed, match="Could not find a version") as caught:
        await there.deploy(scorer)
    assert "build" in str(caught.value)
    there.endpoints.build_failure = ""
    await there.deploy(scorer)
    assert there.written == ["create toxicity", "update toxicity"]


async def test_another_models_endpoint_is_left_alone_unless_told(there: DeployStage, scorer: ServedScorer) -> None:
    await there.deploy(scorer)
    there.endpoints.endpoints["toxicity"].serves[0]["entity_name"] = "main.shop.fraud"
    with pytest.raises(DeploymentFailed, match=r"main\.shop\.fraud.*--replace"):
        await there.deploy(scorer)
    assert there.written == ["create toxicity"]
    await there.deploy(scorer, replace=True)
    assert there.written[1:] == ["update toxicity"]


async def test_somebody_elses_change_is_not_disturbed(there: DeployStage, scorer: ServedScorer) -> None:
    there.endpoints.looks = 1_000_000
    with pytest.raises(DeploymentFailed):
        await there.deploy(scorer, seconds=2.0)
    with pytest.raises(DeploymentFailed, match="by somebody else"):
        await there.deploy(scorer, databricks_workload_size="Large")
    assert there.written == ["create toxicity"]


async def test_a_change_that_came_in_between_is_told(there: DeployStage, scorer: ServedScorer) -> None:
    await there.deploy(scorer)
    conflict = b'{"error_code": "RESOURCE_CONFLICT", "message": "currently being updated"}'
    there.workspace.faults.append(Fault("/config", method="PUT", status=409, answer=conflict))
    with pytest.raises(DeploymentFailed, match="Somebody else is changing"):
        await there.deploy(scorer, databricks_workload_size="Large")


def test_only_a_missing_model_counts_as_missing() -> None:
    from mlflow.exceptions import RestException

    def refused(code: str, message: str) -> Exception:
        return RestException({"error_code": code, "message": message})  # type: ignore[no-untyped-call]

    assert is_missing(refused("RESOURCE_DOES_NOT_EXIST", "Registered model 'catalog.schema.model' does not exist."))
    assert not is_missing(refused("RESOURCE_DOES_NOT_EXIST", "Catalog 'main' does not exist."))
    assert not is_missing(refused("NOT_FOUND", "Schema 'main.earshot' does not exist."))
    assert not is_missing(refused("SCHEMA_DOES_NOT_EXIST", "no"))
    assert not is_missing(refused("PERMISSION_DENIED", "no"))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"databricks_token": SecretStr("dapi-wrong")}, "credentials are refused"),
    ({"databricks_model_full_name": "nowhere.earshot.toxicity"}, "catalog of DATABRICKS_MODEL_FULL_NAME"),
    ({"databricks_model_full_name": "main.nowhere.toxicity"}, "schema of DATABRICKS_MODEL_FULL_NAME"),
    ({"databricks_model_version": 7}, "has no version 7"),
    (
        {"databricks_token": None, "databricks_client_id": "loopback-client", "databricks_client_secret": SecretStr("wrong-secret")},
        "DATABRICKS_CLIENT_SECRET",
    ),
    ({"databricks_score_field": "predictions.0.nothing"}, "the bot cannot read it"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED, ids=[told for _, told in REFUSED])
async def test_refusals_say_what_to_do(there: DeployStage, scorer: ServedScorer, given: dict[str, Any], told: str) -> None:
    with pytest.raises(DeploymentFailed, match=told) as caught:
        await there.deploy(scorer, **given)
    assert "dapi" not in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


async def test_a_missing_permission_is_named(there: DeployStage, scorer: ServedScorer) -> None:
    there.workspace.faults.append(
        Fault("/serving-endpoints$", method="POST", status=403, answer=b'{"error_code": "PERMISSION_DENIED", "message": "no"}')
    )
    with pytest.raises(DeploymentFailed, match="CAN MANAGE"):
        await there.deploy(scorer)
    there.tokens.forbidden.add(PERSONAL)
    with pytest.raises(DeploymentFailed, match="USE CATALOG"):
        await there.deploy(scorer)


async def test_a_workspace_that_is_away_is_told(there: DeployStage, scorer: ServedScorer) -> None:
    settings = there.settings()
    await there.workspace.stop()
    with pytest.raises(DeploymentFailed, match="check DATABRICKS_HOST"):
        await there.deploy(scorer, databricks_host=settings.databricks_host)
