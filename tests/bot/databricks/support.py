"""A workspace with a warehouse, and our side of it."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bot.databricks.auth import PersonalToken
from bot.databricks.connection import Address
from bot.databricks.warehouse import CHANGE_SECONDS, Warehouse
from tests.loopback.databricks.engine import Engine
from tests.loopback.databricks.thrift import Service
from tests.loopback.databricks.tokens import PERSONAL, Tokens
from tests.loopback.databricks.warehouse import WarehousePart
from tests.loopback.databricks.workspace import LoopbackWorkspace


class FakeClock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """One workspace with one warehouse. Clients are made by `client`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tokens = Tokens()
        self.clock = FakeClock()
        self.part = WarehousePart(self.tokens, clock=self.clock)
        self.workspace = LoopbackWorkspace(self.part, tls=tls)
        self.faults = self.workspace.faults

    @property
    def service(self) -> Service:
        return self.part.service

    @property
    def engine(self) -> Engine:
        return self.part.service.engine

    @property
    def address(self) -> Address:
        return Address(self.workspace.url, self.part.path)

    @asynccontextmanager
    async def client(
        self,
        *,
        token: str = PERSONAL,
        readers: int = 2,
        max_waiting: int = 32,
        deadline: float = 20.0,
        change_seconds: float = CHANGE_SECONDS,
        clock: Callable[[], float] | None = None,
    ) -> AsyncIterator[Warehouse]:
        warehouse = Warehouse(
            self.address,
            PersonalToken(token),
            readers=readers,
            max_waiting=max_waiting,
            deadline=deadline,
            change_seconds=change_seconds,
            clock=clock or self.clock,
        )
        try:
            yield warehouse
        finally:
            for hold in self.service.holds:
                hold.go.set()
            self.workspace.released.set()
            await warehouse.aclose()
