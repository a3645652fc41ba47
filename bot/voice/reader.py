"""The thread that reads a voice connection's UDP socket.

discord.py's own sleeps in `select()` for up to 30 s on a socket that has been replaced: closing does not wake `select` on Linux. Nor
does it help to shut the socket down first: a woken `select` looks its descriptors up again by number, and when the new socket already
has the old one's number it goes on sleeping, registered with a socket that is gone. So this one has a second descriptor to wake it.
"""

import contextlib
import logging
import select
import socket
from typing import TYPE_CHECKING

from discord.voice_state import SocketReader

if TYPE_CHECKING:
    from discord.voice_state import VoiceConnectionState

log = logging.getLogger(__name__)

MAX_DATAGRAM = 2048
"""Bytes. Discord's packets stay below an Ethernet frame's 1500."""

BURST = 64
"""Datagrams read before the thread looks again whether it shall go on."""


class WakingReader(SocketReader):
    """Hands every datagram to the connection's socket listeners, and follows at once when the socket is paused, replaced or closed."""

    def __init__(self, state: "VoiceConnectionState") -> None:
        super().__init__(state)
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)

    def wake(self) -> None:
        """Make the thread look anew at what it shall read. From any thread."""
        with contextlib.suppress(OSError):  # full: it is being woken already; closed: it has ended
            self._waker.send(b"\0")

    def pause(self) -> None:
        """Read no more until `resume`."""
        super().pause()
        self.wake()

    def resume(self, *, force: bool = False) -> None:
        """Read the connection's present socket."""
        super().resume(force=force)
        self.wake()

    def stop(self) -> None:
        """End the thread."""
        super().stop()
        self.wake()

    def run(self) -> None:
        """The thread."""
        try:
            super().run()
        finally:
            self._woken.close()
            self._waker.close()

    def _do_run(self) -> None:
        while not self._end.is_set():
            if not self._running.is_set():
                self._running.wait()
                continue
            source = self.state.socket
            try:
                ready, _, _ = select.select([source, self._woken], [], [])
            except (ValueError, TypeError, OSError):
                # The socket is closed, or there is none yet: whoever did that pauses us or brings another.
                self._wait_for_wake()
                continue
            if self._woken in ready:
                self._clear_wakes()
            if source in ready:
                self._read(source)

    def _wait_for_wake(self) -> None:
        select.select([self._woken], [], [], 1.0)
        self._clear_wakes()

    def _clear_wakes(self) -> None:
        with contextlib.suppress(OSError):
            self._woken.recv(4096)

    def _read(self, source: socket.socket) -> None:
        for _ in range(BURST):
            try:
                data = source.recv(MAX_DATAGRAM)
            except OSError:  # nothing more, closed meanwhile, or an ICMP error of an earlier send
                return
            for listener in tuple(self._callbacks):
                try:
                    listener(data)
                except Exception:
                    log.exception("a socket listener failed")
