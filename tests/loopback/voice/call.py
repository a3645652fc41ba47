"""One call: the people and clients in one voice channel, what they are told of each other, and whose packets go where."""

import asyncio
import random
from collections.abc import Callable

from tests.loopback.voice.dave import Committer, Dave
from tests.loopback.voice.human import Human
from tests.loopback.voice.peer import Op, Peer
from tests.loopback.voice.rtp import RtpPacket
from tests.loopback.voice.session import ClientSession


class Call:
    """A channel's call. Lives as long as the server, empty or not."""

    def __init__(self, guild_id: int, channel_id: int, rng: random.Random, *, version: int, committer: Committer, timeout: float) -> None:
        """`version`: DAVE version at the start, 0 for stages; `committer` and `timeout`: see `Dave`."""
        self.guild_id = guild_id
        self.channel_id = channel_id
        self.humans: dict[int, Human] = {}
        self.clients: dict[int, ClientSession] = {}
        loop = asyncio.get_running_loop()
        self.dave = Dave(channel_id, rng, loop.call_later, version=version, committer=committer, timeout=timeout)
        self.dave.on_change = self.changed
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @property
    def peers(self) -> dict[int, Peer]:
        """Everybody in the call by user id, humans first."""
        return {**self.humans, **self.clients}

    @property
    def settled(self) -> bool:
        """Nobody waits for keys, nothing is in flight."""
        return self.dave.settled

    async def wait(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        """Until the condition holds; it is asked whenever something happened in the call. Raises `TimeoutError`."""
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiters.append(entry)
        try:
            await asyncio.wait_for(future, timeout)
        finally:
            self._waiters.remove(entry)

    def changed(self) -> None:
        """Let waiters look again."""
        for condition, future in self._waiters:
            if not future.done() and condition():
                future.set_result(None)

    def join_human(self, human: Human) -> None:
        """A human enters."""
        self.humans[human.user_id] = human
        self._introduce(human)
        self.dave.join(human)

    def join_client(self, client: ClientSession) -> None:
        """A client has its session description: it hears who is here, and takes part."""
        self.clients[client.user_id] = client
        others = [user for user in self.peers if user != client.user_id]
        if others:
            client.send(Op.CLIENTS_CONNECT, {"user_ids": [str(user) for user in others]})
        for user in others:
            _describe(client, user)
        for human in self.humans.values():
            if human.announced:
                client.send(Op.SPEAKING, human.speaking_payload())
            if human.camera:
                client.send(Op.VIDEO, human.video_payload())
        self._introduce(client)
        self.dave.join(client)

    def leave(self, peer: Peer) -> None:
        """Somebody is gone; who was replaced by a newer session of the same user is not."""
        present: dict[int, Human] | dict[int, ClientSession] = self.humans if peer.is_human else self.clients
        if present.get(peer.user_id) is not peer:
            return
        del present[peer.user_id]
        self.tell_clients(Op.CLIENT_DISCONNECT, {"user_id": str(peer.user_id)})
        self.dave.leave(peer.user_id)

    def tell_clients(self, op: Op, data: object, *, but: int | None = None) -> None:
        """A JSON opcode for every client, `but` one."""
        for client in tuple(self.clients.values()):
            if client.user_id != but:
                client.send(op, data)

    def forward(self, packet: RtpPacket) -> None:
        """A human's packet goes to every client, sealed with that client's key."""
        for client in self.clients.values():
            client.forward(packet)

    def close(self) -> None:
        """Stop timers; whoever waits is told that nothing will come."""
        self.dave.close()
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(ConnectionError("the voice server was closed"))

    def _introduce(self, peer: Peer) -> None:
        for client in tuple(self.clients.values()):
            if client.user_id != peer.user_id:
                client.send(Op.CLIENTS_CONNECT, {"user_ids": [str(peer.user_id)]})
                _describe(client, peer.user_id)


def _describe(client: ClientSession, user_id: int) -> None:
    client.send(Op.CLIENT_FLAGS, {"user_id": str(user_id), "flags": 2})
    client.send(Op.CLIENT_PLATFORM, {"user_id": str(user_id), "platform": 0})
