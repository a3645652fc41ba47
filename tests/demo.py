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
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from moderation.errors import sentences
from moderation.events import AlertRaised, AlertRevised, Event, SegmentFlagged, SegmentTranscribed, SpeakerHeard
from moderation.models import AlertState, Flag, TranscriptSegment
from tests.scenario import EXPECTED_ALERTS, Stage, conversation, open_stage

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red")


class Display:
    """Shows events on a terminal. A partial is the last, dim line and is replaced as it grows; a pipe gets finals only."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._colours: dict[int, str] = {}
        self._partials: dict[int, Text] = {}
        self._states: dict[str, AlertState] = {}
        self._live = console.status("") if console.is_terminal else None

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    async def emit(self, event: Event) -> None:
        """Show one event."""
        match event:
            case SpeakerHeard(_, speaker):
                self._colours.setdefault(speaker.id, COLOURS[len(self._colours) % len(COLOURS)])
            case SegmentTranscribed(_, speaker, segment, verdict):
                line = self._line(speaker.id, speaker.name, segment, verdict.flags)
                if segment.final:
                    self._partials.pop(speaker.id, None)
                    self._console.print(line)
                else:
                    self._partials[speaker.id] = line
                self._refresh()
            case SegmentFlagged(_, _, _, verdict):
                found = ", ".join(f"{f.category.replace('_', ' ')} {f.severity}/10 ({f.confidence:.0%})" for f in verdict.flags)
                self._console.print(Text(f"{'':15}└ flag: {found}", style="red"))
            case AlertRaised(alert):
                when = "EARLY ALERT" if alert.state is AlertState.EARLY else "ALERT"
                what = f"{alert.speaker.name}, {', '.join(alert.categories).replace('_', ' ')}, severity {alert.severity}/10"
                self._console.print(Text(f"{'':15}└ {when}: {what}", style="bold red"))
                self._states[alert.id] = alert.state
            case AlertRevised(alert) if self._states.get(alert.id) is not alert.state:
                self._console.print(Text(f"{'':15}└ alert {alert.state}", style="yellow"))
                self._states[alert.id] = alert.state
            case _:
                pass

    def _line(self, speaker_id: int, name: str, segment: TranscriptSegment, flags: tuple[Flag, ...]) -> Text:
        minutes, seconds = divmod(segment.start, 60)
        line = Text(f"{int(minutes)}:{seconds:04.1f}  ", style="dim")
        line.append(f"{name:>6}  ", style=f"bold {self._colours.get(speaker_id, 'white')}")
        words = Text(segment.text, style="" if segment.final else "dim italic")
        for flag in flags:
            words.stylize("bold white on red", flag.span.start_char, flag.span.end_char)
        return line + words

    def _refresh(self) -> None:
        if self._live:
            self._live.update(Text("\n").join(self._partials.values()) if self._partials else "listening …")


def card(stage: Stage, console: Console) -> None:
    """The alert cards as they stand in the moderators' channel at the end."""
    for message in stage.cards():
        for embed in message.embeds:
            rows = [Text(embed.get("description", "")), Text()]
            rows += [_field(f["name"], f["value"]) for f in embed["fields"]]
            rows += [Text.assemble(("Evidence: ", "bold"), f"{a.filename}, {len(a.data) / 1024:.1f} KiB") for a in message.attachments]
            body = Text("\n").join(rows)
            console.print(Panel(body, title=embed["title"], subtitle=embed["footer"]["text"], title_align="left", border_style="red"))


def _field(name: str, value: str) -> Text:
    lines = value.replace("`", "").split("\n")
    joined = " · ".join(lines) if len(lines) < 3 else "".join(f"\n  {line}" for line in lines)
    return Text.assemble((f"{name}: ", "bold"), joined)


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
            card(stage, console)
            summary(stage, console)
            missing = EXPECTED_ALERTS - stage.alerted()
            for text in sorted(missing):
                console.print(f"[red]no alert for: {text}")
            return 1 if missing else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    args = parser.parse_args()
    try:
        return asyncio.run(_stoppable(run(Console(highlight=False), keep=args.keep)))
    except Exception as error:
        if told := sentences(error):
            sys.stderr.write("".join(f"{sentence}\n" for sentence in told))
            return 1
        raise


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
