"""`python -m bot deploy-model-serving`: registers the embedded toxicity scorer in Unity Catalog and serves it from an endpoint."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands.env_file import add_env_file, given_env_file

if TYPE_CHECKING:  # heavy imports stay off `--help`
    from bot.databricks.deploy.deployment import Change, Tell
    from config.settings import Settings

EX_OK, EX_FAILED, EX_CONFIG = 0, 1, 78
"""The last is of sysexits.h: something is wrong with the configuration, or a package is missing."""
NEEDED = ("DATABRICKS_HOST", "DATABRICKS_ENDPOINT", "DATABRICKS_MODEL_FULL_NAME", "DATABRICKS_TOKEN|DATABRICKS_CLIENT_ID")
MINUTES = 45.0
"""How long an endpoint may take: Databricks gives 30 minutes for one on CPU, its build not counted."""
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_env_file(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument(
        "--alias", type=_alias, default="champion", metavar="NAME", help="alias of the version that is served (default: champion)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="another model file, as `make train` writes it (default: the one inside)"
    )
    parser.add_argument("--replace", action="store_true", help="take the endpoint over even if it serves another model")
    parser.add_argument("--timeout", type=_minutes, default=MINUTES, metavar="MINUTES", help=f"for the endpoint (default: {MINUTES:g})")


def run(args: argparse.Namespace) -> int:
    """0 when all is as wanted, or it was stopped; 1 when Databricks did not do it; 78 without settings or packages."""
    from config.settings import InvalidSettings, Settings  # noqa: PLC0415

    try:
        settings = Settings.load(given_env_file(args), required=NEEDED)
    except InvalidSettings as error:
        return _refuse(error.problems, EX_CONFIG)
    try:
        return _run(args, settings)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was begun stays, Databricks goes on with it; run it again to go on from there.\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EX_OK)  # MLflow's upload threads would be waited for


def _run(args: argparse.Namespace, settings: "Settings") -> int:
    from bot.databricks.deploy.clients import missing_extra  # noqa: PLC0415

    with _progress() as tell:
        tell("loading MLflow and the Databricks SDK")
        if (missing := missing_extra()) is not None:
            return _refuse([missing], EX_CONFIG)
        from bot.databricks.deploy.refusals import DeploymentFailed  # noqa: PLC0415

        try:
            found = _deploy(args, settings, tell)
        except DeploymentFailed as error:
            return _refuse([str(error)], EX_FAILED)
    _show(found, planned=args.dry_run)
    return EX_OK


def _deploy(args: argparse.Namespace, settings: "Settings", tell: "Tell") -> "list[Change]":
    from bot.databricks.deploy.clients import RETRY_SECONDS, open_workspace  # noqa: PLC0415
    from bot.databricks.deploy.deployment import Deployment, Wanted  # noqa: PLC0415
    from bot.databricks.deploy.endpoints import Endpoints  # noqa: PLC0415
    from bot.databricks.deploy.packing import ServedScorer  # noqa: PLC0415
    from bot.databricks.deploy.registry import Registry  # noqa: PLC0415

    limit = timedelta(minutes=args.timeout)
    scorer = ServedScorer.load(args.model, settings.databricks_input_column)
    workspace = open_workspace(settings, retry_seconds=min(RETRY_SECONDS, max(1, int(limit.total_seconds()))))
    wanted = Wanted.of(settings, alias=args.alias, replace=args.replace)
    deployment = Deployment(wanted, settings, Registry(wanted.model, wanted.alias), Endpoints(workspace), tell)
    return deployment.plan(scorer) if args.dry_run else deployment.run(scorer, limit)


@contextmanager
def _progress() -> "Iterator[Tell]":
    """Steps as lines on standard error; on a terminal, the running one turns and has a clock."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console, told = Console(stderr=True), ""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("starting", total=None)

        def tell(line: str) -> None:
            nonlocal told
            if line != told:
                told = line
                bar.console.print(f"· {line}", markup=False, highlight=False, soft_wrap=True)
                bar.reset(task, description=line)

        yield tell


def _show(found: "Sequence[Change]", *, planned: bool) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("", "was", "would be" if planned else "is now")
    for change in found:
        table.add_row(change.what, change.before, change.after if change.made else "the same")
    console = Console()
    Console(width=max(console.width, 120), highlight=False, markup=False).print(table)
    count = sum(change.made for change in found)
    if planned:
        sys.stdout.write(f"{count} of {len(found)} would change; nothing was written.\n" if count else "Nothing to change.\n")
    else:
        sys.stdout.write(f"{count} of {len(found)} changed. " if count else "Nothing to change. ")
        sys.stdout.write("The endpoint is ready and scores as expected.\n")


def _alias(text: str) -> str:
    if not _ALIAS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of an alias; use letters, digits, - and _")
    return text


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= 24 * 60:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0, at most {24 * 60}")
    return minutes


def _refuse(problems: Sequence[str], code: int) -> int:
    sys.stderr.write("The model was not deployed:\n" + "".join(f"  - {problem}\n" for problem in problems))
    return code
