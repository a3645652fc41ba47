"""The fault table: it names every fault there is, and its measure measures."""

import asyncio
from pathlib import Path

import pytest

from tests import faults

WANTED = (
    *("4006", "4009", "4014 with a move", "4014 without a move", "4015", "4021", "4022", "close 1000", "TCP abort", "kick", "crash"),
    *("VOICE_SERVER_UPDATE", "resumes", "fresh identify", "shards reconnects", "moderator moves", "does not answer", "Move Members"),
    *("stage channel", "server-deafened", "AFK", "alone", "HTTP 500", "HTTP 429", "no HTTP answer", "locked", "disk full", "kill -9"),
    "CPU overload",
)


@pytest.mark.unit
@pytest.mark.parametrize("fault", WANTED)
def test_the_table_has_it(fault: str) -> None:
    assert [name for name in faults.FAULTS if fault in name]


@pytest.mark.unit
def test_the_table_names_nobody() -> None:
    shown = faults.masked("I left <#123> at <t:1795258995:T>.\n<@456> was not heard | <t:1:R>")
    assert shown == "I left #channel at 12:00:00. @member was not heard / 12:00:00"


@pytest.mark.integration
async def test_a_close_that_costs_a_reconnect_comes_back(tmp_path: Path) -> None:
    row = await faults.FAULTS["voice close 4006"](tmp_path)
    assert float(row.recovery.removesuffix(" s")) < faults.PATIENCE


@pytest.mark.integration
async def test_a_gap_is_measured(tmp_path: Path) -> None:
    async def a_second_of_nothing(at: faults.Scene) -> None:
        session = at.stage.voice.client(at.bot_id)
        session.unserved = True
        await asyncio.sleep(1.0)
        session.unserved = False

    row = await faults.in_a_call(tmp_path, cause=a_second_of_nothing)
    lost, recovery = (float(value.removesuffix(" s")) for value in (row.lost, row.recovery))
    assert 0.9 <= recovery < faults.PATIENCE
    assert 0 < lost < faults.PATIENCE
