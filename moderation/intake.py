"""What reaches a speaker's recogniser, and what need not or cannot.

    put(item) ─▶ inbox (bounded) ─▶ overload? left out ─▶ voice gate: noise? passed over ─▶ the track

Everything that stops here is counted: dropped (no room), shed (overload), gated (noise).
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from moderation.inbox import Inbox, Overflow
from moderation.models import AudioFrame, EndOfSpeech, Speaker
from moderation.shedding import Shed, Shedding
from moderation.vad import HANG_OVER_FRAMES, SHORT_HANG_OVER_FRAMES, VoiceGate

INBOX_SIZE = 500
"""Items a live track may lag behind: 10 s of 20 ms frames. When full, the oldest goes and is missing from coverage."""
WAITING_SIZE = 50
"""Items a track may lag behind a source that waits for it: 1 s keeps the speakers together."""


@dataclass(slots=True)
class Tally:
    """What one speaker came to in this session; outlives the track when the speaker leaves and returns."""

    speaker: Speaker
    heard_seconds: float = 0.0
    settled_seconds: float = 0.0
    """Audio that the track is done with, whatever became of it: heard, passed over, left out, or lost with its recogniser."""
    gated_seconds: float = 0.0
    """Of those: listened to and found to be noise, so never decoded."""
    utterances: int = 0
    segments: int = 0
    flags: int = 0
    alerts: int = 0
    shed_seconds: float = 0.0
    """Speech left out under overload, as are the next two."""
    shed_silence_seconds: float = 0.0
    shed_partials: int = 0
    excused_seconds: float = 0.0
    """Speech that was on its way when the speaker opted out: not heard, and not to be."""
    dropped: int = 0
    """Frames that did not fit into the inbox any more."""


class Intake:
    """One track's way in."""

    def __init__(self, session_id: str, tally: Tally, size: int, gate: Callable[[], VoiceGate] | None, shedding: Shedding | None) -> None:
        """`size`: items that may wait; `gate` None: noise is decoded too; `shedding` None: nothing is left out."""
        self._session_id = session_id
        self._tally = tally
        self._inbox: Inbox[AudioFrame | EndOfSpeech] = Inbox(size, Overflow.DROP_OLDEST)
        self._gate = gate() if gate else None
        self._shedding = shedding
        self._shed = Shed.NOTHING
        self._newest = 0.0

    def put(self, item: AudioFrame | EndOfSpeech) -> None:
        """Queue an item; never waits. What does not fit is counted."""
        dropped = self._inbox.dropped
        self._inbox.put(item)
        self._tally.dropped += self._inbox.dropped - dropped
        self._newest = item.at if isinstance(item, EndOfSpeech) else item.start + item.seconds

    async def room(self) -> None:
        """Wait until `put` would drop nothing."""
        await self._inbox.room()

    @property
    def waiting(self) -> int:
        """Items that wait."""
        return len(self._inbox)

    def close(self) -> None:
        """No more items."""
        self._inbox.close()

    def discard(self) -> float:
        """No more items, and none of those that wait: seconds of speech among them."""
        waiting = self._inbox.remove(lambda item: True)
        self._inbox.close()
        return sum(item.seconds for item in waiting if isinstance(item, AudioFrame) and not item.concealed)

    def end(self) -> None:
        """The track is over: it no longer counts as one that is behind."""
        if self._shedding:
            self._shedding.idle(self._session_id, self._tally.speaker.id)

    @property
    def wants_partials(self) -> bool:
        """Whether the machine has time for a partial; counts those left out."""
        wanted = self._shed < Shed.PARTIALS
        self._tally.shed_partials += not wanted
        return wanted

    async def __aiter__(self) -> AsyncIterator[AudioFrame | EndOfSpeech]:
        """What the recogniser is to hear; an `EndOfSpeech` at the end."""
        async for item in self._inbox:
            for each in self._admitted(item):
                yield each
            if isinstance(item, AudioFrame):
                self._tally.settled_seconds += item.seconds
        for each in self._gated(EndOfSpeech(self._tally.speaker.id, self._newest)):
            yield each

    def _admitted(self, item: AudioFrame | EndOfSpeech) -> Iterable[AudioFrame | EndOfSpeech]:
        before, self._shed = self._shed, self._ask(item)
        if isinstance(item, AudioFrame) and self._shed is Shed.CHANNEL:
            self._tally.shed_seconds += item.seconds
            if before is Shed.CHANNEL:
                return ()
            return self._gated(EndOfSpeech(item.speaker_id, item.start, item.received_at))  # what was said until now is finished
        if isinstance(item, AudioFrame) and self._shed is Shed.SILENCE and item.concealed:
            self._tally.shed_silence_seconds += item.seconds
            return ()
        return self._gated(item)

    def _ask(self, item: AudioFrame | EndOfSpeech) -> Shed:
        policy, speaker_id = self._shedding, self._tally.speaker.id
        if policy is None:
            return Shed.NOTHING
        if isinstance(item, AudioFrame):
            lag = max(self._newest - item.start - item.seconds, 0.0)
            return policy.report(self._session_id, speaker_id, lag, item.seconds)
        if not len(self._inbox):
            policy.idle(self._session_id, speaker_id)
        return policy.of(self._session_id)

    def _gated(self, item: AudioFrame | EndOfSpeech) -> Iterable[AudioFrame | EndOfSpeech]:
        if self._gate is None:
            return (item,)
        self._gate.hang_over = SHORT_HANG_OVER_FRAMES if self._shed >= Shed.SILENCE else HANG_OVER_FRAMES
        passed = self._gate.take(item)
        gated = sum(frame.seconds for frame in passed.over if not frame.concealed)
        self._tally.heard_seconds += gated
        self._tally.gated_seconds += gated
        return passed.on
