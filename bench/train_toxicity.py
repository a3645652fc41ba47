"""`python -m bench.train_toxicity`: trains the toxicity model from the data in this repository. Needs the extra `train`.

The same data and recipe give the same file on the same machine; elsewhere the last digits may differ. What went into it stands in the
file itself and, for people, in `bench/data/toxicity/trained.json`.
"""

import argparse
import json
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.scoring.network import FORMAT, MODEL_FILE, Network

DATA = Path(__file__).parent / "data" / "toxicity"
RECORD = DATA / "trained.json"
VERSION = "2"
"""Of the recipe: raise it with every change of data or training that is shipped."""


def data_hashes() -> dict[str, str]:
    """File → SHA-256 of everything learnt from."""
    files = sorted(p for folder in ("corpus", "public") for p in (DATA / folder).iterdir())
    return {str(p.relative_to(DATA)): sha256(p.read_bytes()).hexdigest() for p in files}


def main() -> int:
    """Train, calibrate, write, and say what the result is worth."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_toxicity", description=__doc__)
    parser.add_argument("--out", type=Path, default=MODEL_FILE, help="where the model goes (default: the one that Earshot ships)")
    args = parser.parse_args()
    try:
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 (comes with scikit-learn, which is in an extra)

        from bench.training.calibration import calibrated  # noqa: PLC0415
        from bench.training.heldout import heldout  # noqa: PLC0415
        from bench.training.recipe import CATEGORIES, Recipe, Training  # noqa: PLC0415
    except ModuleNotFoundError as error:
        print(f"{error.name} is missing: install the extra `train` (.venv/bin/pip install '.[train]' in Earshot's folder)", file=sys.stderr)
        return 1
    threadpool_limits(1)  # the matrices are small: more threads wait for each other
    recipe = Recipe()
    training = Training(recipe, avoid=[k.text for kept in heldout().values() for k in kept])
    arrays = halved(training.run(print))
    calibration = calibrated(training, arrays)
    arrays["calibration"] = calibration.scale
    about: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "categories": CATEGORIES,
        "recipe": asdict(recipe),
        "data": data_hashes(),
    }
    about["reliability"] = calibration.reliability
    write(args.out, arrays, about)
    network = Network.load(args.out)
    if args.out == MODEL_FILE:
        RECORD.write_text(json.dumps({"model": network.digest, **about}, indent=2) + "\n", encoding="utf-8")
    print(f"written to {args.out}: {args.out.stat().st_size:,} bytes, version {network.version}")
    return 0


def halved(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The large arrays of weights in half precision: so they are shipped, and so they are calibrated."""
    return {name: a.astype(np.float16) if a.dtype == np.float32 and a.size > 1000 else a for name, a in arrays.items()}


def write(path: Path, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> None:
    """A model file."""
    np.savez_compressed(path, about=np.array(json.dumps(about, sort_keys=True)), **halved(arrays))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
