"""Joining and leaving: permissions, limits, and telling the members before anything is heard."""

import asyncio
from collections.abc import Callable

import pytest

from bot.sources.notice import WITHDRAW_SECONDS
from bot.voice.client import LEAVE_SECONDS
from bot.voice.stats import Drop
from moderation.errors import ConsentRequired, VoiceUnavailable
from moderation.models import Session
from moderation.ports import AudioSource, VoiceGateway
from tests.bot.sources.support import VOICES, Listening, hearing, session_in
from tests.bot.voice.support import World, until, world
from tests.loopback.faults import Fault
from tests.loopback.permissions import BOT, Permission
from tests.loopback.voice import VoiceServer

pytestmark = pytest.mark.integration

STATUS = r"/voice-status$"
MESSAGES = r"/messages$"


async def refused(at: World, session: Session | None = None, **options: float) -> str:
    with pytest.raises(VoiceUnavailable) as caught:
        await Listening(at, **options).gateway.join(session or session_in(at))  # type: ignore[arg-type]
    assert not at.client.voice_clients
    return str(caught.value)


# Where the bot cannot go.


@pytest.mark.parametrize(
    ("denied", "named"), [(Permission.CONNECT, "Connect"), (Permission.VIEW_CHANNEL | Permission.CONNECT, "View Channel and Connect")]
)
async def test_a_missing_permission_is_named(denied: Permission, named: str) -> None:
    async with world() as at:
        at.loopback.overwrite(at.lobby, at.loopback.bot_role(at.guild), deny=denied)
        await until(lambda: not at.channel(at.lobby).permissions_for(at.channel(at.lobby).guild.me).connect)
        sentence = await refused(at)
        assert f"<#{at.lobby.id}>" in sentence
        assert sentence.endswith(f"give its role the permission {named} there.")


async def test_unknown_and_text_channels_are_refused() -> None:
    async with world() as at:
        text = at.loopback.add_text_channel(at.guild, "text")
        await until(lambda: at.client.get_channel(text.id))
        assert "not a voice channel" in await refused(at, session_in(at, text))
        nowhere = Session("s1", at.guild.id, 1, session_in(at).started_at)
        assert "no channel 1" in await refused(at, nowhere)
        assert "no channel" in await refused(at, Session("s1", 1, at.lobby.id, nowhere.started_at))


async def test_a_full_channel_is_refused_at_once_and_with_move_members_it_is_not() -> None:
    async with world("ada", limit=1) as at:
        assert "is full" in await refused(at)
        at.loopback.set_permissions(at.guild, at.loopback.bot_role(at.guild), BOT | Permission.MOVE_MEMBERS)
        await until(lambda: at.channel(at.lobby).permissions_for(at.channel(at.lobby).guild.me).move_members)
        async with hearing(at) as heard:
            assert heard.source.health().connected


async def test_no_answer_from_discord_is_said_after_the_time_out() -> None:
    async with world() as at:
        at.loopback.voice_states.servers_down = True
        assert "did not let Earshot into" in await refused(at, timeout=0.3)


async def test_leaving_does_not_wait_for_a_discord_that_is_silent() -> None:
    async with world("ada") as at, hearing(at) as heard:
        at.loopback.faults.append(Fault("PUT", STATUS, delay=600))
        at.loopback.gateway.on_voice_state = None  # op 4 is never answered
        async with asyncio.timeout(60):
            await heard.source.aclose()
        assert not at.client.voice_clients
        assert WITHDRAW_SECONDS + LEAVE_SECONDS < 10, "SIGTERM leaves ten seconds"


async def test_one_channel_of_a_server_at_a_time() -> None:
    async with world("ada") as at, hearing(at):
        with pytest.raises(VoiceUnavailable, match=f"already in <#{at.lobby.id}>"):
            await Listening(at).gateway.join(session_in(at, at.garden))
    async with world("ada") as at:
        gateway = Listening(at).gateway
        results = await asyncio.gather(gateway.join(session_in(at)), gateway.join(session_in(at)), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["DiscordSource", "VoiceUnavailable"]
        assert await gateway.leave(at.guild.id)


@pytest.mark.parametrize("phase", ["connecting", "telling"])
async def test_a_cancelled_join_leaves_nothing_behind(phase: str) -> None:
    async with world("ada") as at:
        bot_states = at.loopback.world.guild(at.guild.id).voice_states
        at.loopback.voice_states.servers_down = phase == "connecting"
        at.loopback.faults.append(Fault("PUT", STATUS, delay=600))
        joining = asyncio.create_task(Listening(at).gateway.join(session_in(at)))
        await until(lambda: at.bot_id in bot_states and (phase == "connecting" or at.loopback.faults[0].used))
        joining.cancel()
        await asyncio.wait([joining])
        assert joining.cancelled()
        assert not at.client.voice_clients
        await until(lambda: at.bot_id not in bot_states)


async def test_leave_and_closing_the_gateway() -> None:
    async with world("ada") as at:
        gateway = Listening(at).gateway
        port: VoiceGateway = gateway
        assert not await gateway.leave(at.guild.id)
        source: AudioSource = await port.join(session_in(at))
        assert gateway.source(at.guild.id) is source
        assert await gateway.leave(at.guild.id)
        assert not await gateway.leave(at.guild.id)
        await gateway.join(session_in(at))
        await gateway.aclose()
        assert not at.client.voice_clients


# Telling the members.


async def test_the_status_says_so_and_the_members_own_comes_back() -> None:
    async with world("ada") as at:
        at.lobby.status = "raid night"
        async with hearing(at):
            assert "Earshot" in (at.lobby.status or "")
        assert at.lobby.status == "raid night"


async def test_a_status_that_members_changed_meanwhile_is_left_alone() -> None:
    async with world("ada") as at:
        async with hearing(at):
            at.lobby.status = "our own"
            event = {"id": str(at.lobby.id), "guild_id": str(at.guild.id), "status": "our own"}
            for session in at.loopback.gateway.sessions.values():
                session.dispatch("VOICE_CHANNEL_STATUS_UPDATE", event)
            at.loopback.add_text_channel(at.guild, "told")
            await until(lambda: any(channel.name == "told" for channel in at.client.get_all_channels()))
        assert at.lobby.status == "our own"


async def test_nothing_is_heard_before_the_members_were_told() -> None:
    async with world("ada") as at:
        told = asyncio.Event()
        at.loopback.faults.append(Fault("PUT", STATUS, held=told))
        listening = Listening(at)
        joining = asyncio.create_task(listening.gateway.join(session_in(at)))
        await at.settled()
        human = at.voice.human(at.people[0].id)
        await human.say(VOICES / "sample_01.wav", speed=30)
        assert at.voice.stats.client(at.bot_id).forwarded
        assert not at.lobby.status
        unread = listening.gateway.source(at.guild.id)
        assert unread is not None
        await until(lambda: unread.statistics()[1].dropped[Drop.DEAF] >= human.stats.packets)
        told.set()
        source = await joining
        assert at.lobby.status
        reading = asyncio.ensure_future(anext(aiter(source.frames())))
        said = await human.say(VOICES / "sample_02.wav", speed=10)
        await reading
        assert source.spoken_seconds(human.user_id) <= said.seconds + 0.2
        assert listening.kept[human.user_id][0] in said.packets
        await source.aclose()


def without_permission(at: World) -> None:
    at.loopback.set_permissions(at.guild, at.loopback.bot_role(at.guild), BOT & ~Permission.SET_VOICE_CHANNEL_STATUS)


def with_http_error(at: World) -> None:
    at.loopback.faults.append(Fault("PUT", STATUS, status=403, times=99))


@pytest.mark.parametrize("hinder", [without_permission, with_http_error])
async def test_without_a_status_a_message_is_written(hinder: Callable[[World], None]) -> None:
    async with world("ada") as at:
        hinder(at)
        async with hearing(at):
            (message,) = at.loopback.sent_in(at.lobby)
            assert "Earshot listens here" in message.content
            assert not at.lobby.status


async def test_when_nobody_can_be_told_the_bot_leaves_unheard() -> None:
    async with world("ada") as at:
        at.loopback.faults += [Fault("PUT", STATUS, status=403, times=9), Fault("POST", MESSAGES, status=403, times=9)]
        listening = Listening(at)
        with pytest.raises(ConsentRequired, match="Set Voice Channel Status or Send Messages"):
            await listening.gateway.join(session_in(at))
        assert not at.client.voice_clients
        assert at.bot_id not in at.loopback.world.guild(at.guild.id).voice_states
        assert not listening.kept


async def test_a_stage_is_told_by_message_and_heard_without_dave() -> None:
    voice = VoiceServer()
    async with world(voice=voice) as at:
        stage = at.loopback.add_stage_channel(at.guild, "Stage")
        ada = at.loopback.add_member(at.guild, "ada")
        await until(lambda: at.client.get_channel(stage.id))
        listening = Listening(at)
        source = await listening.gateway.join(session_in(at, stage))
        await at.loopback.voice_join(ada, stage)
        reading = asyncio.ensure_future(anext(aiter(source.frames())))
        await voice.human(ada.id).say(VOICES / "sample_01.wav", speed=10)
        await reading
        assert at.loopback.sent_in(stage)
        assert source.health().dave_version == 0
        await source.aclose()


async def test_moved_by_a_moderator_the_new_channel_is_told_before_it_is_heard() -> None:
    async with world("ada") as at:
        at.lobby.status = "raid night"
        async with hearing(at) as heard:
            bot = at.loopback.bot_in(at.guild.id)
            told = asyncio.Event()
            at.loopback.faults.append(Fault("PUT", STATUS, held=told, times=9))
            ben = at.loopback.add_member(at.guild, "ben")
            await at.loopback.voice_join(ben, at.garden)
            await at.loopback.voice_move(bot, at.garden)
            await at.voice.settled(at.garden.id, clients=1)
            await at.voice.human(ben.id).say(VOICES / "sample_01.wav", speed=30)
            assert not heard.opus[ben.id]
            told.set()
            await until(lambda: heard.source.listening and heard.source.health().connected)
            assert at.garden.status
            said = await at.voice.human(ben.id).say(VOICES / "sample_02.wav", speed=10)
            await heard.hears(ben.id, said.packets)


async def test_moved_to_where_nobody_can_be_told_the_bot_leaves() -> None:
    async with world("ada") as at, hearing(at) as heard:
        at.loopback.faults += [Fault("PUT", STATUS, status=403, times=9), Fault("POST", MESSAGES, status=403, times=9)]
        await at.loopback.voice_move(at.loopback.bot_in(at.guild.id), at.garden)
        await until(lambda: heard.over)
        assert isinstance(heard.error, ConsentRequired)
        await until(lambda: not at.client.voice_clients)
