"""A serving endpoint on a socket, and the real client for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp

from bot.databricks.auth import Credentials, PersonalToken
from bot.scoring.breaker import Breaker
from bot.scoring.databricks import DatabricksScorer
from bot.scoring.serving import ServingEndpoint, address
from config.output_specs import OutputSpec
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.tokens import PERSONAL
from tests.loopback.databricks.workspace import LoopbackWorkspace


class FakeCredentials:
    """Gives one token after the other, a new one after each refusal; the last one for good."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    async def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    def rejected(self, headers: Mapping[str, str]) -> None:
        if len(self.tokens) > 1:
            self.tokens.pop(0)

    async def aclose(self) -> None:
        pass


def refusing(status: int, *, retry_after: float | None = None, times: int = 1) -> Fault:
    """Invocations are refused before anything is done."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    code = b"REQUEST_LIMIT_EXCEEDED" if status == 429 else b"TEMPORARILY_UNAVAILABLE"
    return Fault("/invocations", status=status, headers=headers, times=times, answer=b'{"error_code": "' + code + b'", "message": "no"}')


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def asking(
    workspace: LoopbackWorkspace,
    credentials: Credentials | None = None,
    name: str = "toxicity",
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[ServingEndpoint]:
    async with workspace, aiohttp.ClientSession() as session:
        who = credentials or PersonalToken(PERSONAL)
        yield ServingEndpoint(session, address(workspace.url, name), who, clock=clock, first_pause=0.001)


@asynccontextmanager
async def scoring(
    workspace: LoopbackWorkspace | None = None,
    credentials: Credentials | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    deadline: float = 5.0,
    breaker: Breaker | None = None,
    spec: OutputSpec = OutputSpec(),  # noqa: B008 (frozen)
    concurrency: int = 4,
    max_waiting: int = 256,
) -> AsyncIterator[DatabricksScorer]:
    async with asking(workspace or LoopbackWorkspace(ServingPart()), credentials, clock=clock) as endpoint:
        scorer = DatabricksScorer(
            endpoint,
            column="text",
            spec=spec,
            threshold=0.7,
            deadline=deadline,
            clock=clock,
            breaker=breaker,
            concurrency=concurrency,
            max_waiting=max_waiting,
        )
        async with scorer:
            yield scorer
