"""The recorded conversation as it comes through a network that loses packets: real Opus and the real receiver, no socket and no clock.

Which packets are lost is drawn from a seed, for each speaker by itself, so that a run can be repeated packet by packet.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bot.voice.opus import SILENCE
from bot.voice.receiver import VoiceFrame
from bot.voice.rtp import CLOCK_RATE
from moderation.models import AudioFrame, Session, SourceItem
from moderation.pipeline import Pipeline
from moderation.ports import Transcriber
from moderation.settings import GuildSettings
from moderation.vad import VoiceGate
from tests.bot.voice.packets import FRAME, ORIGIN, Call
from tests.fakes import FakeSource
from tests.loopback.voice.clips import Audio, opus_packets
from tests.loopback.voice.rtp import SILENCE_FRAMES
from tests.scenario import Watcher, conversation
from tests.wer import normalise, word_errors

LINE_SECONDS = 4.5
"""From one line of a speaker to the next: longer than any of them."""


def received(user_id: int, sounds: Sequence[Audio], loss: float, seed: int) -> list[SourceItem]:
    """What a source gives of one speaker's sounds. `loss`: share of the packets, 0..1."""
    draw, call = random.Random(f"{seed} {user_id}"), Call()
    sender = call.sender(user_id)

    def send(opus: bytes) -> None:
        datagram = sender.packet(opus)
        if draw.random() >= loss:
            call.receive(datagram)

    for n, sound in enumerate(sounds):
        pause = max(ORIGIN + n * LINE_SECONDS - call.now, 0.0)
        call.wait(pause)
        sender.timestamp += int(pause * CLOCK_RATE)
        for opus in opus_packets(sound):
            send(opus)
            call.wait(FRAME)
        for _ in range(SILENCE_FRAMES):
            send(SILENCE)
    call.wait(1.0)
    return [_handed_on(item) if isinstance(item, VoiceFrame) else item for item in call.items]


def _handed_on(frame: VoiceFrame) -> AudioFrame:
    """As `DiscordSource` does."""
    return AudioFrame(frame.user_id, frame.start, frame.pcm, frame.received_at, concealed=not frame.opus)


def evening(loss: float, seed: int) -> list[SourceItem]:
    """Every speaker's lines, one speaker after another."""
    lines = conversation()
    names = sorted({line.speaker for line in lines})
    return [
        item
        for user_id, name in enumerate(names, 1)
        for item in received(user_id, [line.path for line in lines if line.speaker == name], loss, seed)
    ]


async def errors(transcriber: Transcriber, items: Sequence[SourceItem], gate: Callable[[], VoiceGate] | None) -> tuple[int, int]:
    """(word errors, words said) of an evening."""
    watcher, session = Watcher(), Session("evening", 0, 0, datetime.now(UTC))
    await Pipeline(session, transcriber, (), watcher, lambda: GuildSettings(0), lossless=True, gate=gate).run(FakeSource(items))
    said, heard = defaultdict[str, list[str]](list), defaultdict[int, list[str]](list)
    for line in conversation():
        said[line.speaker].append(line.text)
    for _, segment in sorted(watcher.segments, key=lambda each: each[1].start):
        heard[segment.speaker_id].append(segment.text)
    texts = [" ".join(said[name]) for name in sorted(said)]
    wrong = sum(word_errors(text, " ".join(heard[user_id])) for user_id, text in enumerate(texts, 1))
    return wrong, sum(len(normalise(text).split()) for text in texts)
