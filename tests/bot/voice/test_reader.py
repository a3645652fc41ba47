"""The reader thread, with real sockets."""

import queue
import select
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from discord.voice_state import VoiceConnectionState

from bot.voice.reader import WakingReader

pytestmark = pytest.mark.integration

SECONDS = 60.0


class Rig:
    """A reader, the socket it reads, and who sends to it."""

    def __init__(self) -> None:
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.state = SimpleNamespace(socket=self.bind())
        self.reader = WakingReader(cast(VoiceConnectionState, self.state))
        self.heard: queue.Queue[bytes] = queue.Queue()
        self.reader.register(self.heard.put)
        self.reader.start()
        self.reader.resume()

    def bind(self) -> socket.socket:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        return receiver

    def send(self, data: bytes) -> None:
        self.sender.sendto(data, self.state.socket.getsockname())

    def hears(self, data: bytes) -> bool:
        """Sent again until it is heard: the thread may have been paused by its own start."""
        self.reader.resume()
        self.send(data)
        while self.heard.get(timeout=SECONDS) != data:
            pass
        return True

    def close(self) -> None:
        self.reader.stop()
        self.reader.join(SECONDS)
        self.state.socket.close()
        self.sender.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    while not rig.reader._idle_paused and not rig.reader._running.is_set():
        rig.reader.resume()
    yield rig
    rig.close()
    assert not rig.reader.is_alive()


def test_follows_a_replaced_socket_even_when_its_number_is_used_again(rig: Rig) -> None:
    """As discord.py reconnects: pause, close, open, resume. The kernel gives the new socket the old one's descriptor."""
    reused = 0
    for turn in range(300):
        assert rig.hears(b"%d" % turn)
        number = rig.state.socket.fileno()
        rig.reader.pause()
        rig.state.socket.close()
        rig.state.socket = rig.bind()
        reused += rig.state.socket.fileno() == number
        rig.reader.resume()
    assert reused > 200


def test_closing_the_socket_under_it_does_not_make_it_spin_or_end(rig: Rig) -> None:
    assert rig.hears(b"before")
    rig.state.socket.close()
    rig.reader.wake()
    rig.state.socket = rig.bind()
    rig.reader.resume()
    assert rig.hears(b"after")


def test_a_failing_listener_does_not_keep_others_from_hearing(rig: Rig) -> None:
    def fail(data: bytes) -> None:
        raise LookupError

    rig.reader._callbacks.insert(0, fail)
    assert rig.hears(b"still")


def test_paused_it_leaves_datagrams_in_the_socket(rig: Rig) -> None:
    assert rig.hears(b"first")
    rig.reader.pause()
    while not rig.reader._running._cond._waiters:  # type: ignore[attr-defined] # the thread may be on its way to the socket once more
        time.sleep(0.001)
    rig.send(b"second")
    assert select.select([rig.state.socket], [], [], SECONDS)[0]
    assert rig.heard.empty()
    rig.reader.resume()
    assert rig.heard.get(timeout=SECONDS) == b"second"
