"""Alert cards on their way into a real channel: one message per alert, whatever the network does; errors that say what to do."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moderation.errors import DeliveryFailed
from moderation.models import Alert, AlertState, Level, Session, Speaker, TranscriptSegment, Verdict
from moderation.ports import AlertDelivery
from moderation.settings import GuildSettings
from tests.loopback.faults import Fault
from tests.loopback.permissions import Permission
from tests.scenario import Stage, open_stage

pytestmark = pytest.mark.integration


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        yield opened


def delivery(stage: Stage) -> tuple[AlertDelivery, Alert, GuildSettings]:
    session = Session("0123", stage.guild.id, stage.lobby.id, datetime.now(UTC))
    segment = TranscriptSegment("0123", stage.members["Ben"].id, 0, 1.0, 2.0, "you idiot", final=True)
    alert = Alert(segment.id, session, Speaker(segment.speaker_id, "Ben"), segment, Verdict(level=Level.ALERT), AlertState.EARLY)
    return stage.app.services.delivery, alert, GuildSettings(stage.guild.id, alert_channel_id=stage.alerts.id)


async def test_post_and_edit_keep_one_message_and_its_clip(stage: Stage) -> None:
    door, alert, settings = delivery(stage)
    message_id = await door.post(alert, settings, b"OggS one")
    assert message_id
    await door.edit(replace(alert, state=AlertState.CONFIRMED), settings, message_id, None)
    (card,) = stage.cards()
    assert [a.data for a in card.attachments] == [b"OggS one"]
    assert "Confirmed" in card.embeds[0]["footer"]["text"]
    await door.edit(alert, settings, message_id, b"OggS two")
    assert [a.data for a in stage.cards()[0].attachments] == [b"OggS two"]


async def test_a_post_whose_answer_was_lost_is_not_a_second_message_when_retried(stage: Stage) -> None:
    door, alert, settings = delivery(stage)
    stage.discord.faults.append(Fault("POST", r"/channels/\d+/messages", drop=True, when="after"))
    with pytest.raises(DeliveryFailed) as lost:
        await door.post(alert, settings, None)
    assert lost.value.retryable
    assert await door.post(alert, settings, None) == stage.cards()[0].id
    assert len(stage.cards()) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_discord_that_stumbles_may_be_asked_again(stage: Stage, status: int) -> None:
    door, alert, settings = delivery(stage)
    stage.discord.faults.append(Fault("POST", r"/channels/\d+/messages", times=1, status=status))
    failures = []
    for _ in range(2):
        try:
            await door.post(alert, settings, None)
        except DeliveryFailed as error:
            failures.append(error)
    assert all(f.retryable for f in failures)
    assert len(stage.cards()) == 1


async def test_a_missing_permission_and_a_missing_channel_say_what_to_do(stage: Stage) -> None:
    door, alert, settings = delivery(stage)
    stage.discord.overwrite(stage.alerts, stage.discord.bot_role(stage.guild), deny=Permission.SEND_MESSAGES)
    with pytest.raises(DeliveryFailed, match="Send Messages") as refused:
        await door.post(alert, settings, None)
    assert refused.value.retryable, "somebody may grant it"
    assert refused.value.retry_after >= 60.0
    stage.discord.remove_channel(stage.alerts)
    with pytest.raises(DeliveryFailed, match="/alerts channel"):
        await door.post(alert, settings, None)


async def test_without_a_channel_nothing_is_posted(stage: Stage) -> None:
    door, alert, settings = delivery(stage)
    assert await door.post(alert, replace(settings, alert_channel_id=None), None) is None
    assert stage.cards() == []
