"""What no client should send, to every address of the whole HTTP side: always one of our errors, never a fault, never a traceback."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from bot.http_only import open_http_only
from config.settings import Settings
from tests.scenario import MODEL

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

TOKEN = "a-token"
PATIENCE = 60.0
FORM = b"Content-Type: application/x-www-form-urlencoded"
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

HEADERS: dict[str, bytes] = {
    "an origin that is no address": b"Origin: http://[",
    "an origin of nothing": b"Origin:",
    "an origin in another alphabet": "Origin: http://ä".encode(),
    "an unknown language": b"Accept-Language: \xff",
    "an unreadable wish": b"Accept: ;;q=x,/,text/html;q=nan",
    "a wish that is endless": b"Accept: " + b"a," * 3000,
    "a cookie of rubbish": b'Cookie: earshot="\\; =;;;\xff',
    "an expectation": b"Expect: the unexpected",
    "a range": b"Range: bytes=9-1",
    "a date": b"If-Modified-Since: yesterday",
    "an id with a line break in disguise": b"X-Request-ID: a%0d%0ab\t\xc2\x85",
    "a method in disguise": b"X-HTTP-Method-Override: DELETE",
    "a foreign address in disguise": b"X-Forwarded-Host: [\r\nX-Forwarded-For: \xff\r\nForwarded: for=[",
    "half a handshake": b"Upgrade: websocket\r\nConnection: Upgrade",
    "a handshake with a key that is none": UPGRADE + b"Sec-WebSocket-Key: x",
    "a handshake with a key in another alphabet": UPGRADE + "Sec-WebSocket-Key: ääääääääääääääää".encode(),
    "a handshake of an unknown version": UPGRADE.replace(b"13", b"99") + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "an upgrade to something else": b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
}
"""Beside what is right."""

BODIES: dict[str, tuple[bytes, bytes]] = {
    "gzip that is none": (b"Content-Encoding: gzip", b"not gzip at all"),
    "deflate that is none": (b"Content-Encoding: deflate", b"not deflate at all"),
    "brotli that is none": (b"Content-Encoding: br", b"not brotli at all"),
    "zstandard that is none": (b"Content-Encoding: zstd", b"not zstandard at all"),
    "an encoding that nobody knows": (b"Content-Encoding: rot13", b"{}"),
    "several encodings": (b"Content-Encoding: gzip, gzip", b"{}"),
    "a form in no alphabet": (FORM + b"; charset=foo", b"token=x"),
    "a form in UTF-16": (FORM + b"; charset=utf-16", b"t\0=\0"),
    "a form that is no text": (FORM, b"token=\xff"),
    "a form that is no text, escaped": (FORM, b"token=%FF&%ff=%zz"),
    "a form of too many fields": (FORM, b"a&" * 500),
    "a form without end": (FORM, b"a" * 100_000),
    "a form of files": (b"Content-Type: multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\ny\r\n--x--"),
    "a form without boundary": (b"Content-Type: multipart/form-data", b"y"),
    "JSON in no alphabet": (b"Content-Type: application/json; charset=foo", b"{}"),
    "JSON that is no text": (b"Content-Type: application/json", b'{"text":"\xff"}'),
    "JSON without end": (b"Content-Type: application/json", b"[" * 10_000),
    "a type that is none": (b'Content-Type: ;;="', b"{}"),
    "a charset that is none": (b'Content-Type: application/json; charset="\xff', b"{}"),
}
"""Header and body."""

NO_HTTP: dict[str, bytes] = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a version from the future": b"GET /health HTTP/9.9\r\n\r\n",
    "an address that is none": b"GET http://[/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method that is none": b"G@T /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header that is none": b"GET /health HTTP/1.1\r\nHost localhost\r\n\r\n",
    "a header of nothing": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "a header without end": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "headers without end": b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 500 + b"\r\n",
    "an address without end": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a length that is none": b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and pieces": b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a transfer that is none": b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: rot13\r\n\r\n",
    "pieces of no size": b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a host that is none": b"GET /nothing HTTP/1.1\r\nHost: [\r\nAuthorization: Bearer a-token\r\n\r\n",
}


@dataclass(frozen=True, slots=True)
class Site:
    port: int
    paths: dict[str, dict[str, Any]]
    """Everything that is served, as the document says."""

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Method and address, also of what is not there."""
        yield from ((method.upper(), path) for path, methods in self.paths.items() for method in methods)
        yield from [("GET", "/nothing"), ("POST", "/nothing"), ("TRACE", "/health"), ("PUT", "/sign-in")]

    def shows_page(self, method: str, path: str, status: int) -> bool:
        """Whether a form's page is the answer."""
        operation = self.paths.get(path, {}).get(method.lower(), {"responses": {}})
        return "text/html" in operation["responses"].get(str(status), {}).get("content", {})


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: str
    body: bytes

    @property
    def sound(self) -> bool:
        """No fault of ours; and if it is an error, one of those that we make."""
        if self.status < 400:
            return True
        if self.status >= 500 or "application/json" not in self.headers or "nosniff" not in self.headers:
            return False
        return set(json.loads(self.body)) == {"error", "code"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    settings = Settings(
        database_url=SecretStr(f"sqlite:///{folder}/e.db"),
        earshot_data_dir=folder,
        vosk_model_path=str(MODEL),
        api_port=0,
        api_token=SecretStr(TOKEN),
        api_requests_per_minute=0,
    )
    async with open_http_only(settings) as port, aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        paths = (await (await client.get(f"http://127.0.0.1:{port}/api/openapi.json")).json())["paths"]
        yield Site(port, paths)


async def ask(port: int, request: bytes) -> Answer:
    """The answer to exactly these bytes. Nothing at all counts as refused: the line was closed."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = next((int(line.partition(":")[2]) for line in head.splitlines() if line.startswith("content-length:")), 0)
            status = int(head.split()[1])
            return Answer(status, head, await reader.readexactly(length) if status >= 400 else b"")
        finally:
            writer.close()


async def everywhere(site: Site, headers: bytes, body: bytes = b"") -> dict[str, Answer]:
    """Each address' answer that is not sound."""
    wrong = {}
    for method, path in site.addresses():
        given = path.replace("{product_name}", "x").replace("{name}", "icon.svg")
        always = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}".encode()
        answer = await ask(site.port, f"{method} {given} HTTP/1.1\r\n".encode() + always + b"\r\n" + headers + b"\r\n\r\n" + body)
        if not answer.sound and not site.shows_page(method, path, answer.status):
            wrong[f"{method} {path}"] = answer
    return wrong


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_headers(site: Site, headers: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert await everywhere(site, headers) == {}
    assert faults(caplog) == []


@pytest.mark.parametrize(("header", "body"), BODIES.values(), ids=BODIES)
async def test_bodies(site: Site, header: bytes, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert await everywhere(site, header, body) == {}
    assert faults(caplog) == []


@pytest.mark.parametrize("request_", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http(site: Site, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask(site.port, request_)
    assert answer.sound, answer
    assert answer.status >= 400
    assert "server: earshot" in answer.headers
    assert faults(caplog) == []


async def test_what_is_really_gzip_is_read(site: Site) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}", "Content-Encoding": "gzip"}) as client:
        sent = await client.post(f"http://127.0.0.1:{site.port}/api/ml/predict", data=gzip.compress(b'{"text":"hello"}'))
        assert sent.status == 200


async def test_they_are_counted(site: Site) -> None:
    await ask(site.port, NO_HTTP["TLS"])
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        figures = await (await client.get(f"http://127.0.0.1:{site.port}/metrics")).text()
    assert 'method="other",route="unknown",status="400"' in figures


@pytest.mark.parametrize("path", ["/sign-in", "/api/ml/predict", "/api/voicechat/transcribe/?stream_id=a"])
async def test_who_leaves_in_the_middle_is_counted_and_no_fault(site: Site, path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\ntoken".encode())
    await writer.drain()
    await ask(site.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")  # by now the other one is being read
    writer.close()
    route = path.partition("?")[0]
    figures = ""
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        while f'route="{route}",status="499"' not in figures:
            figures = await (await client.get(f"http://127.0.0.1:{site.port}/metrics")).text()
    assert faults(caplog) == []
