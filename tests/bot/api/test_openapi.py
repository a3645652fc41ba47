"""The document describes what is served, and what is served is as the document says."""

import asyncio
import os
import re
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel, Field

from bot.api.app import create_app, serve
from bot.api.bodies import Body
from bot.api.routes import ROUTES, Role, Route, answer, body_of, query_of

pytestmark = pytest.mark.integration


class Thing(Body):
    name: str = Field(min_length=1, max_length=20)
    count: int = Field(ge=0, le=10)


class Page(BaseModel):
    limit: int = Field(10, ge=1, le=100, description="How many.")


async def make(request: web.Request) -> web.Response:
    return answer(body_of(request, Thing), 201)


async def show(request: web.Request) -> web.Response:
    limit = query_of(request, Page).limit
    return answer(Thing(name=request.match_info["name"][:20], count=min(10, limit)))


THINGS = [
    Route("POST", "/things/", make, "Make one.", {201: [Thing]}, body=Thing, role=Role.OPERATE, tag="things"),
    Route("GET", "/things/{name}/", show, "Show one.", {200: [Thing]}, query=Page, tag="things"),
]


async def examine(url: str, folder: Path, *more: str) -> tuple[int, str]:
    """schemathesis' verdict about a server: it makes requests, good and bad, from the server's own document."""
    program = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/openapi.json", "--max-examples", "20", "--seed", "1", *more]
    process = await asyncio.create_subprocess_exec(
        *program,
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_every_route_is_in_the_document_and_the_page(tmp_path: Path) -> None:
    app = create_app({}, token=None, max_body=1000, routes=THINGS, render=lambda: ("text/plain", b""))
    async with serve(app, "127.0.0.1", 0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        described = await (await client.get("/api/openapi.json")).json()
        text = await (await client.get("/api/docs")).text()
    assert {re.sub(r":[^}]*}", "}", route.path) for route in app[ROUTES].values()} == set(described["paths"])
    assert described["paths"]["/things/"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Thing")
    assert described["paths"]["/things/{name}/"]["get"]["responses"].keys() >= {"200", "400", "401", "429"}
    assert all(f"</strong> {path}</code>" in text for path in described["paths"])


async def test_strangers_requests_find_nothing(tmp_path: Path) -> None:
    app = create_app({}, token="a-token", max_body=1_000_000, routes=THINGS)
    async with serve(app, "127.0.0.1", 0) as port:
        code, told = await examine(f"http://127.0.0.1:{port}", tmp_path, "-H", "Authorization: Bearer a-token")
    assert code == 0, told
