"""The embedded toxicity scorer as an MLflow model: code, model file, signature and pinned requirements in one folder.

The code is what runs in calls (`bot/scoring/network.py`, `features.py`), copied; `served_model.py` is all that is added. What was
packed has a digest, which goes to the registry as a tag: the same scorer is not registered twice.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import bot.scoring
from bot.databricks.deploy.refusals import DeploymentFailed
from bot.scoring.embedded import THRESHOLD
from bot.scoring.network import MODEL_FILE, ModelInvalid, Network

SAMPLES: Final = ("nice shot mate, well played", "you are a pathetic idiot")
"""What the packed model and the endpoint are tried with: one text of each label."""
TRIAL_SECONDS: Final = 120
PINNED: Final = ("mlflow", "numpy", "pandas")
"""What the container needs; MLflow's scoring server wants the whole of it, of which `mlflow-skinny` is a part with the same versions."""

_SCORING = Path(bot.scoring.__file__).parent
_ENTRY = Path(__file__).with_name("served_model.py")
_MODULES = (_SCORING / "network.py", _SCORING / "features.py")

_TRIAL = """
import sys
sys.modules["bot"] = None  # nothing of Earshot but what is packed
import json, logging, mlflow, pandas
logging.getLogger("mlflow").setLevel(logging.ERROR)
folder, column, texts = json.loads(sys.argv[1])
print(mlflow.pyfunc.load_model(folder).predict(pandas.DataFrame({column: texts})).to_json(orient="records"))
"""


@dataclass(frozen=True, slots=True)
class ServedScorer:
    """What is to be packed."""

    network: Network
    file: Path
    """The model file that `network` was read from."""
    column: str
    """Name of the column in which the texts come."""

    @classmethod
    def load(cls, file: Path | None, column: str) -> "ServedScorer":
        """`file`: a model file, Earshot's own when None. Raises `DeploymentFailed` where it cannot be used."""
        try:
            return cls(Network.load(file), file or MODEL_FILE, column)
        except ModelInvalid as error:
            raise DeploymentFailed(str(error)) from None

    @property
    def requirements(self) -> list[str]:
        """What the container installs: the versions that are installed here, with which the packed model was tried."""
        return [f"{name}=={metadata.version(_DISTRIBUTIONS.get(name, name))}" for name in PINNED]

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of all that makes the served model: code, model file, requirements, Python, column, threshold."""
        parts = [path.read_bytes() for path in (_ENTRY, *_MODULES)]
        made = json.dumps([self.requirements, list(sys.version_info[:2]), self.column, THRESHOLD, self.network.digest])
        return sha256(b"".join(sha256(part).digest() for part in (*parts, made.encode()))).hexdigest()

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Toxicity of each, 0..1, as calls get it."""
        return [float(row[0]) for row in self.network.predict(texts)]


_DISTRIBUTIONS = {"mlflow": "mlflow-skinny"}


def pack(scorer: ServedScorer, folder: Path) -> None:
    """Write the MLflow model to `folder`, which must not exist, and try it in a process of its own. Raises `DeploymentFailed`."""
    import mlflow.pyfunc  # noqa: PLC0415 (heavy, and an extra)
    import pandas  # noqa: PLC0415
    from mlflow.models import ModelSignature  # noqa: PLC0415
    from mlflow.types.schema import ColSpec, DataType, Map, Schema, TensorSpec  # noqa: PLC0415

    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, "score"),
        ColSpec(DataType.string, "label"),
        ColSpec(Map(DataType.double), "categories"),
    ]
    try:
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(_ENTRY),
            artifacts={"model": str(scorer.file)},
            code_paths=[str(path) for path in _MODULES],
            model_config={"column": scorer.column, "threshold": THRESHOLD},
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.string, scorer.column)]), outputs=Schema(outputs)),
            input_example=pandas.DataFrame({scorer.column: SAMPLES}),
            pip_requirements=scorer.requirements,
        )
    except (OSError, mlflow.MlflowException) as error:
        raise DeploymentFailed(f"The model cannot be packed in {folder.parent}: {error}") from None
    compare("The packed model", _tried(folder, scorer.column), scorer)


def _tried(folder: Path, column: str) -> list[dict[str, Any]]:
    """What the packed model makes of `SAMPLES`."""
    given = json.dumps([str(folder), column, SAMPLES])
    command = [sys.executable, "-B", "-c", _TRIAL, given]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False, cwd=folder)  # noqa: S603 - ours
        rows: list[dict[str, Any]] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise DeploymentFailed(
            f"The packed model gave no answer within {TRIAL_SECONDS} s on this machine, so nothing was registered."
        ) from None
    except ValueError:
        last = done.stderr.strip().rpartition("\n")[2]
        raise DeploymentFailed(f"The packed model does not run on this machine, so nothing was registered: {last[:300]}") from None
    return rows


def compare(who: str, rows: Sequence[dict[str, Any]], scorer: ServedScorer) -> None:
    """Whether `rows` are the scorer's for `SAMPLES`. Raises `DeploymentFailed`."""
    got = [row.get("score") for row in rows]
    wanted = scorer.scores(SAMPLES)
    same = [isinstance(g, float | int) and abs(g - w) <= 1e-4 for g, w in zip(got, wanted, strict=False)]
    if len(got) != len(wanted) or not all(same):
        raise DeploymentFailed(f"{who} scores otherwise than the scorer it was made of: {got} in place of {wanted}. Please report this.")
