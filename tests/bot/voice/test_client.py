"""The voice client over real sockets. For each repair, the same scenario with discord.py's own way shows what it repairs."""

import asyncio
import functools
import linecache
import os
import socket
import sys
from collections.abc import Awaitable, Callable

import davey
import discord
import pytest
from discord.gateway import DiscordVoiceWebSocket
from discord.voice_state import SocketReader, VoiceConnectionState
from typing_extensions import Buffer

from bot.voice.client import EarshotVoiceClient
from bot.voice.connection import EarshotConnection, EndReason
from bot.voice.websocket import VoiceGatewaySocket
from tests.bot.voice.support import RecordingListener, World, gives_up_after, until, world
from tests.loopback.voice import VoiceServer

pytestmark = pytest.mark.integration

SPEECH = [bytes([0xFC, 0xFF, 0xFE, index]) for index in range(20)]
"""Opus packets that need not decode here."""


# discord.py's own way, one repair reverted at a time.


class StockReader(EarshotConnection):
    @property
    def _socket_reader(self) -> SocketReader:
        return self._stock_reader

    @_socket_reader.setter
    def _socket_reader(self, reader: SocketReader) -> None:
        self._stock_reader = reader


class StockTransitions(EarshotConnection):
    _execute_transition = VoiceConnectionState._execute_transition

    def remember_transition(self, transition_id: int, version: int) -> None:
        super().remember_transition(transition_id, version)
        if version == 0 and self.dave_session is not None:
            self.dave_session.set_passthrough_mode(True, 120)


class ForgetfulOfItsOwnLeaving(EarshotConnection):
    async def _handshake_websocket(self) -> None:
        await VoiceConnectionState._handshake_websocket(self)


class LosesTheFirst(socket.socket):
    lost = False

    def send(self, data: Buffer, flags: int = 0) -> int:
        if not self.lost:
            self.lost = True
            return 74
        return super().send(data, flags)


class LossyConnection(EarshotConnection):
    socket_type = LosesTheFirst


class StockConnect(LossyConnection):
    connect = VoiceConnectionState.connect
    soft_disconnect = VoiceConnectionState.soft_disconnect


class StockDiscovery(LossyConnection):
    async def _connect_websocket(self, resume: bool) -> VoiceGatewaySocket:
        ws = await super()._connect_websocket(resume)
        ws.discover_ip = functools.partial(DiscordVoiceWebSocket.discover_ip, ws)  # type: ignore[method-assign]
        return ws


def client_with(state: type[EarshotConnection]) -> type[EarshotVoiceClient]:
    class Client(EarshotVoiceClient):
        def create_connection_state(self) -> EarshotConnection:
            return state(self, self._listener)

    return Client


async def stock_client(at: World, timeout: float) -> discord.VoiceClient:
    client: discord.VoiceClient = await at.channel(at.lobby).connect(timeout=timeout)
    runner = client._connection._runner
    assert runner is not None
    runner.add_done_callback(lambda task: task.cancelled() or task.exception())  # else asyncio complains, some tests later
    return client


Connect = Callable[[World], Awaitable[discord.VoiceClient]]


async def ours(at: World) -> discord.VoiceClient:
    return await at.connect(RecordingListener())


async def stock(at: World) -> discord.VoiceClient:
    return await stock_client(at, timeout=30.0)


def with_state(state: type[EarshotConnection]) -> Connect:
    async def connect(at: World) -> discord.VoiceClient:
        return await at.connect(RecordingListener(), client_with(state))

    connect.__name__ = state.__name__
    return connect


def members(client: discord.VoiceClient) -> set[int]:
    """Whose frames the client could open."""
    session = client._connection.dave_session
    return {int(user) for user in session.get_user_ids()} if session is not None else set()


# Connecting.


@pytest.mark.parametrize("modes", [("aead_xchacha20_poly1305_rtpsize", "aead_aes256_gcm_rtpsize"), ("aead_xchacha20_poly1305_rtpsize",)])
async def test_prefers_aes_greets_with_silence_and_keeps_alive(modes: tuple[str, ...]) -> None:
    class Eager(EarshotVoiceClient):
        keepalive_seconds = 0.01

    voice = VoiceServer(modes=modes)
    async with world("ada", voice=voice) as at:
        client = await at.connect(RecordingListener(), Eager)
        assert client.mode == min(modes)
        sent = voice.stats.client(at.bot_id)
        await until(lambda: sent.silence == 5 and sent.keepalives >= 3)
        assert (sent.refused, sent.packets) == (0, 5)
        assert client.latency > 0


async def test_tells_who_speaks_who_left_and_when_keys_change() -> None:
    async with world("ada", "ben") as at:
        listener = RecordingListener()
        client = await at.connect(listener)
        await at.settled()
        ada, ben = at.people
        assert members(client) == {ada.id, ben.id, at.bot_id}
        assert (client.dave_version, len(client.voice_privacy_code or "")) == (1, 30)
        before, epoch = listener.count("epoch_changed"), client.dave_epoch
        human = at.voice.human(ada.id)
        human.announce()
        human.set_camera(True)
        await at.loopback.voice_leave(ben)
        await at.settled()
        await until(lambda: listener.count("epoch_changed") > before)
        assert listener.told[:2] == [("transport_reset",), ("transport_ready", "aead_aes256_gcm_rtpsize", 32, 1)]
        assert listener.told.count(("speaking", human.ssrc, ada.id)) == 2
        assert ("user_left", ben.id) in listener.told
        assert client.dave_epoch == (epoch or 0) + 1


@pytest.mark.parametrize(("state", "arrives"), [(LossyConnection, True), (StockDiscovery, False)])
async def test_a_lost_discovery_packet_is_asked_for_again(state: type[EarshotConnection], arrives: bool) -> None:
    async with world() as at:
        connecting = at.connect(RecordingListener(), client_with(state), timeout=30.0 if arrives else 2.5)
        if arrives:
            assert not (await connecting).udp_unanswered
        else:
            with pytest.raises(TimeoutError):
                await connecting


# The socket.


def in_select(reader: SocketReader) -> bool:
    """Whether the thread stands where it waits for its socket."""
    frame = sys._current_frames().get(reader.ident or 0)
    return frame is not None and "select.select(" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)


@pytest.mark.parametrize(("connect", "arrives"), [(ours, True), (stock, False), (with_state(StockReader), False)])
async def test_a_move_in_a_quiet_channel_wakes_the_reader(connect: Connect, arrives: bool) -> None:
    async with world() as at:
        client = await connect(at)
        client._connection.add_socket_listener(lambda data: None)  # a bot that listens
        await until(lambda: in_select(client._connection._socket_reader))
        await asyncio.sleep(0.05)  # from that line into the system call
        old = client._connection.socket
        await client.move_to(at.channel(at.garden), timeout=30.0 if arrives else 2.0)
        assert client.is_connected() is arrives
        assert (old.fileno() == -1) is (connect is not stock)  # stock leaks it
        if connect is stock:
            old.shutdown(socket.SHUT_RDWR)  # lets the thread go before the test ends
            old.close()


async def test_moves_leak_no_file_descriptor() -> None:
    def sockets() -> int:
        links = (os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}"))
        return sum(link.startswith("socket:") for link in links)

    async with world() as at:
        client = await at.connect(RecordingListener())
        counts = []
        for channel in [at.garden, at.lobby] * 3:
            await client.move_to(at.channel(channel))
            await at.voice.settled(channel.id, clients=1)
            counts.append(sockets())
        await until(lambda: sockets() <= min(counts))
        assert counts[-1] <= counts[0]


# MLS messages that davey refuses.


@pytest.mark.parametrize(("connect", "survives"), [(ours, True), (stock, False)])
@pytest.mark.parametrize("trouble", ["external sender", "signature", "epoch", "group", "garbage"])
async def test_who_joins_after_a_refused_message_can_be_heard(connect: Connect, survives: bool, trouble: str) -> None:
    async with world("ada", "ben") as at:
        client = await connect(at)
        await at.settled()
        if trouble == "external sender":
            at.voice.resend_external_sender(at.bot_id)
        else:
            at.voice.send_bad_proposal(at.bot_id, trouble)
        cleo = at.loopback.add_member(at.guild, "cleo")
        await at.loopback.voice_join(cleo, at.lobby)
        runner = client._connection._runner
        assert runner is not None
        if survives:
            await at.settled()
            assert cleo.id in members(client)
            assert not runner.done()
        else:
            await until(runner.done)
            assert client.is_connected()  # and deaf
            assert cleo.id not in members(client)
            with pytest.raises(ValueError, match="Failed"):
                runner.result()


@pytest.mark.parametrize("spoil", [VoiceServer.send_unreadable_commit, VoiceServer.spoil_next_commit])
async def test_an_unreadable_commit_is_answered_and_the_bot_is_added_anew(spoil: Callable[[VoiceServer, int], None]) -> None:
    async with world("ada", "ben") as at:
        client = await at.connect(RecordingListener())
        await at.settled()
        spoil(at.voice, at.bot_id)
        cleo = at.loopback.add_member(at.guild, "cleo")
        await at.loopback.voice_join(cleo, at.lobby)
        await until(lambda: client.recoveries)
        await until(lambda: members(client) == {at.bot_id, *(person.id for person in (*at.people, cleo))})
        await at.settled()
        assert at.voice.stats.client(at.bot_id).opcodes[31] == 1


# Protocol versions.


@pytest.mark.parametrize(("connect", "keyed"), [(ours, True), (stock, False)])
async def test_a_call_that_begins_unencrypted_can_be_upgraded(connect: Connect, keyed: bool) -> None:
    voice = VoiceServer(dave_timeout=30)
    async with world(voice=voice) as at:
        voice.start_at_version_zero(at.lobby.id)
        ada = at.loopback.add_member(at.guild, "ada")
        await at.loopback.voice_join(ada, at.lobby)
        client = await connect(at)
        assert client._connection.dave_session is None
        if keyed:
            await voice.upgrade(at.lobby.id)
            await until(lambda: members(client) == {ada.id, at.bot_id})
            assert client._connection.dave_protocol_version == 1
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(voice.upgrade(at.lobby.id), 1.0)
            assert not members(client)


@pytest.mark.parametrize(("connect", "open_door"), [(ours, False), (with_state(StockTransitions), True)])
async def test_passthrough_stays_shut_over_downgrade_and_upgrade(connect: Connect, open_door: bool) -> None:
    async with world("ada") as at:
        client = await connect(at)
        await at.settled()
        await at.voice.downgrade(at.lobby.id)
        await until(lambda: client._connection.dave_protocol_version == 0)
        session = client._connection.dave_session
        assert isinstance(session, davey.DaveSession)
        assert session.can_passthrough(at.people[0].id) is open_door
        await at.voice.upgrade(at.lobby.id)
        await until(lambda: members(client) == {at.people[0].id, at.bot_id})
        assert client._connection.dave_protocol_version == 1


# Losing the connection.


async def test_4015_resumes_the_session() -> None:
    async with world("ada") as at:
        listener = RecordingListener()
        client = await at.connect(listener)
        await at.settled()
        await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=4015)
        await until(lambda: at.voice.stats.client(at.bot_id).resumes == 1 and client.is_connected())
        packets = listener.packets
        await at.voice.human(at.people[0].id).say(SPEECH, speed=20)
        await until(lambda: listener.packets >= packets + len(SPEECH))
        assert (listener.count("transport_ready"), at.voice.stats.client(at.bot_id).connections) == (1, 1)


async def test_a_refused_resume_becomes_a_reconnect() -> None:
    voice = VoiceServer(resume_window=0.0)
    async with world("ada", voice=voice) as at:
        listener = RecordingListener()
        client = await at.connect(listener)
        await at.settled()
        await voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=4015)
        await until(lambda: listener.count("transport_ready") == 2)
        await at.settled()
        assert members(client) == {at.people[0].id, at.bot_id}


async def test_stock_never_comes_back_from_4015() -> None:
    async with world("ada") as at:
        client = await stock_client(at, timeout=30.0)
        await at.settled()
        gives_up_after(client, 1.0)
        await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=4015)
        await until(lambda: not at.client.voice_clients)
        assert not client.is_connected()


@pytest.mark.parametrize("loss", ["4006", "4009", "abort", "voice server update"])
async def test_hears_again_after(loss: str) -> None:
    async with world("ada") as at:
        listener = RecordingListener()
        client = await at.connect(listener)
        await at.settled()
        if loss == "abort":
            await at.voice.abort_client(at.bot_id)
            await until(lambda: at.voice.stats.client(at.bot_id).resumes == 1)
        elif loss == "voice server update":
            await at.voice.move_media()
            state = at.loopback.world.guild(at.guild.id).voice_states[at.bot_id]
            await at.loopback.voice_states.serve(at.loopback.bot_in(at.guild.id), state)
            await until(lambda: listener.count("transport_ready") == 2)
        else:
            await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=int(loss))
            await until(lambda: listener.count("transport_ready") == 2)
        await until(client.is_connected)
        await at.settled()
        packets = listener.packets
        await at.voice.human(at.people[0].id).say(SPEECH, speed=20)
        await until(lambda: listener.packets >= packets + len(SPEECH))
        assert members(client) == {at.people[0].id, at.bot_id}
        assert client.reconnects == 1
        assert not client.ended.done()


@pytest.mark.parametrize(("connect", "stays"), [(ours, True), (with_state(ForgetfulOfItsOwnLeaving), False)])
async def test_a_move_after_a_reconnect_is_not_a_kick(connect: Connect, stays: bool) -> None:
    async with world("ada") as at:
        client = await connect(at)
        await at.settled()
        await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=4006)
        await until(lambda: at.voice.stats.client(at.bot_id).connections == 2 and client.is_connected())
        await at.settled()
        await at.loopback.voice_move(at.loopback.bot_in(at.guild.id), at.garden)
        if stays:
            await at.voice.settled(at.garden.id, clients=1)
            await until(client.is_connected)
            assert client.channel.id == at.garden.id
        else:
            await until(lambda: not at.client.voice_clients)


@pytest.mark.parametrize(("state", "survives"), [(LossyConnection, True), (StockConnect, False)])
async def test_a_new_voice_server_while_connecting_does_not_cancel_the_caller(state: type[EarshotConnection], survives: bool) -> None:
    async with world("ada") as at:
        connecting = asyncio.ensure_future(at.connect(RecordingListener(), client_with(state)))
        await until(lambda: at.voice.stats.client(at.bot_id).connections == 1)  # it now waits for IP discovery
        voice_state = at.loopback.world.guild(at.guild.id).voice_states[at.bot_id]
        await at.loopback.voice_states.serve(at.loopback.bot_in(at.guild.id), voice_state)
        await asyncio.wait([connecting])
        assert connecting.cancelled() is not survives
        if survives:
            assert connecting.result().is_connected()
            await at.settled()


# Gone for good.


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1000, EndReason.CLOSED), (4021, EndReason.CLOSED), (4014, EndReason.CLOSED), (4022, EndReason.CLOSED)],
)
async def test_ended_says_why_after_a_close(code: int, reason: EndReason) -> None:
    async with world("ada") as at:
        client = await at.connect(RecordingListener())
        gives_up_after(client, 0.5)
        await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=code)
        assert await asyncio.wait_for(client.ended, 60) is reason
        assert not at.client.voice_clients


class Impatient(EarshotConnection):
    explain_seconds = 0.05


@pytest.mark.parametrize("code", [4014, 4022])
async def test_thrown_out_without_a_reason_is_understood_long_before_a_connection_times_out(code: int) -> None:
    async with world("ada") as at:
        client = await at.connect(RecordingListener(), client_with(Impatient), timeout=300.0)
        at.loopback.server_mute(at.loopback.bot_in(at.guild.id), mute=True)  # told of on the main gateway, and no reason
        await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=code)
        assert await asyncio.wait_for(client.ended, 60) is EndReason.CLOSED


async def test_a_move_whose_voice_server_is_slow_to_be_found_is_waited_for() -> None:
    class LessImpatient(Impatient):
        explain_seconds = 0.5  # what says that it was moved may come a little later than the close

    async with world("ada") as at:
        listener = RecordingListener()
        client = await at.connect(listener, client_with(LessImpatient))
        at.loopback.voice_states.servers_down = True
        await at.loopback.voice_move(bot := at.loopback.bot_in(at.guild.id), at.garden)
        await until(lambda: listener.count("channel_changed"))
        await asyncio.sleep(1.2 * LessImpatient.explain_seconds)
        at.loopback.voice_states.servers_down = False
        await at.loopback.voice_states.serve(bot, at.loopback.world.guild(at.guild.id).voice_states[at.bot_id])
        await until(lambda: listener.count("transport_ready") == 2 and client.is_connected())
        assert client.channel.id == at.garden.id
        assert client.reconnects == 1


async def test_ended_says_that_the_bot_was_disconnected_or_left() -> None:
    async with world("ada") as at:
        client = await at.connect(RecordingListener())
        await at.loopback.voice_leave(at.loopback.bot_in(at.guild.id))
        assert await asyncio.wait_for(client.ended, 60) is EndReason.DISCONNECTED
        client = await at.connect(RecordingListener())
        await asyncio.gather(client.disconnect(), client.disconnect(force=True))
        assert client.ended.result() is EndReason.LEFT
        assert not at.client.voice_clients


async def test_ended_when_the_voice_server_stays_away() -> None:
    class Hasty(EarshotConnection):
        reconnect_delays = (0.01, 0.01)

    async with world("ada") as at:
        client = await at.connect(RecordingListener(), client_with(Hasty))
        gives_up_after(client, 0.3)
        at.loopback.voice_states.servers_down = True
        await at.voice.close_client(guild_id=at.guild.id, user_id=at.bot_id, code=4006)
        assert await asyncio.wait_for(client.ended, 60) is EndReason.UNREACHABLE


async def test_an_earlier_client_does_not_remove_its_successor() -> None:
    async with world("ada") as at:
        first = await at.connect(RecordingListener())
        await first.disconnect()
        second = await at.connect(RecordingListener())
        first.cleanup()
        assert at.client.voice_clients == [second]


# Robustness.


async def test_malformed_messages_and_a_failing_listener_do_not_end_the_poller() -> None:
    class Failing(RecordingListener):
        def speaking(self, ssrc: int, user_id: int) -> None:
            raise LookupError

    async with world("ada", "ben") as at:
        client = await at.connect(Failing())
        await at.settled()
        session = at.voice.client(at.bot_id)
        for body in (
            '{"op": 5, "d": {}}',
            '{"op": 21, "d": {"transition_id": "x"}}',
            '{"op": 13, "d": null}',
            "[]",
            "{",
            b"\x00",
            b"\x00\x01\x1d",
        ):
            session._post(body)
        at.voice.human(at.people[0].id).announce()
        cleo = at.loopback.add_member(at.guild, "cleo")
        await at.loopback.voice_join(cleo, at.lobby)
        await at.settled()
        await until(lambda: cleo.id in members(client))
        assert client.is_connected()
