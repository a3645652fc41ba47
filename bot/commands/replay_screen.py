"""Where `replay` writes: standard output for what was heard, standard error for a progress bar."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bot.commands.replay_report import ConsoleReport, JsonReport, Report


@contextmanager
def screen(
    gone: Callable[[], None], *, seconds: float | None, as_json: bool, partials: bool
) -> Iterator[tuple[Report, Callable[[float], None] | None]]:
    """The report on standard output and, where a person watches, a progress bar on standard error.

    Args:
        gone: called when the reader of standard output has gone away.
        seconds: length of all audio, for the bar; None where unknown.
        as_json: JSON lines instead of a transcript.
        partials: also partial transcripts.

    Yields:
        The report, and a function that moves the bar to so many seconds; None where there is no bar.
    """
    stdout = _Stdout(gone)
    errors = Console(stderr=True)
    shown = errors.is_terminal and not (as_json and sys.stdout.isatty())
    bar = Progress(
        TextColumn("{task.completed:.0f} s"), BarColumn(), TimeRemainingColumn(), console=errors, transient=True, redirect_stdout=False
    )
    # A transcript beside a bar on one terminal goes through the bar's console, which keeps the two apart.
    output = errors if shown and sys.stdout.isatty() else Console(file=cast("IO[str]", stdout))
    report: Report = JsonReport(stdout.line, partials=partials) if as_json else ConsoleReport(output, partials=partials)
    if not shown:
        yield report, None
        return
    task = bar.add_task("replay", total=seconds)
    with bar:
        yield report, lambda played: bar.update(task, completed=played)


class _Stdout(io.TextIOBase):
    """Standard output whose reader may go away (`| head`): then the session is told to stop and the rest is dropped."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def line(self, text: str) -> None:
        """Write a line and hand it over at once."""
        self.write(text + "\n")
        self.flush()

    def write(self, text: str) -> int:
        """Write text."""
        with self._reader():
            sys.stdout.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        with self._reader():
            sys.stdout.flush()

    def isatty(self) -> bool:
        """Whether a person reads."""
        return sys.stdout.isatty()

    @contextmanager
    def _reader(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # the reader went away, or the disk is full
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._gone()
