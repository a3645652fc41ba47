"""The option that names the file with settings."""

import argparse
from pathlib import Path

DEFAULT = Path(".env")


def add_env_file(parser: argparse.ArgumentParser) -> None:
    """`--env-file`: the default need not exist, a named one must."""
    parser.add_argument("--env-file", type=_existing, metavar="FILE", help=f"file with settings (default: {DEFAULT}, if there is one)")


def given_env_file(args: argparse.Namespace) -> Path:
    """The file to read."""
    named: Path | None = args.env_file
    return named or DEFAULT


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path
