"""`python -m bot COMMAND`: reads the command line and hands over. Nothing heavy is imported before a command is chosen."""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "run": "the Discord bot and the HTTP side",
    "replay": "run recorded audio through the same pipeline",
    "check": "the doctor: settings, model, lexicon, libraries, database; what to do about each",
    "lexicon": "check or convert lexicon files; what of them the speech model can hear",
}
"""Command → what it does; each is a module in `bot.commands` with `add_arguments(parser)` and `run(args) -> exit code`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m bot", description="Earshot: moderates Discord voice channels.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((a for a in argv if not a.startswith("-")), None)
    for name, help_ in COMMANDS.items():
        sub = commands.add_parser(name, help=help_, description=help_)
        if name == chosen:
            module = importlib.import_module(f"bot.commands.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
