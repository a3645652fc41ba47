"""What tests of streams share: an application with some addresses, and waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api.app import create_app
from bot.api.routes import Route

Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def served(routes: list[Route]) -> AsyncIterator[Client]:
    """An application with these addresses."""
    async with TestClient(TestServer(create_app({}, token=None, max_body=5_000_000, routes=routes))) as client:
        yield client


async def until(condition: Callable[[], object]) -> None:
    """Wait for what is no event of ours."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
