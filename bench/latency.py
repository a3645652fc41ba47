"""Speech to alert: from the arrival of a flagged word's last packet to the card at Discord, over the whole bot in real time.

The peer is the same bot without early alerts: the moment at which the final transcript of the same words was there.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path

from bench.rows import Row
from tests.scenario import Stage, conversation, open_stage, spoken_at


def run() -> list[Row]:
    """Play the conversation once, in real time."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage:
            await stage.begin()
            await stage.play(conversation())
            await stage.settle()
            await stage.finish()
            return _rows(stage)


def _rows(stage: Stage) -> list[Row]:
    delays = stage.latencies()
    finals = {a.id: stage.watcher.concluded[a.id] - spoken_at(a.segment, a.verdict.flags) for a in stage.watcher.alerts.values()}
    rows = []
    for name, ids in (("early alerts (severe terms)", stage.watcher.early), ("alerts from finals", set(delays) - stage.watcher.early)):
        if ids:
            ours = statistics.median(delays[i] for i in ids)
            final = statistics.median(finals[i] for i in ids)
            rows.append(
                Row(f"flagged word → card, {name}, median of {len(ids)}", ours, "s", f"final transcript {final:.2f} s", ours / final)
            )
    if delays:
        rows.append(Row(f"flagged word → card, slowest of {len(delays)}", max(delays.values()), "s"))
    return rows
