"""Learns what each word says by itself, whatever stands around it: a logistic regression on the features that the network has, too.

It knows no order of words and so misses what is denied or quoted; in return it ranks texts from elsewhere more steadily. A member of
the model adds both. Needs scipy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from bot.scoring.features import Rows
from bot.scoring.network import steps

STRENGTH = 1.0
"""Inverse of the ridge penalty, as scikit-learn's C."""
ROUNDS = 150
"""Steps of L-BFGS at most."""


def texts(rows: Rows, matrix: Any) -> Any:  # noqa: ANN401 (scipy has no types)
    """Sparse, (texts, features): what `Network` sums up for each text. `matrix`: of the tokens' features."""
    owner = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    tokens = rows.tokens[rows.tokens > 0]
    scale = np.repeat(steps(rows.lengths), rows.lengths)
    return (sparse.csr_matrix((scale, (owner, tokens)), shape=(len(rows.lengths), matrix.shape[0])) @ matrix).tocsr()


def fitted(found: Any, targets: Sequence[float], weights: Sequence[float]) -> NDArray[np.float32]:  # noqa: ANN401 (scipy has no types)
    """One weight a feature; the offset is left to calibration. `found`: of `texts`; `targets`: 0..1."""
    target, weight = np.asarray(targets), np.asarray(weights)
    across = found.T.tocsr()

    def cost(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w, offset = at[:-1], at[-1]
        logits = found @ w + offset
        loss = weight @ (np.logaddexp(0, logits) - target * logits)
        by_logits = weight * (1 / (1 + np.exp(-np.clip(logits, -30, 30))) - target)
        gradient = np.append(across @ by_logits + w / STRENGTH, by_logits.sum())
        return float(loss + w @ w / (2 * STRENGTH)), gradient

    result = minimize(cost, np.zeros(found.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS})
    weights_found: NDArray[np.float32] = result.x[:-1].astype(np.float32)
    return weights_found
