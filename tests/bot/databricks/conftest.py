"""Fixtures of the Databricks tests."""

from collections.abc import AsyncIterator

import pytest

from bot.databricks.warehouse import Warehouse
from tests.bot.databricks.support import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    async with stage.workspace:
        yield stage


@pytest.fixture
async def warehouse(stage: Stage) -> AsyncIterator[Warehouse]:
    async with stage.client() as warehouse:
        yield warehouse
