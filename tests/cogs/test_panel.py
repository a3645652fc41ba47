"""The live panel: what it says, and how long it lives."""

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime

import discord
import pytest

from cogs.lists import listed
from cogs.panel import MAX_PANELS, STOPPED, LivePanels, Look, degraded, idle_panel, live_panel, watched_lines
from moderation.health import CallHealth, Unheard
from moderation.models import Coverage, Session, Speaker
from moderation.seats import WatchedReport
from tests.fakes_live import WELL

pytestmark = pytest.mark.unit

SESSION = Session("s1", 7, 8, datetime(2030, 1, 1, tzinfo=UTC), "General")


def look(health: CallHealth = WELL) -> Look:
    return Look(SESSION, (Coverage(Speaker(5, "Eve"), 10.0, 9.9),), health)


def fields(embed: discord.Embed) -> dict[str | None, str | None]:
    return {each.name: each.value for each in embed.fields}


def test_a_call_without_trouble() -> None:
    embed = live_panel(look())
    shown = fields(embed)
    assert (embed.title, shown["All well"]) == ("Listening", "Everybody who may be heard is heard.")
    assert shown["Line"] == "1.0% lost, delay 20 ms\n0 reconnects, 0 re-keys"
    assert shown["Encryption"] == "DAVE epoch 3\nprivacy code `12345 12345 12345 12345 12345 12345`"
    assert "99% of 10 s" in (shown["Eve"] or "")


def test_many_watched_channels_are_cut_between_lines() -> None:
    lines = [f"<#{number:019d}>: 0 there now, 10 min not covered since <t:1795258995:R>" for number in range(25)]
    for embed in (idle_panel((), lines), live_panel(replace(look(), watched=tuple(lines)))):
        shown = fields(embed)["Watched"] or ""
        assert len(shown) <= 1024
        kept = shown.splitlines()
        assert kept[:-1] == [f"• {line}" for line in lines[: len(kept) - 1]]
        assert kept[-1] == f"and {25 - len(kept) + 1} more"


def test_what_fits_is_shown_whole() -> None:
    assert listed(["one", "two"], 30) == "one\ntwo"


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (replace(WELL, connected=False), "connection is down"),
        (replace(WELL, listening=False), "have not been told"),
        (replace(WELL, server_deafened=True), "undeafen me"),
        (replace(WELL, unheard=(Unheard(Speaker(5), 12.0),)), "Not heard for 12 s: <@5>"),
        (replace(WELL, unheard=(Unheard(Speaker(0), 12.0),)), "cannot tell who"),
        (replace(WELL, lost=30), "of the packets are lost"),
        (replace(WELL, dropped=3), "3 frames"),
    ],
)
def test_what_is_wrong_is_said(health: CallHealth, said: str) -> None:
    assert not degraded(WELL)
    (line,) = degraded(health)
    assert said in line
    embed = live_panel(look(health))
    assert said in (fields(embed)["Not well"] or "")
    assert embed.colour == discord.Colour.red()


def test_what_else_is_away_is_said() -> None:
    shown = fields(live_panel(replace(look(), troubles=("The serving endpoint toxicity cannot be reached. The lexicon goes on.",))))
    assert shown["Not well"] == "• The serving endpoint toxicity cannot be reached. The lexicon goes on."


def test_an_unencrypted_call_and_an_unmeasured_delay() -> None:
    shown = fields(live_panel(look(replace(WELL, dave_version=0, latency=math.inf))))
    assert shown["Encryption"] == "not end-to-end"
    assert "not measured yet" in (shown["Line"] or "")


def test_a_crowd_fits_into_an_embed() -> None:
    crowd = tuple(Coverage(Speaker(n, "N" * 32), 10.0, 9.9) for n in range(100))
    deaf = replace(WELL, unheard=tuple(Unheard(Speaker(10**18 + n), 12.0) for n in range(100)))
    embed = live_panel(Look(SESSION, crowd, deaf))
    assert len(embed.fields) <= 25
    assert len(embed) <= 6000
    assert all(len(each.value or "") <= 1024 for each in embed.fields)


class FakeResponse:
    """What discord.py's exceptions want to know of an answer."""

    status, reason = 500, "Internal Server Error"


class FakeAsker:
    """An interaction as far as a panel needs it."""

    def __init__(self, user_id: int = 1) -> None:
        self.guild_id, self.user, self.edits = 7, discord.Object(user_id), list[discord.Embed]()
        self.failures: list[Exception] = []

    async def edit_original_response(self, *, embed: discord.Embed) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.edits.append(embed.copy())


async def test_a_panel_changes_with_the_call_and_says_when_it_is_over() -> None:
    panels, asker = LivePanels(every=0.0), FakeAsker()
    looks: list[Look | None] = [look(), look(), look(replace(WELL, dropped=3)), None]
    panels.keep(asker, lambda: looks.pop(0))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while len(panels):  # noqa: ASYNC110 - it ends by itself
            await asyncio.sleep(0)
    assert [each.title for each in asker.edits] == ["Listening", "Listening", "Left"]


async def test_a_lost_connection_does_not_end_a_panel() -> None:
    panels, asker = LivePanels(every=0.0), FakeAsker()
    asker.failures = [ConnectionResetError(), discord.HTTPException(FakeResponse(), None)]  # type: ignore[arg-type]
    looks: list[Look | None] = [look(), look(replace(WELL, dropped=3)), look(replace(WELL, dropped=4)), None]
    panels.keep(asker, lambda: looks.pop(0))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while len(panels):  # noqa: ASYNC110 - it ends by itself
            await asyncio.sleep(0)
    assert [each.title for each in asker.edits] == ["Listening", "Left"]


async def test_an_old_panel_says_that_it_is_no_longer_updated() -> None:
    panels, asker = LivePanels(every=0.001, life=0.02), FakeAsker()
    panels.keep(asker, look)  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while len(panels):  # noqa: ASYNC110 - it ends by itself
            await asyncio.sleep(0.001)
    assert asker.edits[-1].footer.text == STOPPED


async def test_asking_again_replaces_the_panel_and_their_number_is_bounded() -> None:
    panels, asker = LivePanels(), FakeAsker()
    panels.keep(asker, look)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    panels.keep(asker, look)  # type: ignore[arg-type]
    assert len(panels) == 1
    for user_id in range(2 * MAX_PANELS):
        panels.keep(FakeAsker(user_id), look)  # type: ignore[arg-type]
    assert len(panels) == MAX_PANELS
    panels.close()
    async with asyncio.timeout(60):
        while len(panels):  # noqa: ASYNC110 - they end by themselves
            await asyncio.sleep(0)
    assert asker.edits[-1].footer.text == STOPPED


def test_what_was_not_covered_and_when_the_bot_did_not_run_are_told_apart() -> None:
    since = datetime(2030, 1, 1, tzinfo=UTC)
    report = [
        WatchedReport(81, 2, 125.0, 600.0, since, held=False),
        WatchedReport(82, 0, 0.0, 5.0, since, held=True),
    ]
    first, second = watched_lines(report)
    assert first == f"<#81>: 2 there now, 2 min not covered and 10 min not running since <t:{int(since.timestamp())}:R>"
    assert second == "<#82>: 0 there now, waiting until everybody has left because a moderator sent me away"
