"""A human in a call: a real DAVE session that follows the call's epochs, and a voice that sends real Opus."""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import davey

from tests.loopback.voice.clips import Audio, opus_packets
from tests.loopback.voice.dave import Dave
from tests.loopback.voice.peer import Op
from tests.loopback.voice.rtp import FRAME_SECONDS, SILENCE, SILENCE_FRAMES, Packetiser, RtpPacket, Shape
from tests.loopback.voice.stats import HumanStats

BURST = 8
"""Packets sent in one go when there is no pacing."""
LATE_BURST = 2
"""As many when a busy machine has made the speaker late: several catch up at once, and receivers are late, too."""
BURST_PAUSE = 0.002
"""Seconds between bursts: a receiver's socket buffer holds about 250 packets."""


class Announce(StrEnum):
    """When a human's op 5 (SSRC → user) goes out."""

    BEFORE = "before"
    """Before the first packet, as it should be."""
    LATE = "late"
    """After `late_after` packets."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Said:
    """What one `say` sent."""

    packets: tuple[bytes, ...]
    """Opus frames without the closing silence."""
    timestamp: int
    """RTP timestamp of the first."""
    seconds: float


class HumanCall(Protocol):
    """What a human needs of the call that it is in."""

    @property
    def dave(self) -> Dave: ...

    @property
    def channel_id(self) -> int: ...

    def tell_clients(self, op: Op, data: object, *, but: int | None = None) -> None: ...

    def forward(self, packet: RtpPacket) -> None: ...

    def changed(self) -> None: ...

    async def wait(self, condition: Callable[[], bool], timeout: float = ...) -> None: ...


class Human:
    """One stay of one user in one call."""

    is_human = True

    def __init__(self, user_id: int, call: HumanCall, ssrc: int, rng: random.Random, stats: HumanStats, *, eager: bool = False) -> None:
        """`eager`: the sending key changes as soon as the commit is known, not at op 22."""
        self.user_id = user_id
        self.call = call
        self.stats = stats
        self.eager = eager
        self.shape = Shape()
        """How its packets look; replace it at any time."""
        self.announced = False
        self.camera = False
        self.present = True
        self.session: davey.DaveSession | None = None
        self.version = call.dave.version
        """What it sends now: 0 plain, 1 DAVE. Changes when a transition is executed."""
        self._pending_versions: dict[int, int] = {}
        self._deferred: dict[int, tuple[Op, bytes]] = {}
        self._packetiser = Packetiser(ssrc, self.shape, rng)
        self._last_sent: float | None = None
        self._speaking = asyncio.Lock()

    @property
    def ssrc(self) -> int:
        """Of its audio."""
        return self._packetiser.ssrc

    @property
    def can_send(self) -> bool:
        """Whether its frames could be sent as the call asks now."""
        return self.version == 0 or (self.session is not None and self.session.ready)

    # ---- the call's messages, in Discord's order ----------------------------------------------

    def send(self, op: Op, data: object) -> None:
        """Hear a JSON opcode."""
        if not isinstance(data, dict):
            return
        if op is Op.PREPARE_EPOCH and data["epoch"] == 1:
            self._deferred.clear()
            self._new_group(int(data["protocol_version"]))
        elif op is Op.PREPARE_TRANSITION:
            self._prepare(int(data["transition_id"]), int(data["protocol_version"]))
        elif op is Op.EXECUTE_TRANSITION:
            self._execute(int(data["transition_id"]))

    def send_binary(self, op: Op, body: bytes) -> None:
        """Hear a binary opcode."""
        if op is Op.EXTERNAL_SENDER:
            self._external_sender(body)
        elif op is Op.PROPOSALS and self.session:
            kind = davey.ProposalsOperationType.append if body[0] == 0 else davey.ProposalsOperationType.revoke
            answer = self.session.process_proposals(kind, body[1:])
            if answer:
                self._answer(Op.COMMIT_WELCOME, answer.commit + (answer.welcome or b""))
        elif op in (Op.ANNOUNCE_COMMIT, Op.WELCOME):
            self._outcome(op, int.from_bytes(body[:2], "big"), body[2:])

    def _external_sender(self, body: bytes) -> None:
        fresh = self.session is None
        if self.session is None:
            self.session = davey.DaveSession(davey.DAVE_PROTOCOL_VERSION, self.user_id, self.call.channel_id)
        self.session.set_external_sender(body)
        if fresh:
            self._answer(Op.KEY_PACKAGE, self.session.get_serialized_key_package())

    def _new_group(self, version: int) -> None:
        if self.session is not None:
            self.session.reinit(version, self.user_id, self.call.channel_id)
            self._answer(Op.KEY_PACKAGE, self.session.get_serialized_key_package())

    def _outcome(self, op: Op, transition_id: int, message: bytes) -> None:
        self._pending_versions[transition_id] = davey.DAVE_PROTOCOL_VERSION
        if self.eager:
            self._apply(op, message)
        else:
            self._deferred[transition_id] = (op, message)
        self._answer(Op.TRANSITION_READY, {"transition_id": transition_id})

    def _apply(self, op: Op, message: bytes) -> None:
        assert self.session is not None
        if op is Op.WELCOME:
            self.session.process_welcome(message)
        else:
            self.session.process_commit(message)

    def _prepare(self, transition_id: int, version: int) -> None:
        self._pending_versions[transition_id] = version
        if transition_id == 0:
            self._execute(0)
        else:
            self._answer(Op.TRANSITION_READY, {"transition_id": transition_id})

    def _execute(self, transition_id: int) -> None:
        deferred = self._deferred.pop(transition_id, None)
        if deferred:
            self._apply(*deferred)
        self.version = self._pending_versions.pop(transition_id, self.version)
        self.call.changed()

    def _answer(self, op: Op, data: object) -> None:
        self.call.dave.receive(self.user_id, op, data)

    # ---- what it sends ------------------------------------------------------------------------

    async def say(
        self,
        audio: Audio | Sequence[bytes],
        *,
        speed: float = 1.0,
        pause: float | None = None,
        announce: Announce = Announce.BEFORE,
        late_after: int = 25,
        plain: bool = False,
        silence: int = SILENCE_FRAMES,
        key_timeout: float = 60.0,
    ) -> Said:
        """Send a clip in packets of 20 ms, ended by silence frames; then nothing is sent until the next.

        `audio`: a file, raw PCM (16 kHz mono int16), or ready Opus packets. `speed`: 1 is real time, `math.inf` as fast as a
        receiver can take it. `pause`: seconds of media time since the last packet; None takes them from the clock.
        `plain`: leave DAVE out whatever the call's version is. `key_timeout`: how long to wait for a first key, seconds;
        frames without a key are not sent and counted as `unsent`. Two `say` of one human follow each other.
        """
        if isinstance(audio, str | Path | bytes):
            frames = await asyncio.to_thread(opus_packets, audio)
        else:
            frames = tuple(audio)
        async with self._speaking:
            if not plain:
                await self._wait_for_key(key_timeout)
            self._begin(speed, pause)
            if announce is Announce.BEFORE:
                await self._announce_first()
            started = self._packetiser.timestamp
            await self._pace(frames, speed, late_after if announce is Announce.LATE else None, plain=plain)
            for _ in range(silence):
                self._frame(SILENCE, plain=plain)
            self._last_sent = asyncio.get_running_loop().time()
        return Said(frames, started, len(frames) * FRAME_SECONDS)

    def announce(self, speaking: int = 1) -> None:
        """Tell clients whose SSRC this is (op 5)."""
        self.announced = True
        self.call.tell_clients(Op.SPEAKING, self.speaking_payload(speaking))

    def set_camera(self, on: bool) -> None:
        """Switch the camera on or off (op 12)."""
        self.camera = on
        self.call.tell_clients(Op.VIDEO, self.video_payload())

    def speaking_payload(self, speaking: int = 1) -> dict[str, object]:
        """Body of op 5."""
        return {"user_id": str(self.user_id), "ssrc": self.ssrc, "speaking": speaking}

    def video_payload(self) -> dict[str, object]:
        """Body of op 12."""
        video, rtx = (self._packetiser.video_ssrc, self._packetiser.rtx_ssrc) if self.camera else (0, 0)
        return {"user_id": str(self.user_id), "audio_ssrc": self.ssrc, "video_ssrc": video, "rtx_ssrc": rtx, "streams": []}

    def send_frame(self, payload: bytes) -> None:
        """One audio packet with exactly this payload: no DAVE, whatever it is."""
        self._emit(self._packetiser.audio(payload), payload)

    def send_packet(self, packet: RtpPacket) -> None:
        """Any packet at all."""
        self.call.forward(packet)

    def send_silence(self, frames: int = SILENCE_FRAMES) -> None:
        """Silence frames, as the SFU also makes them up."""
        for _ in range(frames):
            self._frame(SILENCE)

    async def _announce_first(self) -> None:
        """Op 5 goes by TCP, packets by UDP: the first time it gets a frame's lead."""
        lead = not self.announced
        self.announce()
        if lead:
            await asyncio.sleep(FRAME_SECONDS)

    async def _wait_for_key(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            await self.call.wait(lambda: not self.present or self.can_send, timeout)

    def _begin(self, speed: float, pause: float | None) -> None:
        """Media time goes on while nobody speaks."""
        if pause is None:
            idle = asyncio.get_running_loop().time() - self._last_sent if self._last_sent is not None else 0.0
            pause = 0.0 if math.isinf(speed) else idle * speed
        self._packetiser.skip(round(pause / FRAME_SECONDS))

    async def _pace(self, frames: Sequence[bytes], speed: float, announce_at: int | None, *, plain: bool) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for index, frame in enumerate(frames):
            ahead = 0.0 if math.isinf(speed) else started + index * FRAME_SECONDS / speed - loop.time()
            if ahead > 0:
                await asyncio.sleep(ahead)
            elif index % (pause_after := BURST if math.isinf(speed) else LATE_BURST) == pause_after - 1:
                await asyncio.sleep(BURST_PAUSE)
            if not self.present:
                return
            if index == announce_at:
                self.announce()
            self._frame(frame, first=index == 0, plain=plain)

    def _frame(self, opus: bytes, *, first: bool = False, plain: bool = False) -> None:
        self._packetiser.shape = self.shape
        payload = opus
        if self.version and not plain:
            if self.session is None or not self.session.ready:
                self.stats.unsent += 1
                self._packetiser.skip(1)
                return
            payload = self.session.encrypt_opus(opus)
        self._emit(self._packetiser.audio(payload, first=first), payload)
        for companion in self._packetiser.companions():
            self.call.forward(companion)

    def _emit(self, packet: RtpPacket, payload: bytes) -> None:
        self.call.forward(packet)
        self.stats.packets += 1
        if payload == SILENCE:
            self.stats.silence += 1
        else:
            self.stats.seconds += FRAME_SECONDS
            encrypted = payload[-2:] == b"\xfa\xfa"
            self.stats.encrypted += encrypted
            self.stats.plain += not encrypted
        self.stats.padded += bool(packet.header[0] & 0x20)

    def leave(self) -> None:
        """Stop speaking; the session is over."""
        self.present = False
        self.call.changed()
