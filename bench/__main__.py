"""`make bench`: runs every benchmark, prints one table, writes JSON."""

import argparse
import importlib
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.rows import Row

BENCHMARKS = ("receive", "lexicon", "speech", "latency", "coverage", "churn", "vad", "toxicity", "scoring", "http", "streams", "sockets")


def main() -> int:
    """Run the benchmarks named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}; all when left out")
    parser.add_argument("--out", type=Path, default=Path("bench/results.json"), help="where the JSON goes")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    console = Console(width=max(Console().width, 120))
    rows: dict[str, list[Row]] = {}
    for name in args.names or BENCHMARKS:
        with console.status(f"measuring {name} …"):
            rows[name] = importlib.import_module(f"bench.{name}").run()
    console.print(_table(rows))
    result = {
        "machine": {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()},
        "rows": {name: [asdict(row) for row in found] for name, found in rows.items()},
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {args.out}")
    return 0


def _table(rows: dict[str, list[Row]]) -> Table:
    table = Table(title="Earshot beside its peers (same run)")
    for heading in ("benchmark", "figure", "ours", "peer", "ours ÷ peer"):
        table.add_column(heading, justify="right" if heading in {"ours", "ours ÷ peer"} else "left")
    for name, found in rows.items():
        for n, row in enumerate(found):
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            table.add_row(name if n == 0 else "", row.name, f"{row.value:,.2f} {row.unit}", row.peer, ratio)
        table.add_section()
    return table


if __name__ == "__main__":
    sys.exit(main())
