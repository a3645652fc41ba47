"""`make soak`: hours of calls in two servers, at the pace of the CPU, and whether memory stays flat.

The application is the real one, down to its SQLite file and its voice receive with DAVE; Discord is people who exist in media time alone
(`tests/soak`). It stands beside the benchmarks because it measures; it is none of `make bench`'s, because it takes ten minutes.
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.soak.evening import Evening, in_step, open_evening
from tests.soak.overload import CARRIED, GUILDS, Course, overload
from tests.soak.readings import Reading

ROOT = Path(__file__).parent
LIMIT = 1.05
"""Memory in the last hour ÷ memory in the hour after the first, at most."""
FULL_WINDOW = 60
"""Minutes compared in runs of four hours and more."""
OVERLOAD_SPEAKERS, OVERLOAD_SECONDS = 6, 16.0
NAMES = {
    "rss": "resident memory, MB",
    "database": "database on disk, MB",
    "sessions": "sessions",
    "ring_bytes": "audio held for clips, bytes",
    "rings": "speakers of whom audio is held",
    "recognisers": "recognisers",
    "tasks": "asyncio tasks",
    "threads": "threads",
    "descriptors": "file descriptors",
    "rows_waiting": "rows that wait for the database",
    "alerts_waiting": "alerts that wait",
    "decoding": "pieces of audio being decoded",
    "remembered_settings": "servers whose settings are remembered",
    "compiled_terms": "servers whose terms are compiled",
}


@dataclass(frozen=True, slots=True)
class Soak:
    """What a run came to."""

    readings: Sequence[Reading]
    """One a minute of media time."""
    facts: dict[str, float]

    @property
    def window(self) -> int:
        """Minutes that are compared: an hour, less in a short run. A single reading depends on how many people are just being heard."""
        return min(FULL_WINDOW, len(self.readings) // 4)

    def early(self, name: str = "rss") -> float:
        """The median of the hour after the first."""
        return statistics.median(self._all(name)[self.window : 2 * self.window])

    def late(self, name: str = "rss") -> float:
        """The median of the last hour."""
        return statistics.median(self._all(name)[-self.window :])

    def most(self, name: str) -> float:
        """The highest of all readings."""
        return max(self._all(name))

    def _all(self, name: str) -> list[float]:
        return [float(getattr(r, name)) for r in self.readings]

    @property
    def growth(self) -> float:
        """Memory in the last hour ÷ memory in the hour after the first."""
        return self.late() / self.early()


def main() -> int:
    """Run, show, write the picture; 1 when memory grew or the order of overload was not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0, help="of call, in each of two servers (default: 8)")
    parser.add_argument("--quick", action="store_true", help="half an hour, without a picture")
    parser.add_argument("--picture", type=Path, default=ROOT / "soak.svg", help="where the curve goes")
    parser.add_argument("--out", type=Path, default=ROOT / "soak.json", help="where all readings go")
    args = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # refusals that are made to happen need not be shown
    minutes = 30 if args.quick else max(round(args.hours * 60), 8)
    console = Console(width=max(Console().width, 110))
    with console.status("…") as status:
        soak = asyncio.run(_soak(minutes, status.update))
        status.update("overload …")
        course = asyncio.run(_overload())
    console.print(_table(soak), _overloaded(course))
    args.out.write_text(json.dumps({"facts": soak.facts, "readings": [asdict(r) for r in soak.readings]}) + "\n")
    if not args.quick:
        draw(soak, args.picture)
    judged = soak.window == FULL_WINDOW
    verdict = f"at most {LIMIT:.2f}" if judged else "not judged: in its first hour an application fills its caches"
    console.print(f"memory in the last {soak.window} minutes ÷ in the second {soak.window}: {soak.growth:.3f} ({verdict})")
    return 0 if (soak.growth <= LIMIT or not judged) and course.in_order and course.over else 1


async def _soak(minutes: int, tell: Callable[[str], None]) -> Soak:
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory() as name:
        folder, started = Path(name), time.perf_counter()
        async with open_evening(folder) as (app, gateway, delivery):
            evenings = [Evening(app, gateway, guild_id) for guild_id in GUILDS]

            def each_minute(minute: int) -> None:
                readings.append(Reading.of(app, folder))
                tell(f"minute {minute} of {minutes}: {readings[-1].rss:.0f} MB, {time.perf_counter() - started:.0f} s of work")

            await in_step(evenings, minutes * 60, each_minute)
            facts = {
                "hours of call": sum(evening.over for evening in evenings) / 3600,
                "sessions": sum(evening.sessions for evening in evenings),
                "joins": sum(evening.people for evening in evenings),
                "seconds decoded": app.core.transcriber.stats().seconds_decoded,
                "alert cards": delivery.cards,
                "of them with a clip": delivery.clips,
                "rows": app.recorder.written,
            }
        return Soak(readings, facts | {"seconds of work": time.perf_counter() - started})


async def _overload() -> Course:
    with tempfile.TemporaryDirectory() as name:
        async with open_evening(Path(name)) as (app, gateway, _):
            return await overload(app, gateway, speakers=OVERLOAD_SPEAKERS, seconds=OVERLOAD_SECONDS)


def _table(soak: Soak) -> Table:
    facts = ", ".join(f"{value:,.0f} {name}" if value >= 100 else f"{value:,.1f} {name}" for name, value in soak.facts.items())
    table = Table(title="What the application holds", caption=facts)
    for heading in ("", f"minutes {soak.window} to {2 * soak.window}", f"the last {soak.window} minutes", "the most"):
        table.add_column(heading, justify="right" if heading else "left")
    for field in fields(Reading):
        figures = soak.early(field.name), soak.late(field.name), soak.most(field.name)
        table.add_row(NAMES[field.name], *(f"{figure:,.1f}" for figure in figures))
    return table


def _overloaded(course: Course) -> Table:
    title = f"Overload: two calls with {OVERLOAD_SPEAKERS} speakers each, of whom a machine carries {CARRIED:.0%}"
    table = Table(title=title, caption="left out: " + " → ".join(course.levels))
    for heading in ("call", "spoken s", "heard s", "left out s", "pieces without a partial", "frames lost", "flags"):
        table.add_column(heading, justify="left" if heading == "call" else "right")
    for guild_id, coverage in course.coverage.items():
        names = ("spoken_seconds", "heard_seconds", "shed_seconds", "shed_partials", "dropped", "flags")
        sums = (sum(getattr(c, name) for c in coverage) for name in names)
        table.add_row("with insults" if guild_id == GUILDS[0] else "harmless", *(f"{value:,.0f}" for value in sums))
    return table


def draw(soak: Soak, path: Path) -> None:
    """The curve as a picture."""
    import matplotlib as mpl  # noqa: PLC0415 (takes a second, and nothing else needs it)

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "earshot"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    hours = [(n + 1) / 60 for n in range(len(soak.readings))]
    figure, (memory, held) = plt.subplots(2, 1, figsize=(8, 4.5), sharex=True, height_ratios=(2, 1), layout="constrained")
    memory.plot(hours, [r.rss for r in soak.readings], linewidth=1)
    for value, begin in ((soak.early(), hours[soak.window - 1]), (soak.late(), hours[-soak.window])):
        memory.hlines(value, begin, begin + soak.window / 60, linestyles="dashed", colors="tab:red")
        memory.annotate(f"{value:.0f} MB", (begin, value), xytext=(0, -16), textcoords="offset points", color="tab:red")
    memory.set(ylim=(0, None), ylabel="resident memory, MB", title=f"memory over {hours[-1]:g} hours of call in two servers")
    held.step(hours, [r.recognisers for r in soak.readings], linewidth=1, label="recognisers")
    held.set(ylim=(0, None), ylabel="recognisers", xlabel="hours of call")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
