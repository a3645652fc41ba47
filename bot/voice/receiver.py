"""Voice receive without I/O: datagrams, signalling and time in; frames, ends of speech and leavings out. Start reading here.

    datagram ─▶ rtp.parse ─▶ transport (crypto) ─▶ rtp.strip ─▶ SSRC known? ─▶ jitter ─▶ Speaker: DAVE ─▶ Opus ─▶ VoiceFrame
                                                                └▶ ring, until op 5 or somebody's key fits

No socket, no event loop, no clock; nothing a datagram holds raises. Not thread-safe: packets and opcodes come from different threads,
so the caller guards all calls, and those to the DAVE policy, with one lock.
"""

from collections import Counter
from collections.abc import Callable, Set
from types import MappingProxyType

from bot.voice.crypto import Transport, TransportRefused, transport
from bot.voice.dave import FrameOpener, FrameRefused, is_encrypted
from bot.voice.jitter import DELAY, Arrival, Missing
from bot.voice.roster import Roster
from bot.voice.rtp import Kind, parse, strip
from bot.voice.speaker import Speaker, VoiceFrame, VoiceItem
from bot.voice.stats import CallStats, Drop, SpeakerStats
from bot.voice.stream import Packet, Stream
from bot.voice.unmapped import Ring, Unmapped

__all__ = ["Receiver", "VoiceFrame", "VoiceItem"]

TRIAL_ROUNDS = 8
"""Failed attempts per SSRC to find its user by trial, before only an epoch change gives reason for more."""
TRIAL_USERS = 100
"""Users tried per frame, about a microsecond each."""


class Receiver:
    """One voice connection's receiving side; survives reconnects (`reset`, `set_transport`)."""

    def __init__(
        self,
        dave: FrameOpener,
        *,
        origin: float,
        accept: Callable[[int], bool] = lambda user_id: True,
        listening: bool = True,
        jitter_delay: float = DELAY,
    ) -> None:
        """`origin`: monotonic seconds of media second 0. `jitter_delay`: seconds that a gap waits for late packets.

        `accept`: whether that user may be heard; asked for each packet before anything of it is decrypted.
        """
        self.accept = accept
        self._dave = dave
        self._listening = listening
        self._transport: Transport | None = None
        self._roster = Roster(dave, origin, jitter_delay)
        self._streams = self._roster.streams
        self._unmapped = Unmapped()
        self._datagrams = 0
        self._ignored: Counter[Kind] = Counter()
        self._dropped: Counter[Drop] = Counter()
        self._trials = 0
        self._identified = 0

    # What the connection says.

    @property
    def listening(self) -> bool:
        """While False, voice packets are counted and dropped, and nothing is decrypted, not even what waited."""
        return self._listening

    @listening.setter
    def listening(self, listening: bool) -> None:
        self._listening = listening
        if not listening:
            self._unmapped.clear()
            for speaker in self._roster.speakers.values():
                self._roster.start_over(speaker)

    def reset(self) -> None:
        """Voice op 2: a new session. SSRCs, keys and what waits for either are void; users stay known."""
        self._transport = None
        self._unmapped.clear()
        self._roster.clear()

    def set_transport(self, mode: str, secret_key: bytes) -> None:
        """Op 4. Raises `VoiceUnavailable` for a mode or key that cannot be used."""
        self._transport = transport(mode, secret_key)

    def speaking(self, ssrc: int, user_id: int, now: float) -> list[VoiceItem]:
        """Ops 5 and 12: that SSRC is that user's. Releases what waited for it."""
        out: list[VoiceItem] = []
        stream = self._streams.get(ssrc)
        if stream is None:
            self._map(ssrc, user_id, now, out)
        elif stream.speaker.user_id != user_id:
            self._hand_over(stream, user_id, now, out)
        else:
            stream.speaker.left_at = None
        return out

    def user_left(self, user_id: int, now: float) -> list[VoiceItem]:
        """Op 13. The user is forgotten a moment later, by `tick`: packets may still be under way."""
        out: list[VoiceItem] = []
        speaker = self._roster.speakers.get(user_id)
        if speaker is not None and speaker.left_at is None:
            speaker.left_at = now
            if not speaker.pending and not any(stream.jitter.waiting for stream in self._roster.streams_of(speaker)):
                speaker.end_speech(out)
        return out

    def epoch_changed(self, now: float) -> list[VoiceItem]:
        """Ops 29, 30 and 22: what could not be opened may open now."""
        out: list[VoiceItem] = []
        for speaker in self._roster.speakers.values():
            if speaker.pending and self._may_be_heard(speaker):
                speaker.retry(out)
        for ssrc, ring in self._unmapped.rings():
            ring.trials = 0
            self._identify(ssrc, ring, now, out)
        return out

    def tick(self, now: float) -> list[VoiceItem]:
        """Every 20 ms: gaps and held frames expire, speech ends, users who left are forgotten."""
        out: list[VoiceItem] = []
        for stream in self._streams.values():
            if stream.jitter.waiting and self._may_be_heard(stream.speaker):
                self._drain(stream, now, out)
        for speaker in self._roster.speakers.values():
            if not speaker.pending or self._may_be_heard(speaker):
                speaker.tick(now, out)
        self._roster.forget_departed(now, out)
        self._unmapped.expire(now)
        return out

    # Packets.

    def datagram(self, data: bytes, now: float) -> list[VoiceItem]:
        """One UDP datagram and when it came (monotonic seconds)."""
        self._datagrams += 1
        header = parse(data)
        if not isinstance(header, tuple):
            self._ignored[header] += 1
            return []
        if self._transport is None or not self._listening:
            self._dropped[Drop.NO_TRANSPORT if self._listening else Drop.DEAF] += 1
            return []
        ssrc, sequence, timestamp, header_length, extension, padded = header
        stream = self._streams.get(ssrc)
        if stream is not None and not self.accept(stream.speaker.user_id):
            self._refuse(stream.speaker)
            return []
        try:
            payload = strip(self._transport.open(data, header_length), extension, padded)
        except TransportRefused:
            self._dropped[Drop.TRANSPORT_REFUSED] += 1
            return []
        if payload is None:
            self._dropped[Drop.MALFORMED] += 1
            return []
        out: list[VoiceItem] = []
        if stream is None:
            ring = self._unmapped.add(ssrc, Packet(sequence, timestamp, payload, now))
            self._identify(ssrc, ring, now, out)
        elif stream.jitter.passes(sequence):
            speaker = stream.speaker
            speaker.counters.received += 1
            speaker.take(stream, (sequence, timestamp, payload, now, False), out)
        else:
            self._out_of_order(stream, Packet(sequence, timestamp, payload, now), now, out)
        return out

    def _out_of_order(self, stream: Stream, packet: Packet, now: float, out: list[VoiceItem]) -> None:
        counters = stream.speaker.counters
        counters.received += 1
        arrival = stream.jitter.put(packet.sequence, packet, packet.arrival)
        if arrival is Arrival.QUEUED:
            self._drain(stream, now, out)
        elif arrival is Arrival.LATE:
            counters.late += 1
        elif arrival is Arrival.DUPLICATE:
            counters.duplicate += 1
        elif arrival is Arrival.DISPLACED:
            counters.stray += 1

    def _drain(self, stream: Stream, now: float, out: list[VoiceItem]) -> None:
        while (item := stream.jitter.pop(now)) is not None:
            if isinstance(item, Packet):
                stream.speaker.take(stream, item, out)
            elif isinstance(item, Missing):
                stream.speaker.missing(stream, item.count)
            else:
                stream.restart()

    # Who may be heard.

    def _may_be_heard(self, speaker: Speaker) -> bool:
        """Whether what waits of that user may be opened; if not, it is dropped."""
        if self.accept(speaker.user_id):
            return True
        self._roster.start_over(speaker)
        return False

    def _refuse(self, speaker: Speaker) -> None:
        speaker.counters.refused += 1
        self._roster.start_over(speaker)

    # Whose SSRC it is.

    def _map(self, ssrc: int, user_id: int, now: float, out: list[VoiceItem]) -> Stream:
        """Give an SSRC to a user, and the user what waited of it."""
        stream = self._roster.assign(ssrc, user_id, out)
        counters = stream.speaker.counters
        packets = self._unmapped.take(ssrc)
        if packets and not self.accept(user_id):
            counters.refused += len(packets)
            return stream
        counters.unmapped += len(packets)
        for packet in packets:
            if stream.jitter.passes(packet.sequence):
                counters.received += 1
                stream.speaker.take(stream, packet, out)
            else:
                self._out_of_order(stream, packet, now, out)
        return stream

    def _hand_over(self, stream: Stream, user_id: int, now: float, out: list[VoiceItem]) -> None:
        """An SSRC was given to another user: what the old one's key did not open may be the new one's."""
        before = stream.speaker
        waiting = before.release(stream, out) if self._may_be_heard(before) else []
        self._roster.drop(stream)
        after = self._map(stream.ssrc, user_id, now, out)
        before.counters.received -= len(waiting)
        if not self.accept(user_id):
            after.speaker.counters.refused += len(waiting)
            return
        after.speaker.counters.received += len(waiting)
        for packet in waiting:
            after.speaker.take(after, packet, out)

    def _identify(self, ssrc: int, ring: Ring, now: float, out: list[VoiceItem]) -> None:
        """Find the user whose key opens what waits of an SSRC. The frame that opened is kept opened: it would not open twice."""
        if ring.trials >= TRIAL_ROUNDS or ssrc in self._roster.retired:
            return
        ring.trials += 1
        users = self._candidates()
        for index, packet in enumerate(ring.packets):
            user_id, opus = self._try(packet, users) if is_encrypted(packet.payload) else (None, b"")
            if user_id is not None:
                ring.packets[index] = packet._replace(payload=opus, opened=True)
                self._identified += 1
                self._map(ssrc, user_id, now, out)
                return

    def _try(self, packet: Packet, users: list[int]) -> tuple[int | None, bytes]:
        for user_id in users:
            self._trials += 1
            try:
                return user_id, self._dave.open(user_id, packet.payload, packet.arrival)
            except FrameRefused:
                continue
        return None, b""

    def _candidates(self) -> list[int]:
        """Who may be heard, those without an SSRC first."""
        heard = {stream.speaker.user_id for stream in self._streams.values()}
        users = [user_id for user_id in self._dave.user_ids() if self.accept(user_id)]
        return sorted(users, key=heard.__contains__)[:TRIAL_USERS]

    def excused(self, present: Set[int]) -> bool:
        """Whether every SSRC that nobody named may be that of somebody `present` who must not be heard: then it is rightly nobody's."""
        named = {stream.speaker.user_id for stream in self._streams.values()}
        hidden = sum(1 for user_id in present if user_id not in named and not self.accept(user_id))
        return 0 < hidden >= len(self._unmapped.rings())

    # Counters.

    def stats(self) -> dict[int, SpeakerStats]:
        """What became of each speaker's packets, by user id; of those who left too."""
        return self._roster.stats()

    def call_stats(self) -> CallStats:
        """What became of datagrams that no speaker counts."""
        dropped = Counter(self._dropped)
        dropped[Drop.UNMAPPED] += self._unmapped.dropped
        return CallStats(
            datagrams=self._datagrams,
            ignored=MappingProxyType(dict(self._ignored)),
            dropped=MappingProxyType({drop: count for drop, count in dropped.items() if count}),
            trials=self._trials,
            identified=self._identified,
        )
