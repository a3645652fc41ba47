"""Packets of SSRCs whose user is not known yet: UDP is faster than the websocket that tells."""

from collections import OrderedDict, deque

from bot.voice.rtp import distance16
from bot.voice.stream import Packet

MAX_PACKETS = 50
"""Per SSRC. When full, the oldest goes."""
MAX_SSRCS = 64
"""When full, the SSRC that has been quiet longest goes."""
MAX_SECONDS = 2.0
"""Older packets go: whoever spoke has been unheard for too long to be told."""


class Ring:
    """What waits of one SSRC."""

    def __init__(self) -> None:
        self.packets: deque[Packet] = deque()
        self.trials = 0
        """Failed attempts to find the speaker."""

    def in_order(self) -> list[Packet]:
        """The packets by sequence number, across the wrap."""
        first = self.packets[0].sequence
        return sorted(self.packets, key=lambda packet: distance16(packet.sequence, first))


class Unmapped:
    """Bounded memory of packets by SSRC."""

    def __init__(self) -> None:
        self._rings: OrderedDict[int, Ring] = OrderedDict()
        self.dropped = 0
        """Packets that nobody claimed."""

    def __len__(self) -> int:
        return sum(len(ring.packets) for ring in self._rings.values())

    def add(self, ssrc: int, packet: Packet) -> Ring:
        """Keep a packet; the SSRC's ring."""
        ring = self._rings.get(ssrc)
        if ring is None:
            if len(self._rings) >= MAX_SSRCS:
                self.dropped += len(self._rings.popitem(last=False)[1].packets)
            ring = self._rings[ssrc] = Ring()
        if len(ring.packets) >= MAX_PACKETS:
            ring.packets.popleft()
            self.dropped += 1
        ring.packets.append(packet)
        self._rings.move_to_end(ssrc)
        return ring

    def take(self, ssrc: int) -> list[Packet]:
        """Take out an SSRC's packets, in order."""
        ring = self._rings.pop(ssrc, None)
        return ring.in_order() if ring is not None else []

    def rings(self) -> list[tuple[int, Ring]]:
        """All that waits, by SSRC."""
        return list(self._rings.items())

    def expire(self, now: float) -> None:
        """Drop what is too old."""
        for ssrc, ring in self.rings():
            while ring.packets and now - ring.packets[0].arrival > MAX_SECONDS:
                ring.packets.popleft()
                self.dropped += 1
            if not ring.packets:
                del self._rings[ssrc]

    def clear(self) -> None:
        """Drop all."""
        self.dropped += len(self)
        self._rings.clear()
