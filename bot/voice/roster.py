"""Who is in the call: streams by SSRC, speakers by user id, and those who left."""

from collections import OrderedDict, deque

from bot.voice.dave import FrameOpener
from bot.voice.jitter import JitterBuffer
from bot.voice.speaker import Speaker, VoiceItem
from bot.voice.stats import SpeakerStats
from bot.voice.stream import Stream
from moderation.models import SpeakerLeft

LEFT_SECONDS = 0.5
"""How long a user who left is still heard: packets under way, and gaps that wait."""
SPEAKER_SSRCS = 3
"""SSRCs remembered per user, who has another after each reconnect. When full, the oldest goes."""
MAX_SPEAKERS = 1024
"""Present users remembered. When full, the one known longest goes, as if it had left."""
MAX_RETIRED = 256
"""SSRCs remembered of users who left. When full, the oldest goes."""
MAX_PAST = 4096
"""Users who left, remembered for their counters. When full, the one who left first goes."""


class Roster:
    """Streams and speakers of one voice connection."""

    def __init__(self, dave: FrameOpener, origin: float, jitter_delay: float) -> None:
        """`origin`: monotonic seconds of media second 0; `jitter_delay`: seconds that a gap waits."""
        self._dave = dave
        self._origin = origin
        self._jitter_delay = jitter_delay
        self.streams: dict[int, Stream] = {}
        self.speakers: dict[int, Speaker] = {}
        self.retired: deque[int] = deque(maxlen=MAX_RETIRED)
        """SSRCs of users who left: what still comes of them is a straggler's, or replayed, and brings nobody back."""
        self._past: OrderedDict[int, Speaker] = OrderedDict()

    def assign(self, ssrc: int, user_id: int, out: list[VoiceItem]) -> Stream:
        """A new stream for an SSRC that has none; its user is present."""
        speaker = self._present(user_id, out)
        others = self.streams_of(speaker)
        if len(others) >= SPEAKER_SSRCS:
            self.drop(others[0])
        if ssrc in self.retired:
            self.retired.remove(ssrc)
        stream = self.streams[ssrc] = Stream(ssrc, speaker, JitterBuffer(self._jitter_delay))
        return stream

    def _present(self, user_id: int, out: list[VoiceItem]) -> Speaker:
        speaker = self.speakers.get(user_id)
        if speaker is None:
            if len(self.speakers) >= MAX_SPEAKERS:
                self._forget(next(iter(self.speakers.values())), out)
            speaker = self._past.pop(user_id, None) or Speaker(user_id, self._dave, self._origin)
            self.speakers[user_id] = speaker
        speaker.left_at = None
        return speaker

    def streams_of(self, speaker: Speaker) -> list[Stream]:
        """Oldest first."""
        return [stream for stream in self.streams.values() if stream.speaker is speaker]

    def start_over(self, speaker: Speaker) -> None:
        """Drop what waits of that speaker, and take the next packet as it comes."""
        for stream in self.streams_of(speaker):
            stream.start_over()
        speaker.abandon()

    def drop(self, stream: Stream) -> None:
        """Forget an SSRC, and what waits of it."""
        stream.start_over()
        stream.speaker.abandon(stream)
        del self.streams[stream.ssrc]

    def clear(self) -> None:
        """Forget all SSRCs; the users stay known."""
        for stream in list(self.streams.values()):
            self.drop(stream)

    def forget_departed(self, now: float, out: list[VoiceItem]) -> None:
        """Forget those who left a while ago."""
        for speaker in list(self.speakers.values()):
            if speaker.left_at is not None and now - speaker.left_at >= LEFT_SECONDS:
                self._forget(speaker, out)

    def _forget(self, speaker: Speaker, out: list[VoiceItem]) -> None:
        for stream in self.streams_of(speaker):
            self.drop(stream)
            self.retired.append(stream.ssrc)
        speaker.end_speech(out)
        out.append(SpeakerLeft(speaker.user_id))
        del self.speakers[speaker.user_id]
        self._past[speaker.user_id] = speaker
        if len(self._past) > MAX_PAST:
            self._past.popitem(last=False)

    def stats(self) -> dict[int, SpeakerStats]:
        """Counters by user id; of those who left too."""
        speakers = (*self._past.values(), *self.speakers.values())
        return {speaker.user_id: speaker.counters.snapshot() for speaker in speakers}
