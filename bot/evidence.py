"""The last seconds of every speaker, as the Opus packets that came, and clips of them. Memory only: nothing is written anywhere."""

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.ogg import PRE_ROLL, OpusPacket, mux, packet_samples

SECONDS = 30.0
"""How far back a speaker's ring reaches."""
MAX_SPEAKER_BYTES = 2_000_000
"""One ring, with its overhead: 30 s at Discord's highest bitrate (384 kbit/s)."""
MAX_BYTES = 64_000_000
"""All rings together: 250 people who talk at 64 kbit/s."""
MAX_SPEAKERS = 1024
"""Rings, over all sessions."""
_LEAD = 0.24
"""Seconds before a clip's pre-roll in which a packet that reaches into it may begin: two of the longest (RFC 6716 §3.2.5)."""
PACKET_OVERHEAD = 120
"""Bytes that a packet costs besides its own: without them, a flood of tiny packets would be free."""


@dataclass(slots=True)
class EvidenceStats:
    """Counters since the start, and what is held now."""

    bytes: int = 0
    speakers: int = 0
    refused_packets: int = 0
    """Packets that are no Opus."""
    dropped_packets: int = 0
    """Packets younger than the ring's reach that went because it was full."""
    dropped_speakers: int = 0
    """Rings that went because there were too many, or too many bytes."""


@dataclass(slots=True)
class _Ring:
    packets: deque[OpusPacket] = field(default_factory=deque)
    bytes: int = 0
    last: int = 0
    """How many packets had been kept in all when its last one came."""


class EvidenceRing:
    """Implements `moderation.ports.Evidence`. Belongs to one thread: the event loop's.

    When a ring is full, its oldest packets go. When there are too many rings or bytes in all, the ring of whoever was silent
    longest goes, and so does a ring that nothing was added to while its session moved on by the ring's reach.
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        *,
        max_speaker_bytes: int = MAX_SPEAKER_BYTES,
        max_bytes: int = MAX_BYTES,
        max_speakers: int = MAX_SPEAKERS,
    ) -> None:
        """`seconds`: how far back it reaches, 0 for nothing at all."""
        self._seconds = seconds
        self._max_speaker_bytes = max_speaker_bytes
        self._max_bytes = max_bytes
        self._max_speakers = max_speakers
        self._sessions: dict[str, OrderedDict[int, _Ring]] = {}
        """Session → speaker → ring, by the last packet: whoever was silent longest comes first."""
        self._kept = 0
        self.stats = EvidenceStats()

    def keep(self, session_id: str, speaker_id: int, start: float, opus: bytes) -> None:
        """Take a packet. Called for every packet of every speaker, so it does little; never raises.

        Args:
            session_id: whose media time `start` is.
            speaker_id: who spoke.
            start: media seconds; packets of a speaker come in order.
            opus: the packet.
        """
        if self._seconds <= 0:
            return
        if not packet_samples(opus) or not math.isfinite(start):
            self.stats.refused_packets += 1
            return
        rings = self._sessions.get(session_id)
        if rings is None:
            rings = self._sessions[session_id] = OrderedDict()
        ring = rings.get(speaker_id)
        if ring is None:
            ring = rings[speaker_id] = _Ring()
            self.stats.speakers += 1
        rings.move_to_end(speaker_id)
        self._kept += 1
        ring.last = self._kept
        cost = len(opus) + PACKET_OVERHEAD
        ring.packets.append(OpusPacket(start, bytes(opus)))
        ring.bytes += cost
        self.stats.bytes += cost
        self._trim(ring, start)
        self._bound(session_id, rings, start)

    def clip(self, session_id: str, speaker_id: int, start: float, end: float) -> bytes | None:
        """A playable Ogg Opus file of that span (media seconds), None when nothing is held of it."""
        rings = self._sessions.get(session_id)
        ring = rings.get(speaker_id) if rings is not None else None
        if ring is None or not start < end:
            return None
        return mux((p for p in ring.packets if p.start > start - PRE_ROLL - _LEAD), start=start, end=end)

    def forget(self, speaker_id: int) -> None:
        """Drop everything held of that speaker, in all sessions."""
        for session_id in [s for s, rings in self._sessions.items() if speaker_id in rings]:
            self._drop(session_id, speaker_id)

    def drop_speaker(self, session_id: str, speaker_id: int) -> None:
        """Drop everything held of that speaker in that session."""
        if speaker_id in self._sessions.get(session_id, ()):
            self._drop(session_id, speaker_id)

    def drop_session(self, session_id: str) -> None:
        """Drop everything held of that session."""
        for speaker_id in list(self._sessions.get(session_id, ())):
            self._drop(session_id, speaker_id)

    def _trim(self, ring: _Ring, now: float) -> None:
        packets, oldest = ring.packets, now - self._seconds
        while len(packets) > 1 and (packets[0].start < oldest or ring.bytes > self._max_speaker_bytes):
            gone = packets.popleft()
            cost = len(gone.data) + PACKET_OVERHEAD
            ring.bytes -= cost
            self.stats.bytes -= cost
            self.stats.dropped_packets += gone.start >= oldest

    def _bound(self, session_id: str, rings: OrderedDict[int, _Ring], now: float) -> None:
        """One look at whoever was silent longest is enough: every packet takes one."""
        speaker_id, ring = next(iter(rings.items()))
        if ring.packets[-1].start < now - self._seconds:
            self._drop(session_id, speaker_id)
        stats = self.stats
        while stats.speakers > self._max_speakers or (stats.bytes > self._max_bytes and stats.speakers > 1):
            _, session, speaker = min(self._silent_longest())
            self._drop(session, speaker)
            stats.dropped_speakers += 1

    def _silent_longest(self) -> Iterator[tuple[int, str, int]]:
        for session_id, rings in self._sessions.items():
            speaker_id, ring = next(iter(rings.items()))
            yield ring.last, session_id, speaker_id

    def _drop(self, session_id: str, speaker_id: int) -> None:
        rings = self._sessions[session_id]
        self.stats.bytes -= rings.pop(speaker_id).bytes
        self.stats.speakers -= 1
        if not rings:
            del self._sessions[session_id]
