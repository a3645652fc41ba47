"""Hearing people through the whole of it: a real discord.py client, UDP, DAVE, Opus, and the source."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import davey
import pytest

from bot.sources.discord import DiscordSource
from moderation.errors import VoiceDisconnected
from moderation.models import AudioFrame, EndOfSpeech, SpeakerLeft
from tests.bot.sources.support import VOICES, hearing
from tests.bot.voice.support import World, until, world
from tests.loopback.voice import Human, Shape, VoiceServer

pytestmark = pytest.mark.integration

CLIPS = [VOICES / f"sample_{number:02}.wav" for number in range(1, 13)]
SHORT = CLIPS[0].read_bytes()[44 : 44 + 32_000]
"""A second of speech."""
CROWD = ("ada", "ben", "cleo", "dan", "eve", "fay", "gil", "hal")


async def say(human: Human, clip: int, speed: float = 10.0) -> tuple[bytes, ...]:
    return (await human.say(CLIPS[clip], speed=speed)).packets


async def test_four_recorded_voices_are_heard_frame_exact() -> None:
    async with world(*CROWD[:4]) as at, hearing(at) as heard:
        humans = [at.voice.human(person.id) for person in at.people]
        for human in humans:
            human.shape = Shape(padding=0.3, csrc=0.1, video=0.1, rtcp=0.1, padding_only=0.05)
        said = await asyncio.gather(*(say(human, index) for index, human in enumerate(humans)))
        for person, packets in zip(at.people, said, strict=True):
            await heard.hears(person.id, packets)
            assert len(heard.speech(person.id)) == len(packets)
            assert len(heard.pcm(person.id)) >= len(packets) * 640
            assert heard.source.spoken_seconds(person.id) == pytest.approx(len(packets) * 0.02, abs=0.2)
            await heard.ends(person.id)
        assert at.bot_id not in heard.opus
        assert heard.source.health().dropped == 0


async def test_names_come_from_the_server_and_strangers_have_none() -> None:
    async with world("ada") as at, hearing(at) as heard:
        assert heard.source.speaker(at.people[0].id).name == "Ada"
        assert heard.source.speaker(1).name == ""


async def test_health_tells_of_the_connection() -> None:
    async with world("ada") as at, hearing(at) as heard:
        health = heard.source.health()
        assert (health.connected, health.dave_version, len(health.privacy_code or "")) == (True, 1, 30)
        assert (health.dave_epoch or 0) >= 1
        assert (health.reconnects, health.recoveries) == (0, 0)


async def test_who_is_not_accepted_is_not_heard() -> None:
    async with world("ada", "ben") as at:
        ada, ben = at.people
        async with hearing(at, accept=lambda guild_id, user_id: (guild_id, user_id) != (at.guild.id, ada.id)) as heard:
            await asyncio.gather(say(at.voice.human(ada.id), 0), say(at.voice.human(ben.id), 1))
            await until(lambda: heard.count(EndOfSpeech, ben.id))
            assert not heard.opus[ada.id]
            assert not heard.frames(ada.id)


async def test_a_speaker_who_leaves_is_told_of() -> None:
    async with world("ada", "ben") as at, hearing(at) as heard:
        ada, ben = at.people
        await say(at.voice.human(ada.id), 0, math.inf)
        await until(lambda: heard.frames(ada.id))
        await at.loopback.voice_leave(ada)
        await until(lambda: heard.count(SpeakerLeft, ada.id))
        assert not heard.count(SpeakerLeft, ben.id)


@pytest.mark.parametrize("trouble", ["external sender", "bad proposal", "unreadable commit"])
async def test_a_joiner_after_a_refused_message_is_heard(trouble: str) -> None:
    async with world("ada", "ben") as at, hearing(at) as heard:
        if trouble == "external sender":
            at.voice.resend_external_sender(at.bot_id)
        elif trouble == "bad proposal":
            at.voice.send_bad_proposal(at.bot_id)
        else:
            at.voice.spoil_next_commit(at.bot_id)
        cleo = at.loopback.add_member(at.guild, "cleo")
        await at.loopback.voice_join(cleo, at.lobby)
        await at.settled()
        await heard.hears(cleo.id, await say(at.voice.human(cleo.id), 2))


async def test_a_call_that_begins_unencrypted_is_heard_before_and_after_its_upgrade() -> None:
    async with world() as at:
        at.voice.start_at_version_zero(at.lobby.id)
        ada = at.loopback.add_member(at.guild, "ada")
        await at.loopback.voice_join(ada, at.lobby)
        async with hearing(at, settled=False) as heard:
            human = at.voice.human(ada.id)
            await heard.hears(ada.id, await say(human, 0))
            await at.voice.upgrade(at.lobby.id)
            await heard.hears(ada.id, await say(human, 1))
            assert at.voice.stats.human(ada.id).encrypted
            assert heard.source.health().dave_version == 1


async def test_a_downgrade_and_an_upgrade_are_heard_through_and_plain_frames_only_while_legal() -> None:
    async with world("ada") as at, hearing(at) as heard:
        human = at.voice.human(at.people[0].id)
        await heard.hears(human.user_id, await say(human, 0))
        await at.voice.downgrade(at.lobby.id)
        await heard.hears(human.user_id, await say(human, 1))
        await at.voice.upgrade(at.lobby.id)
        await heard.hears(human.user_id, await say(human, 2))


async def test_plain_frames_in_an_encrypted_call_are_refused() -> None:
    async with world("ada") as at, hearing(at) as heard:
        human = at.voice.human(at.people[0].id)
        await human.say(CLIPS[0], speed=20, plain=True)
        after = await say(human, 1)
        await heard.hears(human.user_id, after)
        assert len(heard.speech(human.user_id)) == len(after)


@pytest.mark.parametrize("loss", ["4006", "4015", "abort", "voice server update", "moved by a moderator"])
async def test_hears_again_after(loss: str) -> None:
    async with world("ada") as at, hearing(at) as heard:
        ada = at.people[0]
        bot = at.loopback.bot_in(at.guild.id)
        await heard.hears(ada.id, await say(at.voice.human(ada.id), 0))
        sessions = at.voice.stats.client(at.bot_id)
        channel = at.lobby
        if loss == "abort":
            await at.voice.abort_client(at.bot_id)
            await until(lambda: sessions.resumes == 1)
        elif loss == "voice server update":
            await at.voice.move_media()
            await at.loopback.voice_states.serve(bot, at.loopback.world.guild(at.guild.id).voice_states[at.bot_id])
            await until(lambda: sessions.connections == 2)
        elif loss == "moved by a moderator":
            channel = at.garden
            await at.loopback.voice_move(ada, at.garden)
            await at.loopback.voice_move(bot, at.garden)
            await until(lambda: sessions.connections == 2)
        else:
            await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=int(loss))
            await until(lambda: sessions.connections == 2 or sessions.resumes == 1)
        await until(lambda: heard.source.health().connected and heard.source.listening)
        await at.settled(channel)
        await heard.hears(ada.id, await say(at.voice.human(ada.id), 1))
        assert heard.source.health().reconnects == 1


@pytest.mark.parametrize("fault", ["end-to-end keys", "transport key"])
async def test_deafness_is_noticed_and_mended(fault: str) -> None:
    """The bot loses its keys without any message having been refused: people talk, and nothing opens."""
    async with world("ada", "ben") as at:
        guild = at.client.get_guild(at.guild.id)
        assert guild is not None
        source = DiscordSource(guild, keep=lambda speaker_id, start, opus: None, patience=0.5)
        client = await at.channel(at.lobby).connect(cls=source.voice_client, timeout=30.0)
        source.listen()
        await at.settled()
        if fault == "transport key":
            source.transport_ready(client.mode, bytes(32), 1)
        else:
            lost = davey.DaveSession(1, at.bot_id, at.lobby.id)
            lost.set_external_sender(at.voice.call(at.lobby.id).dave.sender.package())
            client._connection.dave_session = lost
        talking = asyncio.create_task(at.voice.human(at.people[0].id).say(CLIPS[0].read_bytes()[44:] * 10))
        await until(lambda: source.health().deaf)
        await until(lambda: not source.health().deaf and source.health().connected)
        sent = at.voice.stats.client(at.bot_id)
        assert (sent.opcodes[31], sent.connections) == ((1, 1) if fault == "end-to-end keys" else (1, 2))
        talking.cancel()
        await source.aclose()


@asynccontextmanager
async def hurried(at: World) -> AsyncIterator[DiscordSource]:
    """A source whose seconds are a quarter as long: what takes 5 s of its time is noticed in little more than one."""
    guild = at.client.get_guild(at.guild.id)
    assert guild is not None
    source = DiscordSource(guild, keep=lambda speaker_id, start, opus: None, clock=lambda: 4 * time.monotonic())
    await at.channel(at.lobby).connect(cls=source.voice_client, timeout=30.0)
    source.listen()
    await at.settled()
    yield source
    await source.aclose()


async def speak_on(human: Human) -> None:
    """Line after line, each announced and ended as clients do."""
    while True:
        await human.say(SHORT, speed=2.0)


def asked(at: World) -> int:
    return at.voice.stats.client(at.bot_id).discoveries


async def heard_by(source: DiscordSource, user_id: int) -> None:
    def seconds() -> float:
        stats = source.statistics()[0].get(user_id)
        return stats.seconds_heard if stats is not None else 0.0

    before = seconds()
    await until(lambda: seconds() > before)


@pytest.mark.parametrize("fault", ["the server forwards nothing", "the path is dead"])
async def test_packets_that_stop_coming_are_noticed_counted_and_mended_by_joining_again(fault: str) -> None:
    async with world("ada", "ben") as at, hurried(at) as source:
        handshake = asked(at)
        await until(lambda: asked(at) > handshake)  # the server is known to answer
        ada, ben = at.people
        talking = [asyncio.create_task(speak_on(at.voice.human(each.id))) for each in at.people]
        await heard_by(source, ada.id)
        await heard_by(source, ben.id)
        if fault == "the path is dead":
            talking.pop().cancel()
            at.voice.cut_path(at.bot_id)
        else:
            at.voice.stop_forwarding(at.bot_id)
        await until(lambda: source.health().deaf)
        unheard = {each.speaker.id: each for each in source.health().unheard}
        assert all(each.silent for each in unheard.values())
        assert ada.id in unheard
        spoken, stats = source.spoken_seconds(ada.id), source.statistics()[0][ada.id]
        assert spoken > stats.seconds_spoken, "what was said meanwhile is in the coverage"
        await until(lambda: not source.health().deaf and source.health().connected)
        await heard_by(source, ada.id)
        assert at.voice.stats.client(at.bot_id).connections == 2
        for task in talking:
            task.cancel()


async def test_a_member_who_begins_and_says_nothing_brings_no_rejoin() -> None:
    async with world("ada", "ben") as at, hurried(at) as source:
        handshake = asked(at)
        await until(lambda: asked(at) > handshake)
        at.loopback.server_mute(at.people[1], mute=True)
        for each in at.people:
            at.voice.human(each.id).announce()
        before = asked(at)
        await until(lambda: asked(at) >= before + 3)  # it looks into it, and the path is well
        assert not source.health().deaf
        assert at.voice.stats.client(at.bot_id).connections == 1


async def test_a_kick_ends_the_frames_with_a_reason() -> None:
    async with world("ada") as at, hearing(at) as heard:
        await at.loopback.voice_leave(at.loopback.bot_in(at.guild.id))
        await until(lambda: heard.over)
        assert isinstance(heard.error, VoiceDisconnected)
        assert "disconnected Earshot" in str(heard.error)
        assert heard.source.ended


async def test_closing_ends_the_frames_quietly_and_twice_is_fine() -> None:
    async with world("ada") as at, hearing(at) as heard:
        await asyncio.gather(heard.source.aclose(), heard.source.aclose())
        await until(lambda: heard.over)
        assert heard.error is None
        assert not at.client.voice_clients
        assert at.bot_id not in at.loopback.world.guild(at.guild.id).voice_states


async def test_a_slow_reader_loses_the_oldest_frames_and_they_are_counted() -> None:
    async with world("ada") as at:
        guild = at.client.get_guild(at.guild.id)
        assert guild is not None
        source = DiscordSource(guild, keep=lambda speaker_id, start, opus: None, capacity=20)
        await at.channel(at.lobby).connect(cls=source.voice_client, timeout=30.0)
        source.listen()
        await at.settled()
        said = await say(at.voice.human(at.people[0].id), 0)
        await until(lambda: source.health().queued == 20)
        frames = []
        async for item in source.frames():
            if isinstance(item, EndOfSpeech):
                break
            frames.append(item)
        assert len(frames) + source.health().dropped >= len(said)
        assert isinstance(frames[0], AudioFrame)
        assert frames[0].start > 1.0  # the first second is what was lost
        await source.aclose()


@pytest.mark.parametrize("eager", [False, True], ids=["keys change at op 22", "keys change with the commit"])
async def test_churn_while_eight_people_talk_loses_nothing(eager: bool) -> None:
    """Fifteen joins and leaves while eight people talk: every packet of theirs is heard, in order."""
    async with world(*CROWD, voice=VoiceServer(seed=5, eager_humans=eager)) as at, hearing(at) as heard:
        humans = [at.voice.human(person.id) for person in at.people]
        talking = asyncio.gather(*(say(human, index, 2.0) for index, human in enumerate(humans)))
        guests = [at.loopback.add_member(at.guild, f"guest {number}") for number in range(8)]
        for index in range(15):
            guest = guests[index // 2]
            await (at.loopback.voice_leave(guest) if index % 2 else at.loopback.voice_join(guest, at.lobby))
            await asyncio.sleep(0.08)
        for person, packets in zip(at.people, await talking, strict=True):
            await heard.hears(person.id, packets)
            assert (
                len(heard.speech(person.id))
                == len(packets)
                == at.voice.stats.human(person.id).packets - at.voice.stats.human(person.id).silence
            )
