"""`/health`: the process lives. `/ready`: can it do its work, and what of it is missing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field, RootModel

from bot.api.routes import Role, Route, answer
from moderation.errors import ModerationError

log = logging.getLogger(__name__)

DEPENDENCIES = ("discord", "vosk", "lexicon", "database", "databricks_sql", "databricks_serving")
"""What `/ready` always speaks of, in this order."""

PROBE_SECONDS = 3.0
"""How long one probe may take; they all run at once."""
CACHE_SECONDS = 2.0
"""How long an answer is given again, so that a crowd of askers costs no more than one."""


class Status(StrEnum):
    """How a dependency fares."""

    OK = "ok"
    OFF = "off"
    """Not configured, and not missed."""
    DEGRADED = "degraded"
    """It works, with less than it should."""
    DOWN = "down"
    """It does not work: the process is not ready."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found."""

    status: Status
    detail: str = ""
    """For people: what is wrong and what to do. `/ready` is open to all, so no secrets and nothing that was said."""


Probe = Callable[[], Awaitable[ProbeResult]]
"""Looks at one dependency. May raise; may be cancelled when it takes too long."""

_OFF = ProbeResult(Status.OFF, "not in use")


class Readiness:
    """Asks all probes at once, and remembers what they said for a moment."""

    def __init__(
        self,
        probes: Mapping[str, Probe],
        clock: Callable[[], float],
        *,
        timeout: float = PROBE_SECONDS,
        cache: float = CACHE_SECONDS,
    ) -> None:
        """`clock`: monotonic seconds; `timeout` and `cache`: seconds."""
        self._probes = dict(probes)
        self._clock = clock
        self._timeout = timeout
        self._cache = cache
        self._running: dict[str, asyncio.Task[ProbeResult]] = {}
        self._known: tuple[float, dict[str, ProbeResult]] | None = None
        self._asking = asyncio.Lock()

    async def check(self) -> dict[str, ProbeResult]:
        """Every dependency's state; never takes longer than the timeout, never raises."""
        async with self._asking:
            if self._known is None or self._clock() - self._known[0] >= self._cache:
                found = await self._ask()
                self._known = (self._clock(), found)
            return self._known[1]

    async def _ask(self) -> dict[str, ProbeResult]:
        for name, probe in self._probes.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = asyncio.create_task(_guarded(name, probe), name=f"probe {name}")
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self._timeout)
        return {name: self._result(name) for name in (*DEPENDENCIES, *(n for n in self._probes if n not in DEPENDENCIES))}

    def _result(self, name: str) -> ProbeResult:
        task = self._running.get(name)
        if task is None:
            return _OFF
        if not task.done():  # it stays until it really ends, so that there is never a second one
            task.cancel()
            return ProbeResult(Status.DOWN, f"no answer within {self._timeout:g} seconds")
        del self._running[name]
        return ProbeResult(Status.DOWN, "the check was cancelled") if task.cancelled() else task.result()

    async def aclose(self) -> None:
        """Cancel the probes that still run."""
        for task in self._running.values():
            task.cancel()


READINESS = web.AppKey("readiness", Readiness)
"""The application's own."""


async def _guarded(name: str, probe: Probe) -> ProbeResult:
    try:
        return await probe()
    except ModerationError as error:
        return ProbeResult(Status.DOWN, str(error))
    except Exception as error:
        log.warning("a probe failed", extra={"dependency": name, "error": type(error).__name__})
        return ProbeResult(Status.DOWN, f"the check failed with {type(error).__name__}; the log has more")


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Dependency(BaseModel):
    """How a dependency fares."""

    status: Status
    detail: str = Field(description="What is wrong and what to do, for people.")


class Ready(RootModel[dict[str, Dependency]]):
    """Dependency → how it fares."""


def routes(readiness: Readiness) -> Sequence[Route]:
    """`GET /health` and `GET /ready`, open to all."""

    async def health(request: web.Request) -> web.Response:
        return answer(Health())

    async def ready(request: web.Request) -> web.Response:
        found = await readiness.check()
        status = 503 if any(r.status is Status.DOWN for r in found.values()) else 200
        return answer(Ready({name: Dependency(status=r.status, detail=r.detail) for name, r in found.items()}), status)

    return [
        Route("GET", "/health", health, "Whether the process lives.", {200: [Health]}, role=Role.OPEN, tag="health"),
        Route("GET", "/ready", ready, "Whether it can do its work.", {200: [Ready], 503: [Ready]}, role=Role.OPEN, tag="health"),
    ]
