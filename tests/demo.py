"""`make demo`: one evening in a voice channel, shown as it happens. The bot is the real one; only Discord is a loopback.

Prints each speaker's transcript as it grows, flags, alert cards and a closing table; exit code 0 when every expected alert arrived.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path

from rich.console import Console
from rich.table import Table

from moderation.errors import sentences
from tests.demo_display import Display, card
from tests.scenario import EXPECTED_ALERTS, Stage, conversation, open_stage


def summary(stage: Stage, console: Console) -> None:
    """Speakers, what was spoken and heard, what came of it, and how fast."""
    table = Table(title="The evening")
    for heading in ("speaker", "spoken s", "heard s", "coverage", "segments", "flags", "alerts"):
        table.add_column(heading, justify="left" if heading == "speaker" else "right")
    for c in stage.watcher.coverage:
        counts = [str(n) for n in (c.segments, c.flags, c.alerts)]
        table.add_row(c.speaker.name, f"{stage.spoken(c.speaker.id):.1f}", f"{c.heard_seconds:.1f}", f"{c.ratio:.1%}", *counts)
    console.print(table)
    delays = sorted(stage.latencies().values())
    if delays:
        worst = f"slowest {delays[-1]:.2f} s"
        console.print(f"flagged word spoken → alert card at Discord: median {statistics.median(delays):.2f} s, {worst}")


async def run(console: Console, *, keep: bool) -> int:
    """Play the evening; 0 when every expected alert arrived."""
    with tempfile.TemporaryDirectory(prefix="earshot-demo-") as folder:
        async with open_stage(Path(folder), api_port=int(os.environ.get("API_PORT", "8080"))) as stage:
            console.print(f"The bot is connected to a loopback Discord; HTTP on http://127.0.0.1:{stage.app.api_port}/health")
            with Display(console) as display:
                stage.app.events.subscribe(display)
                await stage.begin()
                console.print(f"In the channel's status: “{stage.lobby.status}”\n")
                await stage.play(conversation())
                await stage.settle()
                if keep:
                    console.print("\nStaying up: stop with Ctrl-C.")
                    await asyncio.Event().wait()
                await stage.finish()
            console.print()
            for message in stage.cards():
                console.print(card(message))
            summary(stage, console)
            missing = EXPECTED_ALERTS - stage.alerted()
            for text in sorted(missing):
                console.print(f"[red]no alert for: {text}")
            return 1 if missing else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    kind.add_argument("--databricks", action="store_true", help="with a loopback Databricks workspace that drops answers and goes away")
    args = parser.parse_args()
    console = Console(highlight=False)
    try:
        return asyncio.run(_stoppable(_with_databricks(console) if args.databricks else run(console, keep=args.keep)))
    except Exception as error:
        if told := sentences(error):
            sys.stderr.write("".join(f"{sentence}\n" for sentence in told))
            return 1
        raise


async def _with_databricks(console: Console) -> int:
    from tests import databricks_demo  # a warehouse and its client, which the plain demo does without

    return await databricks_demo.run(console)


async def _stoppable(work: Coroutine[None, None, int]) -> int:
    """SIGINT and SIGTERM end it cleanly at any time."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
