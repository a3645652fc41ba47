"""`/privacy` as members use it: real client, real DAVE, real audio."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sources.discord import DiscordSource
from bot.voice.stats import SpeakerStats
from moderation.consent import ConsentMode
from moderation.models import Session
from tests.bot.voice.support import until
from tests.loopback.replies import Reply
from tests.loopback.state import Member
from tests.scenario import Line, Stage, conversation, open_stage

pytestmark = pytest.mark.integration

SAID = {line.text: line for line in conversation()}
THREAT = SAID["i hate you go and kill yourself"]
LOSER = SAID["shut up you pathetic loser"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        yield opened


async def use(stage: Stage, member: Member, command: str, **options: str | int) -> str:
    reply: Reply = await stage.discord.slash(member, stage.alerts, command, timeout=30.0, **options)
    assert reply.ephemeral, "what people decide about themselves is for their eyes only"
    return reply.content + str(reply.embeds)


def session_of(stage: Stage) -> tuple[Session, DiscordSource]:
    running = stage.app.services.sessions.running(stage.guild.id)
    assert running is not None
    assert isinstance(running.source, DiscordSource)
    return running.session, running.source


def counters(stage: Stage, member: Member) -> SpeakerStats | None:
    return session_of(stage)[1].statistics()[0].get(member.id)


def decrypted(stage: Stage, member: Member) -> int:
    counted = counters(stage, member)
    return counted.decrypted if counted is not None else 0


def refused(stage: Stage, member: Member) -> int:
    counted = counters(stage, member)
    return counted.refused if counted is not None else 0


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def say(stage: Stage, member: Member, line: Line) -> tuple[bytes, ...]:
    return (await stage.voice.human(member.id).say(line.path)).packets


async def test_who_opts_out_while_speaking_is_not_decrypted_any_more_and_heard_again_after_opting_in(stage: Stage, tmp_path: Path) -> None:
    await stage.begin()
    ben = stage.members["Ben"]
    speaking = asyncio.create_task(say(stage, ben, THREAT))
    await until(lambda: decrypted(stage, ben) > 20)
    assert "no longer heard" in await use(stage, ben, "privacy opt-out")
    opened = decrypted(stage, ben)
    before = await speaking
    hidden = await say(stage, ben, THREAT)
    await until(lambda: refused(stage, ben) >= len(hidden))
    assert decrypted(stage, ben) == opened
    session, _ = session_of(stage)
    assert stage.app.evidence.clip(session.id, ben.id, 0.0, 1e6) is None
    assert "privacy opt-in" in await use(stage, ben, "privacy status")
    panel = await use(stage, stage.moderator, "voice status")
    assert f"<@{ben.id}>" in panel.split("Not heard")[1]
    assert "heard 100%" in panel
    await use(stage, ben, "privacy opt-in")
    heard = await say(stage, ben, LOSER)
    await stage.settle()
    assert stage.alerted() == {LOSER.text}
    (card,) = stage.cards()
    (clip,) = card.attachments
    assert sum(packet in clip.data for packet in heard) > len(heard) / 2, "but for those that two Ogg pages share"
    stored = on_disk(tmp_path)
    assert b"OpusHead" in clip.data
    assert b"OpusHead" not in stored
    assert LOSER.text.encode() in stored
    assert not [packet for packet in heard if len(packet) > 20 and packet in stored], "audio is held in memory only"
    assert not [packet for packet in (*before, *hidden) if len(packet) > 20 and packet in clip.data]


async def test_when_only_those_who_opt_in_are_heard_the_notice_says_how(stage: Stage) -> None:
    await stage.begin()
    ada, ben = stage.members["Ada"], stage.members["Ben"]
    assert "opt-out" in (stage.lobby.status or "")
    speaking = asyncio.create_task(say(stage, ben, THREAT))
    await until(lambda: decrypted(stage, ben) > 20)
    assert "only members who opt in" in await use(stage, stage.moderator, "privacy mode", mode=ConsentMode.OPT_IN.value)
    opened = decrypted(stage, ben)
    assert "/privacy opt-in" in (stage.lobby.status or "")
    await speaking
    hidden = await say(stage, ada, LOSER)
    await until(lambda: refused(stage, ada) >= len(hidden))
    assert decrypted(stage, ben) == opened
    assert decrypted(stage, ada) == 0
    await use(stage, ben, "privacy opt-in")
    await say(stage, ben, LOSER)
    await stage.settle()
    assert stage.alerted() == {LOSER.text}
    assert [name for name, _ in stage.watcher.segments] == ["Ben"]
    await use(stage, stage.moderator, "privacy mode", mode=ConsentMode.OPT_OUT.value)
    assert "opt-out" in (stage.lobby.status or "")
    await say(stage, ada, THREAT)
    await until(lambda: decrypted(stage, ada))
    await stage.settle()


async def test_moderators_may_shorten_what_is_kept_and_a_member_may_not(stage: Stage) -> None:
    assert "at most" in await use(stage, stage.moderator, "privacy retention", transcripts=31, alerts=1)
    assert "permission" in await use(stage, stage.members["Ada"], "privacy retention", transcripts=1, alerts=1)
    await use(stage, stage.moderator, "privacy mode", mode=ConsentMode.OPT_IN.value)
    text = await use(stage, stage.moderator, "privacy retention", transcripts=0, alerts=7)
    assert "only while a session goes on" in text
    assert "for 7 days" in text
    kept = await stage.app.services.privacy._store.guild(stage.guild.id)
    assert (kept.mode, kept.transcript_days, kept.alert_days) == (ConsentMode.OPT_IN, 0, 7)


async def test_members_may_not_change_the_mode_and_choices_outlive_the_process(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        assert "permission" in await use(stage, stage.members["Ada"], "privacy mode", mode=ConsentMode.OPT_IN.value)
        assert "hears you" in await use(stage, stage.members["Ada"], "privacy status")
        await use(stage, stage.members["Ada"], "privacy opt-out")
        guild, ada = stage.guild.id, stage.members["Ada"].id
    async with open_stage(tmp_path) as stage:
        assert not stage.app.services.privacy.standing(guild, ada).heard
