"""Commands while the database is locked: Discord waits three seconds for a first answer, the lock is waited for longer."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cogs.errors import DATABASE_AWAY
from tests.loopback.state import Member
from tests.scenario import Stage, open_stage

pytestmark = pytest.mark.integration

Use = tuple[Callable[[Stage], Member], str, dict[str, Any]]
MODERATORS: list[Use] = [
    (lambda stage: stage.moderator, "privacy retention", {"transcripts": 5, "alerts": 5}),
    (lambda stage: stage.moderator, "lexicon add", {"term": "wolf"}),
    (lambda stage: stage.moderator, "lexicon remove", {"term": "dog"}),
    (lambda stage: stage.members["Ada"], "privacy opt-in", {}),
]


async def test_every_command_that_saves_answers_in_time_and_says_what_to_do(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        await stage.discord.slash(stage.moderator, stage.alerts, "lexicon add", timeout=30.0, term="dog")
        other = sqlite3.connect(tmp_path / "earshot.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            uses = [*MODERATORS, (lambda stage: stage.moderator, "alerts channel", {"channel": stage.alerts})]
            asked = [stage.discord.slash(who(stage), stage.alerts, command, timeout=60.0, **options) for who, command, options in uses]
            *replies, opted_out = await asyncio.gather(
                *asked, stage.discord.slash(stage.members["Ben"], stage.alerts, "privacy opt-out", timeout=60.0)
            )
        finally:
            other.execute("ROLLBACK")
            other.close()
        assert all(reply.deferred for reply in (*replies, opted_out))
        assert [reply.embeds[0]["description"] for reply in replies] == [DATABASE_AWAY] * len(uses)
        assert "could not save that" in opted_out.embeds[0]["description"]
        assert not stage.app.services.privacy.standing(stage.guild.id, stage.members["Ben"].id).heard
