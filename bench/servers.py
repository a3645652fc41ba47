"""Servers under load, each in a process of its own: ours (`python -m bot api`), its peer, and the loopback workspace both ask."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socket
from urllib.error import URLError
from urllib.request import urlopen

from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.tokens import PERSONAL
from tests.loopback.databricks.workspace import LoopbackWorkspace

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "tests" / "speech" / "vosk-model-tiny-en"
START_SECONDS = 60.0
OURS = ("-m", "bot", "api")
PEER = ("-m", "bench.http_peer")


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    pid: int
    port: int

    @property
    def resident(self) -> float:
        """Memory in MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def cpu(self) -> float:
        """Seconds of work so far, of all its threads (proc(5): utime and stime)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def metric(self, name: str) -> float:
        """One figure of `/metrics`."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


@contextmanager
def served(command: tuple[str, ...], cores: set[int] | None = None, **settings: str) -> Iterator[Server]:
    """Run `python command` until the context ends. `cores`: the only ones it may use; `settings`: as in the environment."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        env = {
            **{"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "EARSHOT_DATA_DIR": folder, "VOSK_MODEL_PATH": str(MODEL)},
            **{"API_PORT": str(port), "API_REQUESTS_PER_MINUTE": "0", "LOG_LEVEL": "WARNING", **settings},
        }
        process = stack.enter_context(subprocess.Popen([sys.executable, *command], cwd=folder, env=env))  # noqa: S603
        stack.callback(process.terminate)
        if cores:
            os.sched_setaffinity(process.pid, cores)
        _wait(process, f"http://127.0.0.1:{port}/databricks/products/")
        yield Server(process.pid, port)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(url):  # noqa: S310 - our own server
                return
        except (URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"a server did not start; its exit code: {process.poll()}")


@contextmanager
def workspace() -> Iterator[dict[str, str]]:
    """A loopback workspace with a serving endpoint; the settings that lead to it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_workspace, args=(there,), daemon=True)
    process.start()
    try:
        yield {"DATABRICKS_HOST": here.recv(), "DATABRICKS_TOKEN": PERSONAL, "DATABRICKS_ENDPOINT": "toxicity"}
    finally:
        process.terminate()
        process.join()


def _workspace(told: Connection) -> None:
    async def run() -> None:
        async with LoopbackWorkspace(ServingPart()) as opened:
            told.send(opened.url)
            await asyncio.Event().wait()

    asyncio.run(run())
