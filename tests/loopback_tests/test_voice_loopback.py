"""The voice server against a reference receiver: what humans say arrives, whatever happens to the call."""

import asyncio
import math
from collections.abc import AsyncIterator

import davey
import pytest

from tests.loopback.voice import Committer, Shape, VoiceServer
from tests.loopback.voice.human import Announce
from tests.loopback.voice.transport import AES256_GCM, XCHACHA20_POLY1305
from tests.loopback_tests.voice_stage import BOT, CHANNEL, VOICES, Serve, Stages, hears, joined, until

pytestmark = pytest.mark.integration
SPEAKERS = (1, 2, 3)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with Stages() as stages:
        yield stages.begin


@pytest.mark.parametrize("modes", [(AES256_GCM, XCHACHA20_POLY1305), (XCHACHA20_POLY1305, AES256_GCM)])
async def test_every_word_of_every_human_arrives(serve: Serve, modes: tuple[str, str]) -> None:
    stage = await serve(VoiceServer(seed=1, modes=modes))
    humans = [await stage.human(user) for user in SPEAKERS]
    bot = await stage.bot()
    assert bot.mode == modes[0]
    assert bot.present == set(SPEAKERS)
    for sample, human in enumerate(humans, 1):
        said = await hears(bot, human, sample)
        assert bot.timestamps[human.user_id][0] == said.timestamp
        assert stage.server.stats.humans[human.user_id].seconds == pytest.approx(said.seconds)
    await until(lambda: bot.counts["silence"] == 5 * len(SPEAKERS))
    assert bot.counts["plain"] == bot.counts["undecryptable"] == bot.counts["transport"] == 0
    assert 0 < bot.counts["padded"] == sum(human.stats.padded for human in humans)
    assert stage.server.stats.clients[BOT].forwarded == sum(human.stats.packets for human in humans)


async def test_speech_survives_joins_and_leaves_in_mid_sentence(serve: Serve) -> None:
    stage = await serve(VoiceServer(seed=2))
    humans = [await stage.human(user) for user in SPEAKERS]
    bot = await stage.bot()
    speaking = [asyncio.create_task(human.say(VOICES / f"sample_{i:02}.wav", speed=6)) for i, human in enumerate(humans, 1)]
    for user in (11, 12, 13, 14):
        await stage.human(user)
        await asyncio.sleep(0.06)
        await stage.leave(user)
        await asyncio.sleep(0.06)
    said = await asyncio.gather(*speaking)
    await stage.settled()
    await until(lambda: all(len(bot.heard[h.user_id]) == len(s.packets) for h, s in zip(humans, said, strict=True)))
    assert [bot.heard[h.user_id] for h in humans] == [list(s.packets) for s in said]
    assert stage.server.call(CHANNEL).dave.counts["commits"] >= 8
    assert bot.counts["undecryptable"] == 0


async def test_bot_commits_when_it_must(serve: Serve) -> None:
    stage = await serve(VoiceServer(seed=3, committer=Committer.BOTS))
    bot = await stage.bot()
    for user in SPEAKERS:
        human = await stage.human(user)
        await stage.settled()
        await hears(bot, human)
    await stage.leave(2)
    await stage.settled()
    await hears(bot, stage.server.human(1), 2)
    dave = stage.server.call(CHANNEL).dave
    assert dave.commits_by == {BOT: 4}
    assert bot.session is not None
    assert sorted(bot.session.get_user_ids()) == ["1", "3", "99"]


async def test_humans_commit_in_place_of_a_bot_that_does_not(serve: Serve) -> None:
    stage = await serve(VoiceServer(committer=Committer.BOTS, dave_timeout=0.05))
    await stage.human(1)
    bot = await stage.bot()
    bot.answers = False
    newcomer = await stage.human(2)
    await stage.settled()
    dave = stage.server.call(CHANNEL).dave
    assert dave.commits_by[1] >= 1
    assert dave.counts["timeouts"] >= 2  # the batch's turn, then the op 23 that did not come
    await hears(bot, newcomer)


async def test_first_valid_commit_wins_and_others_are_dropped(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    for user in SPEAKERS:
        await stage.human(user)
    await stage.bot()
    dave = stage.server.call(CHANNEL).dave
    assert dave.counts["commits"] == dave.commits_by.total() == 3
    assert {reason for _, reason in dave.rejections} == {"commit without open proposals"}


async def test_joiner_gone_too_early_is_revoked(serve: Serve) -> None:
    stage = await serve(VoiceServer(committer=Committer.BOTS, dave_timeout=30))
    await stage.human(1)
    bot = await stage.bot()
    assert bot.session is not None
    epoch = bot.session.epoch
    bot.answers = False
    await stage.human(2)
    await until(lambda: bot.session is not None and bot.session.status == davey.SessionStatus.awaiting_response)
    await stage.leave(2)
    await until(lambda: bot.session is not None and bot.session.status == davey.SessionStatus.active)
    assert bot.session.epoch == epoch
    assert stage.server.call(CHANNEL).dave.counts["revoked"] == 1
    bot.answers = True
    await hears(bot, await joined(stage, 3))


async def test_downgrade_and_upgrade(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    human = await stage.human(1)
    bot = await stage.bot()
    await hears(bot, human)
    await stage.server.downgrade(CHANNEL)
    await hears(bot, human, 2)
    assert bot.counts["plain"] == human.stats.plain > 0
    late = await joined(stage, 2)
    await hears(bot, late, 3)
    await stage.server.upgrade(CHANNEL)
    await stage.settled()
    plain = bot.counts["plain"]
    await hears(bot, human, 4)
    await hears(bot, late, 5)
    assert bot.counts["plain"] == plain
    assert bot.counts["undecryptable"] == 0


@pytest.mark.parametrize("stage_channel", [False, True])
async def test_calls_that_begin_at_version_zero(serve: Serve, stage_channel: bool) -> None:
    stage = await serve(VoiceServer())
    if not stage_channel:
        stage.server.start_at_version_zero(CHANNEL)
    human = await stage.human(1)
    bot = await stage.bot(stage=stage_channel)
    assert bot.session is None
    await hears(bot, human)
    assert bot.counts["decrypted"] == 0
    await stage.server.upgrade(CHANNEL)
    await stage.settled()
    await hears(bot, human, 2)
    assert bot.counts["decrypted"] > 0


async def test_last_human_leaves_and_comes_back(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    await hears(await stage.bot(), await joined(stage, 1))
    bot = stage.clients[0]
    await stage.leave(1)
    await stage.settled()
    assert stage.server.call(CHANNEL).dave.counts["resets"] == 1
    assert bot.present == set()
    await hears(bot, await joined(stage, 1), 2)


async def test_unreadable_commit_is_answered_and_healed(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    human = await stage.human(1)
    bot = await stage.bot()
    stage.server.spoil_next_commit(BOT)
    await joined(stage, 2)
    assert stage.server.stats.clients[BOT].opcodes[31] == 1
    await hears(bot, human)
    stage.server.send_unreadable_commit(BOT)
    await until(lambda: stage.server.stats.clients[BOT].opcodes[31] == 2)
    await stage.settled()
    await hears(bot, human, 2)


@pytest.mark.parametrize("kind", ["signature", "epoch", "group", "garbage"])
async def test_bad_proposals_reach_davey_and_are_refused(serve: Serve, kind: str) -> None:
    stage = await serve(VoiceServer())
    human = await stage.human(1)
    bot = await stage.bot()
    stage.server.send_bad_proposal(BOT, kind)
    await until(lambda: any("process proposals" in text for text in bot.counts))
    await hears(bot, human)


async def test_external_sender_once_more_is_refused(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    await stage.human(1)
    bot = await stage.bot()
    stage.server.resend_external_sender(BOT)
    await until(lambda: any("AlreadyInGroup" in text for text in bot.counts))


async def test_unpleasant_packets_surround_the_speech(serve: Serve) -> None:
    stage = await serve(VoiceServer(seed=5))
    human = await stage.human(1)
    human.shape = Shape(padding=1, csrc=1, padding_only=0.2, video=0.2, rtx=0.2, rtcp=0.2)
    human.set_camera(True)
    bot = await stage.bot()
    assert any(op == 12 and data["video_ssrc"] == human.ssrc + 1 for op, data in bot.messages if op == 12 and isinstance(data, dict))
    await hears(bot, human)
    assert bot.counts["padded"] >= len(bot.heard[1])
    for kind in ("empty", "other payload", "rtcp"):
        assert bot.counts[kind] > 5


async def test_speaker_may_be_announced_late_or_never(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    late, never = await stage.human(1), await stage.human(2)
    bot = await stage.bot()
    for human, announce in ((late, Announce.LATE), (never, Announce.NEVER)):
        await human.say(VOICES / "sample_01.wav", speed=20, announce=announce, late_after=20)
    await until(lambda: bot.counts["silence"] == 10)
    assert 0 < len(bot.heard[1]) < 140
    assert bot.heard[2] == []
    assert bot.users == {late.ssrc: 1}


async def test_ssrc_may_be_reused(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    first = await stage.human(1)
    bot = await stage.bot()
    await hears(bot, first)
    await stage.leave(1)
    stage.server.assign_ssrc(2, first.ssrc)
    second = await joined(stage, 2)
    assert second.ssrc == first.ssrc
    await hears(bot, second, 2)


async def test_injected_plain_frames_are_recognisable(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    human = await stage.human(1)
    bot = await stage.bot()
    said = await human.say(VOICES / "sample_01.wav", speed=math.inf, plain=True)
    await until(lambda: bot.counts["plain"] == len(said.packets))
    assert human.stats.plain == len(said.packets)


async def test_new_transport_key_in_mid_call(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    human = await stage.human(1)
    bot = await stage.bot()
    old = bot.key
    stage.server.rekey_client(BOT)
    await until(lambda: bot.key != old)
    await hears(bot, human)


async def test_eager_humans_use_the_new_key_before_op_22(serve: Serve) -> None:
    stage = await serve(VoiceServer(eager_humans=True, dave_timeout=30))
    human = await stage.human(1)
    bot = await stage.bot()
    bot.answers = False
    await stage.human(2)
    await until(lambda: bot.session is not None and bot.session.epoch == 2)
    transition = stage.server.call(CHANNEL).dave.transitions.current
    assert transition is not None
    assert transition.waiting == {BOT}
    await hears(bot, human)


async def test_patient_humans_keep_the_old_key_until_op_22(serve: Serve) -> None:
    stage = await serve(VoiceServer(dave_timeout=30))
    human = await stage.human(1)
    bot = await stage.bot()
    bot.answers = False
    await stage.human(2)
    await until(lambda: bot.session is not None and bot.session.epoch == 2)
    assert human.session is not None
    assert human.session.epoch == 1
    await hears(bot, human)


async def test_bad_network_loses_doubles_and_spoils(serve: Serve) -> None:
    stage = await serve(VoiceServer(seed=4))
    human = await stage.human(1)
    bot = await stage.bot()
    network = stage.server.downlink
    network.loss, network.duplicate, network.corrupt, network.reorder = 0.1, 0.1, 0.1, 0.1
    said = await human.say(VOICES / "sample_01.wav", speed=20)
    sent, counts = human.stats.packets, network.counts
    arrived = sent - counts["lost"] + counts["duplicated"]
    await until(
        lambda: sum(bot.counts[k] for k in ("decrypted", "transport", "undecryptable", "silence", "other payload", "rtcp")) == arrived
    )
    assert min(counts[kind] for kind in ("lost", "duplicated", "corrupted", "held")) > 3
    assert bot.timestamps[1] != sorted(bot.timestamps[1])
    assert set(bot.heard[1]) < set(said.packets)


async def test_same_seed_gives_the_same_packets(serve: Serve) -> None:
    shapes = []
    for _ in range(2):
        stage = await serve(VoiceServer(seed=7))
        human = await stage.human(1)
        await stage.bot()
        await human.say(VOICES / "sample_01.wav", speed=math.inf)
        shapes.append((human.ssrc, human.stats))
    assert shapes[0] == shapes[1]
