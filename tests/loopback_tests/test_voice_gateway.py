"""The voice gateway's manners: who is let in, who may resume, what ends a session, what is counted."""

import json
import struct
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.loopback.voice import VoiceServer
from tests.loopback_tests.reference import SILENCE
from tests.loopback_tests.voice_stage import BOT, CHANNEL, GUILD, Serve, Stage, Stages, hears, until

pytestmark = pytest.mark.integration


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with Stages() as stages:
        yield stages.begin


async def test_resume_replays_what_was_missed(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    human = await stage.human(1)
    bot = await stage.bot()
    await until(lambda: bot.messages[-1][0] == 22)
    await stage.server.abort_client(BOT)
    await bot.reader
    await stage.human(2)
    assert 2 not in bot.present
    await bot.connect(resume=True)
    await stage.settled()
    assert 2 in bot.present
    assert (9, None) in bot.messages
    assert stage.server.stats.clients[BOT].resumes == 1
    await hears(bot, human)
    await hears(bot, stage.server.human(2))


async def test_resume_of_a_session_that_is_over_is_refused(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    bot = await stage.bot()
    await stage.server.close_client(guild_id=GUILD, user_id=BOT, code=4014)
    await bot.reader
    assert bot.close_code == 4014
    assert not stage.server.call(CHANNEL).clients
    await bot.connect(resume=True)
    await bot.reader
    assert bot.close_code == 4006


async def test_session_without_resume_ends_and_is_removed_from_the_group(serve: Serve) -> None:
    stage = await serve(VoiceServer(resume_window=0.05))
    for user in (1, 2):
        await stage.human(user)
    bot = await stage.bot()
    await stage.server.abort_client(BOT)
    await bot.reader
    await stage.server.settled(CHANNEL, clients=0)
    group = stage.server.call(CHANNEL).dave.group
    assert group is not None
    assert group.members == {1, 2}


@pytest.mark.parametrize(
    ("change", "code"),
    [({"token": "wrong"}, 4004), ({"session_id": "wrong"}, 4006), ({"max_dave_protocol_version": 0}, 4017), ({"server_id": "77"}, 4004)],
)
async def test_identify_is_checked(serve: Serve, change: dict[str, object], code: int) -> None:
    stage = await serve(VoiceServer())
    client = stage.newcomer()
    identify = {**client.identity, "user_id": str(BOT), "max_dave_protocol_version": 1, **change}
    assert await _closed(stage, [{"op": 0, "d": identify}]) == code


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["{"], 4002),
        ([{"d": 1}], 4002),
        ([{"op": 5, "d": {"speaking": 1}}], 4003),
        (["IDENTIFY", "IDENTIFY"], 4005),
        (["IDENTIFY", {"op": 77, "d": {}}], 4001),
        (["IDENTIFY", {"op": 1, "d": {"protocol": "tcp"}}], 4012),
        (["IDENTIFY", {"op": 1, "d": {"protocol": "udp", "data": {"address": "a", "port": 1, "mode": "plain"}}}], 4016),
        (["IDENTIFY", {"op": 1, "d": {"protocol": "udp"}}], 4002),
        ([b"\x1a"], 4003),
    ],
)
async def test_protocol_errors_close_with_discords_codes(serve: Serve, messages: list[object], code: int) -> None:
    stage = await serve(VoiceServer())
    client = stage.newcomer()
    identify = {"op": 0, "d": {**client.identity, "user_id": str(BOT), "max_dave_protocol_version": 1}}
    assert await _closed(stage, [identify if message == "IDENTIFY" else message for message in messages]) == code


async def test_missing_heartbeats_end_the_session(serve: Serve) -> None:
    stage = await serve(VoiceServer(heartbeat_interval=0.05))
    bot = await stage.bot()
    await bot.reader
    assert bot.close_code == 4009
    await until(lambda: not stage.server.call(CHANNEL).clients)


async def test_heartbeats_are_acknowledged(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    bot = await stage.bot()
    await bot.ws.send_json({"op": 3, "d": {"t": 12345, "seq_ack": bot.seq}})
    await until(lambda: (6, {"t": 12345}) in bot.messages)


async def test_what_clients_send_is_counted(serve: Serve) -> None:
    stage = await serve(VoiceServer(echo_keepalives=True))
    bot = await stage.bot()
    for sequence in range(5):
        bot.send_frame(SILENCE, sequence)
    bot.send_frame(b"something else", 5)
    bot.udp.sendto(struct.pack("<Q", 7))
    bot.udp.sendto(b"\x80\x78" + bytes(60))
    stats = stage.server.stats.clients[BOT]
    await until(lambda: stats.refused == 1)
    assert (stats.packets, stats.silence, stats.keepalives, stats.discoveries) == (6, 5, 1, 1)
    await until(lambda: bot.counts["keepalive"] == 1)


async def test_second_connection_replaces_the_first_and_may_go_to_another_port(serve: Serve) -> None:
    stage = await serve(VoiceServer())
    human = await stage.human(1)
    old = await stage.bot()
    await stage.server.move_media()
    new = await stage.bot()
    await old.reader
    assert old.close_code == 4006
    assert new.udp.get_extra_info("peername") != old.udp.get_extra_info("peername")
    await hears(new, human)
    assert old.heard[1] == []


async def _closed(stage: Stage, messages: list[object]) -> int | None:
    async with aiohttp.ClientSession() as session, session.ws_connect(stage.url) as socket:
        for message in messages:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        async for _ in socket:
            pass
        return socket.close_code
