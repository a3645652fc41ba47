"""A SQL warehouse: what the real connector sends is answered by the real generated service, over a real socket.

POST /sql/1.0/warehouses/{id} ─▶ token? running? ─▶ Processor ─▶ Service ─▶ dialect (sqlglot) ─▶ engine (DuckDB)
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web
from databricks.sql.thrift_api.TCLIService import TCLIService
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TException
from thrift.transport.TTransport import TMemoryBuffer

from tests.loopback.databricks.engine import Engine
from tests.loopback.databricks.thrift import Service
from tests.loopback.databricks.tokens import Tokens

THREADS = 16
"""Requests that are answered at the same time: each may wait for its statement."""


class WarehousePart:
    """One warehouse. `service` tells what it was asked and misbehaves on demand; `service.engine` holds the tables."""

    def __init__(self, tokens: Tokens, warehouse_id: str = "1234567890abcdef", clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, monotonic; how long a start takes is measured by it."""
        self.tokens = tokens
        self.path = f"/sql/1.0/warehouses/{warehouse_id}"
        self.service = Service(Engine())
        self._processor = TCLIService.Processor(self.service)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="loopback warehouse")
        self._clock = clock
        self._starting_takes = 0.0
        self._started_at: float | None = float("-inf")

    def routes(self) -> list[web.RouteDef]:
        """For the workspace's one port."""
        return [web.post(self.path, self._answer), web.post("/sql/1.0/warehouses/{other}", self._unknown)]

    def close(self) -> None:
        for hold in self.service.holds:
            hold.go.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.service.engine.close()

    def expire_sessions(self) -> None:
        """As after hours without a statement."""
        self.service.sessions.clear()

    def stop(self, starting_takes: float) -> None:
        """As after a time without statements: the next request starts it, which takes that many seconds; until then it answers 503."""
        self.service.sessions.clear()
        self._starting_takes, self._started_at = starting_takes, None

    async def _answer(self, request: web.Request) -> web.Response:
        if refusal := self.tokens.refusal(request):
            return refusal
        if self._started_at is None:
            self._started_at = self._clock() + self._starting_takes
        if (left := self._started_at - self._clock()) > 0:
            headers = {"Retry-After": str(int(left) + 1), "x-databricks-reason-phrase": "The warehouse is starting."}
            return web.Response(status=503, headers=headers)
        body = await request.read()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._process, body)
        except (TException, EOFError, ValueError):
            return web.Response(status=400, headers={"x-thriftserver-error-message": "The request is not Thrift."})
        return web.Response(body=answer, content_type="application/x-thrift")

    async def _unknown(self, request: web.Request) -> web.Response:
        refusal = self.tokens.refusal(request)
        return refusal or web.Response(status=404, headers={"x-databricks-reason-phrase": "There is no such warehouse."})

    def _process(self, body: bytes) -> bytes:
        answer = TMemoryBuffer()
        self._processor.process(TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(answer))
        return bytes(answer.getvalue())
