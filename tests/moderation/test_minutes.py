"""Minutes that nobody covered: a bot that is there and does not hear covers nothing."""

from dataclasses import replace

import pytest

from moderation.health import CallHealth
from moderation.shedding import Shed
from tests.fakes_live import WELL, overload
from tests.moderation.town import A, town

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("deaf", [replace(WELL, server_deafened=True), replace(WELL, connected=False), replace(WELL, listening=False)])
async def test_a_bot_that_hears_nothing_covers_nothing(deaf: CallHealth) -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        at.presence.inside = {A: 1}
        await at.steps.look(2)
        before = at.watch.report(7)[0].uncovered_seconds
        at.gateway.calls[-1].fares = replace(deaf, channel_id=A)
        await at.steps.look(8)
        at.gateway.calls[-1].fares = replace(WELL, channel_id=A)
        await at.steps.look(5)
        assert at.watch.report(7)[0].uncovered_seconds == before + 8.0


async def test_a_channel_that_is_left_out_for_want_of_cpu_is_not_covered() -> None:
    async with town() as at:
        await at.watch.watch(7, A)
        at.presence.inside = {A: 1}
        await at.steps.look(2)
        running = at.sessions.running(7)
        assert running is not None
        before = at.watch.report(7)[0].uncovered_seconds
        overload(at.shedding)
        assert running.shed is Shed.CHANNEL
        await at.steps.look(8)
        assert at.watch.report(7)[0].uncovered_seconds == before + 8.0
