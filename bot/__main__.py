"""`python -m bot COMMAND`: reads the command line and hands over. Nothing heavy is imported before a command is chosen."""

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import metadata

COMMANDS = {
    "run": "the Discord bot and the HTTP side",
    "api": "the HTTP side alone; no Discord token needed",
    "replay": "run recorded audio through the same pipeline",
    "check": "the doctor: settings, model, lexicon, libraries, database; what to do about each",
    "deploy-model-serving": "serve the toxicity scorer from a Databricks endpoint; --dry-run shows what would change",
    "lexicon": "check or convert lexicon files; what of them the speech model can hear",
}
"""Command → what it does; each is a module in `bot.commands`, `_` for `-`, with `add_arguments(parser)` and `run(args) -> exit code`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    _prepare()
    parser = argparse.ArgumentParser(prog="python -m bot", description="Earshot: moderates Discord voice channels.")
    parser.add_argument("--version", action="version", version=f"Earshot {_version()}" if "--version" in argv else "")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((a for a in argv if not a.startswith("-")), None)
    for name, help_ in COMMANDS.items():
        sub = commands.add_parser(name, help=help_, description=help_)
        if name == chosen:
            module = importlib.import_module(f"bot.commands.{name.replace('-', '_')}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


def without_traceback(argv: Sequence[str] | None = None) -> int:
    """The same; a library that is missing, as for a Python outside the .venv, is told in one sentence. 78 is EX_CONFIG of sysexits.h."""
    try:
        return main(argv)
    except ModuleNotFoundError as error:
        from bot.commands.libraries import advice, foreign, missing_libraries

        if not (missing := foreign(error)):
            raise
        sys.stderr.write(f"Earshot cannot start: {advice(missing_libraries() or [missing])}.\n")
        return 78


def _prepare() -> None:
    """Until a command handles both itself, SIGTERM stops like Ctrl-C, and Ctrl-C where a shell had it ignored (`&`), too.

    Output never fails for a letter that a terminal cannot show.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _version() -> str:
    try:
        return metadata.version("earshot")
    except metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    if sys.stdout is None:  # started with its output closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    try:
        sys.exit(without_traceback())
    except KeyboardInterrupt:  # a command that was still starting
        sys.exit(0)
