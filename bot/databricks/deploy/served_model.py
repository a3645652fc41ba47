"""The toxicity scorer as a serving endpoint runs it. MLflow executes this file in the container ("models from code"): Earshot is not there.

Beside it lie `network.py`, `features.py` and the model file, as `bot.databricks.deploy.packing` puts them. One column of texts goes
in; out comes a row for each, `{"score": 0..1, "label": "flag" | "ok", "categories": {name: 0..1}}`, which the bot reads without a setting.
"""

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ToxicityModel(PythonModel):
    """Scores rows of texts."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model file; `model_config` has the name of the texts' column and the score from which a text is labelled `flag`."""
        from network import Network  # type: ignore[import-not-found]  # noqa: PLC0415 (packed beside this file; not there while packing)

        self._network = Network.load(context.artifacts["model"])
        self._column = str(context.model_config["column"])
        self._threshold = float(context.model_config["threshold"])

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row for each text, in order. What is no text scores as an empty one."""
        texts = [text if isinstance(text, str) else "" for text in model_input[self._column].tolist()]
        names = self._network.categories
        rows = [
            {
                "score": score,
                "label": "flag" if score >= self._threshold else "ok",
                "categories": dict(zip(names, each, strict=True)),
            }
            for score, *each in self._network.predict(texts).tolist()
        ]
        return pd.DataFrame(rows, columns=["score", "label", "categories"])


mlflow.models.set_model(ToxicityModel())
