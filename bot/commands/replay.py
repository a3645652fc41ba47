"""`python -m bot replay`: runs recorded audio through the very pipeline that hears Discord."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bot.commands.env_file import add_env_file, given_env_file
from bot.commands.replay_report import Report
from bot.commands.replay_screen import screen
from bot.core import open_core
from bot.sources.files import probe
from bot.sources.recordings import COLUMNS, INDEX, find_recordings
from bot.sources.replay import Recording, ReplaySource
from config import checks
from config.settings import InvalidSettings, Settings
from moderation.errors import LexiconInvalid, ModerationError, UndecodableAudio
from moderation.models import Coverage, Session
from moderation.pipeline import Pipeline
from moderation.ports import Detector, Transcriber
from moderation.settings import GuildSettings
from moderation.vad import VoiceGate

EX_USAGE, EX_DATAERR, EX_CONFIG = 64, 65, 78
"""Exit codes of sysexits.h."""

STOP_SECONDS = 8.0
"""Seconds that the last words have after SIGINT or SIGTERM; then the session is cut off without a summary."""

PROGRESS_SECONDS = 0.1
"""Between two looks at how far the session is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_env_file(parser)
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help=f"an audio file (one speaker), or a folder of them; who speaks when is in the folder's {INDEX}, if it has one "
        f"(tab-separated columns {', '.join(COLUMNS)})",
    )
    parser.add_argument(
        "--speaker", action="append", default=[], type=_named, metavar="NAME=PATH", help="a file and who speaks in it; may be repeated"
    )
    parser.add_argument(
        "--lexicon", type=_lexicon, metavar="FILE", help="terms to flag, instead of the configured ones: a file, or sample or starter"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    parser.add_argument("--partials", action="store_true", help="also what was understood before each sentence ended")
    parser.add_argument("--realtime", action="store_true", help="no faster than it was spoken")


def run(args: argparse.Namespace) -> int:
    """Run the command: 0, or 65 when a file cannot be decoded (or the lexicon read), 78 when the settings or the model are unusable."""
    if not args.paths and not args.speaker:
        _complain("name at least one audio file or folder.")
        return EX_USAGE
    try:
        recordings = find_recordings(args.paths, args.speaker)
        seconds = _probe(recordings)
        return asyncio.run(_main(args, recordings, seconds))
    except (UndecodableAudio, LexiconInvalid) as error:
        _complain(str(error))
        return EX_DATAERR
    except (ModerationError, InvalidSettings) as error:
        _complain(str(error))
        return EX_CONFIG
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0


def _named(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or not name.strip() or not path:
        raise argparse.ArgumentTypeError("must be NAME=PATH")
    return name, Path(path)


def _lexicon(text: str) -> Path:
    return Path(str(checks.lexicon(text)))


def _probe(recordings: Sequence[Recording]) -> float | None:
    """Seconds of all recordings together, None where one does not say; raises `UndecodableAudio` before any work is done."""
    lengths = [probe(r.path) for r in recordings]
    known = [length for length in lengths if length is not None]
    return sum(known) if len(known) == len(lengths) else None


def _complain(message: str) -> None:
    sys.stderr.write(f"replay: {message}\n")


async def _main(args: argparse.Namespace, recordings: Sequence[Recording], seconds: float | None) -> int:
    source = ReplaySource(recordings, realtime=args.realtime)
    async with _until_stopped(source), open_core(Settings.load(given_env_file(args)), lexicon=args.lexicon) as core:
        with screen(source.stop, seconds=seconds, as_json=args.json, partials=args.partials) as (report, advance):
            coverage, factor = await replay(source, core.transcriber, core.detectors, report, advance, gate=core.gate)
            report.summary(coverage, factor)
    for problem in source.problems:
        _complain(str(problem))
    return EX_DATAERR if source.problems else 0


async def replay(
    source: ReplaySource,
    transcriber: Transcriber,
    detectors: Sequence[Detector],
    report: Report,
    advance: Callable[[float], None] | None = None,
    *,
    gate: Callable[[], VoiceGate] | None = None,
) -> tuple[tuple[Coverage, ...], float]:
    """Run a session until the source ends.

    Args:
        source: the recordings.
        transcriber: what hears them.
        detectors: what judges them.
        report: takes the events.
        advance: told now and then how many seconds of audio have been played.
        gate: makes speakers' voice gates; None decodes everything.

    Returns:
        What each speaker came to, and the real-time factor: seconds of work for each second of audio. Work is the time that passed,
        except in a session held back to the pace of speech: there it is the CPU's time, since most of what passed was waiting.
    """
    session = Session(uuid4().hex, guild_id=0, channel_id=0, started_at=datetime.now(UTC))
    pipeline = Pipeline(session, transcriber, detectors, report, lambda: GuildSettings(guild_id=0), lossless=True, gate=gate)
    clock = time.process_time if source.realtime else time.perf_counter
    started = clock()
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch(source, advance), name="progress") if advance else None
        try:
            coverage = await pipeline.run(source)
        finally:
            await source.aclose()
            if watch:
                watch.cancel()
    heard = sum(c.heard_seconds for c in coverage)
    return coverage, (clock() - started) / heard if heard else 0.0


async def _watch(source: ReplaySource, advance: Callable[[float], None]) -> None:
    while True:
        advance(source.played_seconds)
        await asyncio.sleep(PROGRESS_SECONDS)


@asynccontextmanager
async def _until_stopped(source: ReplaySource) -> AsyncIterator[None]:
    """SIGINT and SIGTERM end the recordings; what was heard until then is finished and reported."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def stop() -> None:
        source.stop()
        if task is not None:
            loop.call_later(STOP_SECONDS, task.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
