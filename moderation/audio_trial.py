"""A dry run on a recording: the same recogniser and the same detectors as in a call; nobody is told, nothing is kept."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from moderation.errors import DetectorError, InvalidInput, UndecodableAudio
from moderation.lexicon_service import DryRun
from moderation.models import BYTES_PER_SECOND, Detection, Flag, Hypothesis, Level, Session, TranscriptSegment
from moderation.policy import judge
from moderation.ports import Detector, GuildStore, Recognizer, Transcriber
from moderation.settings import GuildSettings

MAX_BYTES = 8_000_000
"""Size of a recording that can be tried."""
MAX_SECONDS = 60.0
"""Audio of it that is listened to; the rest is left out, and that is said."""

Decode = Callable[[bytes, str], Iterator[bytes]]
"""(content of a file, what to call it) → 16 kHz mono int16 samples in pieces. Runs in a thread; raises `UndecodableAudio`."""


@dataclass(frozen=True, slots=True)
class AudioRun:
    """What a recording would come to."""

    sentences: tuple[DryRun, ...]
    """In the order in which they were said; empty where no word was recognised."""
    seconds: float
    """Audio that was listened to."""
    cut: bool = False
    """The recording is longer; the rest was left out."""
    damage: str = ""
    """What is wrong with the recording, where it broke off; what came before was used."""

    @property
    def level(self) -> Level:
        """The worst of the sentences'."""
        return max((s.verdict.level for s in self.sentences), default=Level.NONE)


class AudioTrial:
    """Tries one recording at a time, so that live speakers never wait for more than one."""

    def __init__(self, transcriber: Transcriber, detectors: Sequence[Detector], guilds: GuildStore, decode: Decode) -> None:
        self._transcriber = transcriber
        self._detectors = detectors
        self._guilds = guilds
        self._decode = decode
        self._lock = asyncio.Lock()

    async def run(self, session: Session, data: bytes) -> AudioRun:
        """Listen to a recording as if somebody said it in that session's guild.

        Raises `UndecodableAudio` where it is no audio, `InvalidInput` where it is too large or another one is being tried,
        `RecognizerFailed`.
        """
        if len(data) > MAX_BYTES:
            raise InvalidInput(f"The recording is larger than {MAX_BYTES:,} bytes, the most that can be tried. Cut it or compress it.")
        if self._lock.locked():
            raise InvalidInput("Another recording is being tried at this moment. Try again in half a minute.")
        async with self._lock:
            recognizer = await self._transcriber.open()
            try:
                return await self._listen(session, _Recording(self._decode(data, "The recording")), recognizer)
            finally:
                await recognizer.aclose()

    async def _listen(self, session: Session, recording: "_Recording", recognizer: Recognizer) -> AudioRun:
        settings = await self._guilds.settings(session.guild_id)
        sentences: list[DryRun] = []
        ended = False
        try:
            while not ended:
                pcm = await asyncio.to_thread(recording.second)
                ended = not pcm
                heard = await (recognizer.finish() if ended else recognizer.accept(pcm))
                if heard is not None and heard.final:
                    sentences.append(await self._judged(session, _segment(session, len(sentences), heard), settings))
        finally:
            recording.close()
        if recording.damage is not None and not recording.heard:
            raise recording.damage
        return AudioRun(tuple(sentences), recording.heard / BYTES_PER_SECOND, recording.cut, str(recording.damage or ""))

    async def _judged(self, session: Session, segment: TranscriptSegment, settings: GuildSettings) -> DryRun:
        flags: list[Flag] = []
        ran: dict[str, Detection] = {}
        for detector in self._detectors:
            try:
                flags += await detector.detect(session, segment)
                ran[detector.name] = Detection.RAN
            except DetectorError:
                ran[detector.name] = Detection.FAILED
        return DryRun(segment, judge(flags, ran, settings))


class _Recording:
    """Decodes second by second, no further than `MAX_SECONDS`."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = bytearray()
        self.heard = 0
        """Bytes handed out."""
        self.cut = False
        self.damage: UndecodableAudio | None = None

    def second(self) -> bytes:
        """The next second; empty at the end. In a thread."""
        left = int(MAX_SECONDS * BYTES_PER_SECOND) - self.heard
        while self.damage is None and len(self._held) <= min(left, BYTES_PER_SECOND):
            try:
                piece = next(self._pieces, None)
            except UndecodableAudio as error:
                self.damage = error
                break
            if piece is None:
                break
            self._held += piece
        self.cut = self.cut or len(self._held) > left
        pcm = bytes(self._held[: min(left, BYTES_PER_SECOND)])
        del self._held[: len(pcm)]
        self.heard += len(pcm)
        return pcm

    def close(self) -> None:
        """Stop decoding."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


def _segment(session: Session, number: int, heard: Hypothesis) -> TranscriptSegment:
    start, end = (heard.words[0].start, heard.words[-1].end) if heard.words else (0.0, 0.0)
    return TranscriptSegment(session.id, 0, number, start, end, heard.text, final=True, words=heard.words)
