"""`python -m bench.startup`: what Databricks costs a process that does not use it.

Starts `python -m bot api` again and again, in turn without settings for Databricks, with a serving endpoint, and with the SQL connector
imported at the start instead of when it is first used. CPU time, not the clock's, so that a busy machine tells the same.
"""

import statistics
import sys
from collections.abc import Mapping

from bench.servers import OURS, served, workspace

ROUNDS = 5
EAGER = ("-c", "import runpy, sys, databricks.sql.client; sys.argv = ['bot', 'api']; runpy.run_module('bot', run_name='__main__')")


def started(command: tuple[str, ...], settings: Mapping[str, str]) -> tuple[float, float]:
    """(CPU seconds, resident MB) of a process that has just come to answer."""
    with served(command, None, **settings) as server:
        return server.cpu, server.resident


def main() -> None:
    """Print medians."""
    with workspace() as endpoint:
        cases = {
            "without Databricks": (OURS, {}),
            "with a serving endpoint": (OURS, endpoint),
            "without, were the SQL connector imported at the start": (EAGER, {}),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(ROUNDS):
            for name, (command, settings) in cases.items():
                found[name].append(started(command, settings))
    for name, readings in found.items():
        seconds, megabytes = (statistics.median(values) for values in zip(*readings, strict=True))
        sys.stdout.write(f"{name}: {seconds:.2f} s of CPU, {megabytes:.0f} MB\n")


if __name__ == "__main__":
    main()
