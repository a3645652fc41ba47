"""Somebody else's system that takes webhooks, on 127.0.0.1."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import web

KEY = b"k" * 32
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Receiver:
    """Takes what is signed, refuses the rest with 401; `answers` are given first, then 204."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        """(webhook-id, what was told)."""
        self.requests: list[tuple[Mapping[str, str], bytes]] = []
        """Headers and body of all that came in."""
        self.answers: list[web.Response] = []
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """For EARSHOT_WEBHOOK_URL."""
        return f"http://127.0.0.1:{self._port}/hook"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after `stop`, on the same port again."""
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.0, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Go away."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body, head = await request.read(), request.headers
        self.requests.append((head, body))
        signed = b".".join((head["webhook-id"].encode(), head["webhook-timestamp"].encode(), body))
        right = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        if head["webhook-signature"] != f"v1,{right}":
            return web.Response(status=401)
        self.got.append((head["webhook-id"], json.loads(body)))
        return self.answers.pop(0) if self.answers else web.Response(status=204)
