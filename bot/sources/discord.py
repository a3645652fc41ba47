"""A live Discord voice call as an `AudioSource`: the one thread boundary of the live path.

discord.py's socket-reader thread feeds the receiver and queues what comes out; the event loop is woken once per burst, not once per
packet. Everything else (opcodes, the 20 ms tick) runs on the event loop. One lock guards the receiver.
"""

import asyncio
import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import discord

from bot.sources.alarm import DeafnessAlarm
from bot.sources.handover import Handover
from bot.sources.statuses import VocalChannel
from bot.voice.client import EarshotVoiceClient
from bot.voice.connection import EndReason
from bot.voice.dave import FrameDecryptor
from bot.voice.deafness import PATIENCE
from bot.voice.receiver import Receiver, VoiceFrame, VoiceItem
from bot.voice.stats import CallStats, SpeakerStats
from moderation.errors import ModerationError, VoiceDisconnected, VoiceRemoved
from moderation.health import CallHealth
from moderation.models import BYTES_PER_SECOND, FRAME_SECONDS, AudioFrame, SourceItem, Speaker

log = logging.getLogger(__name__)

CAPACITY = 8192
"""Items queued at most: 6.5 s of 25 people talking at once, about 10 MB. When full, the oldest frame is dropped and counted."""

LATE_SECONDS = 0.1
"""A tick that comes so long after the one before is late: the process stood still, and what came meanwhile is still to be read."""

WATCH_TICKS = 25
"""Deafness is looked for twice a second."""

KeepPacket = Callable[[int, float, bytes], None]
"""Takes a speaker id, the media second at which the packet starts, and the Opus packet. Called on the event loop."""

_ENDINGS = {
    EndReason.DISCONNECTED: "Somebody disconnected Earshot from the voice channel, or the channel is gone. Let it join again when it may.",
    EndReason.CLOSED: "Discord closed the voice connection and wants no other. Let Earshot join again.",
    EndReason.UNREACHABLE: "The voice connection broke and Discord's voice server could not be reached again. Let Earshot join again.",
    EndReason.FAILED: "The voice connection failed inside Earshot; the log has the details. Let it join again.",
}


class DiscordSource:
    """Implements `moderation.ports.AudioSource` and `bot.voice.websocket.CallListener`.

    Deaf until `listen`: packets before it are not decrypted. `aclose` (the bot leaves) ends `frames` normally, a connection that is
    gone for good ends it with `VoiceDisconnected`; reconnects and moves in between only show as a pause.
    """

    def __init__(
        self,
        guild: discord.Guild,
        *,
        keep: KeepPacket,
        accept: Callable[[int], bool] = lambda user_id: True,
        capacity: int = CAPACITY,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep` is offered every Opus packet that is handed on; who `accept` refuses is not even decrypted, nor is the bot itself.

        `patience`: seconds of hearing nothing of somebody who speaks, before something is done.
        """
        self._own_guild = guild
        self._keep = keep
        self._clock = clock
        self._queue = Handover[VoiceItem](capacity, lambda item: isinstance(item, VoiceFrame))
        self._client: EarshotVoiceClient | None = None
        self._dave = FrameDecryptor(lambda: self._client.dave_session if self._client is not None else None)
        self._receiver = Receiver(self._dave, origin=clock())
        self._receiver.listening = False
        own_id = guild.me.id
        self._receiver.accept = lambda user_id: user_id != own_id and accept(user_id)
        self._guard = threading.Lock()
        self._ticker: asyncio.Task[None] | None = None
        self._withheld = defaultdict[int, float](float)
        """Seconds by speaker that waited to be handed on when they opted out."""
        self._ticks = 0
        self._ticked, self._caught_up = clock(), True
        self._alarm = DeafnessAlarm(patience)
        self._remedy: asyncio.Task[None] | None = None
        self._ending: ModerationError | None = None
        self._ended = False
        self._on_move: Callable[[int], None] = lambda channel_id: None
        self._on_close: Callable[[], Awaitable[None]] | None = None

    # The connection.

    def voice_client(self, client: discord.Client, channel: discord.abc.Connectable) -> EarshotVoiceClient:
        """The voice client that listens for this source: `channel.connect(cls=source.voice_client)`."""
        self._client = EarshotVoiceClient(client, channel, listener=self)
        self._client.ended.add_done_callback(self._gone)
        self._ticker = asyncio.get_running_loop().create_task(self._tick(), name="voice tick")
        return self._client

    def on_move(self, told: Callable[[int], None]) -> None:
        """`told` gets the channel id when somebody moves the bot; the source is deaf then until `listen`."""
        self._on_move = told

    def on_close(self, first: Callable[[], Awaitable[None]]) -> None:
        """`first` is awaited by `aclose` while the bot is still in the channel."""
        self._on_close = first

    def listen(self) -> None:
        """From now on packets are heard: the members have been told."""
        with self._guard:
            self._receiver.listening = True

    def pause(self) -> None:
        """Deaf until `listen`: the members are to be told something first."""
        with self._guard:
            self._receiver.listening = False

    @property
    def listening(self) -> bool:
        """Whether packets are heard now."""
        return self._receiver.listening

    def fail(self, error: ModerationError) -> None:
        """End `frames` with that error, after what is queued."""
        self._ending = self._ending or error
        self._end()

    @property
    def channel(self) -> VocalChannel | None:
        """Where the bot is now; None before it connects."""
        return self._client.channel if self._client is not None else None

    @property
    def guild_id(self) -> int:
        """The server that the bot is in."""
        return self._own_guild.id

    @property
    def _guild(self) -> discord.Guild:
        """As the cache has it now: a new session of the main gateway makes new objects."""
        return self._client.guild if self._client is not None else self._own_guild

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    @property
    def connection(self) -> EarshotVoiceClient | None:
        """The voice client; None before it connects."""
        return self._client

    def health(self) -> CallHealth:
        """How the connection fares now."""
        client, channel, voice = self._client, self.channel, self._guild.me.voice
        speakers, _ = self.statistics()
        unheard = self._alarm.unheard(self.speaker, self._clock())
        return CallHealth(
            connected=client is not None and client.is_connected(),
            latency=client.latency if client is not None else math.inf,
            dave_version=client.dave_version if client is not None else 0,
            dave_epoch=client.dave_epoch if client is not None else None,
            privacy_code=client.voice_privacy_code if client is not None else None,
            reconnects=client.reconnects if client is not None else 0,
            recoveries=client.recoveries if client is not None else 0,
            deaf=bool(unheard),
            queued=self.queued,
            dropped=self._queue.dropped,
            listening=self.listening,
            channel_id=channel.id if channel is not None else 0,
            channel_name=channel.name if channel is not None else "",
            received=sum(each.received for each in speakers.values()),
            lost=sum(each.lost for each in speakers.values()),
            server_deafened=voice is not None and voice.deaf,
            unheard=unheard,
        )

    def statistics(self) -> tuple[dict[int, SpeakerStats], CallStats]:
        """What became of every packet: by speaker, and of the rest."""
        with self._guard:
            return self._receiver.stats(), self._receiver.call_stats()

    def _gone(self, ended: "asyncio.Future[EndReason]") -> None:
        reason = ended.result()
        if reason in _ENDINGS:
            kind = VoiceRemoved if reason is EndReason.DISCONNECTED else VoiceDisconnected
            self._ending = self._ending or kind(_ENDINGS[reason])
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._queue.close()

    # The port.

    async def frames(self) -> AsyncIterator[SourceItem]:
        """Frames in order per speaker. Raises `VoiceDisconnected` when the connection is gone for good, naming why."""
        async for item in self._queue:
            if not isinstance(item, VoiceFrame):
                yield item
            elif self._receiver.accept(item.user_id):
                yield self._hand_on(item)
            else:  # who opted out meanwhile is not handed on either
                self._withheld[item.user_id] += len(item.pcm) / BYTES_PER_SECOND
        if self._ending is not None:
            raise self._ending

    def speaker(self, speaker_id: int) -> Speaker:
        """The member's display name as the guild's cache has it."""
        member = self._guild.get_member(speaker_id)
        return Speaker(speaker_id, member.display_name if member is not None else "")

    def spoken_seconds(self, speaker_id: int) -> float:
        """Seconds of speech that this speaker is known to have sent while they might be heard, heard or not."""
        with self._guard:
            counters = self._receiver.stats().get(speaker_id)
        spoken = counters.seconds_spoken if counters is not None else 0.0
        return max(spoken - self._withheld.get(speaker_id, 0.0), 0.0) + self._alarm.silence.missed(speaker_id)

    async def aclose(self) -> None:
        """Stop hearing, take the notice back, leave the channel. Idempotent."""
        with self._guard:
            self._receiver.listening = False
        first, self._on_close = self._on_close, None
        if first is not None:
            await first()
        if self._client is not None:
            await self._client.disconnect(force=True)
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
        self._end()

    @property
    def queued(self) -> int:
        """Items on their way to whoever reads `frames`."""
        return len(self._queue)

    def tick(self) -> None:
        """Time has passed; called every 20 ms.

        A late call (`LATE_SECONDS`) says nothing of silence or loss: the next one judges, when the reader has caught up.
        """
        now = self._clock()
        self._caught_up = now - self._ticked <= LATE_SECONDS or not self._caught_up
        self._ticked = now
        if self._caught_up:
            with self._guard:
                self._queue.put(self._receiver.tick(now))
        self._ticks += 1
        if self._ticks % WATCH_TICKS == 0:
            self._look_for_deafness()

    def _hand_on(self, frame: VoiceFrame) -> AudioFrame:
        if frame.opus:
            self._keep(frame.user_id, frame.start, frame.opus)
        return AudioFrame(frame.user_id, frame.start, frame.pcm, frame.received_at, frame.concealed)

    async def _tick(self) -> None:
        try:
            while True:
                await asyncio.sleep(FRAME_SECONDS)
                self.tick()
        except Exception:
            log.exception("the voice tick failed")
            self.fail(VoiceDisconnected(_ENDINGS[EndReason.FAILED]))

    def _look_for_deafness(self) -> None:
        client, channel, now = self._client, self.channel, self._clock()
        if client is None or channel is None:
            return
        others = {user: at for user, at in channel.voice_states.items() if user != self._guild.me.id}
        speakers, call = self.statistics()
        with self._guard:
            excused = self._receiver.excused(frozenset(others))
        remedy = self._alarm.look(speakers, call, others.keys(), self._able(others), now, excused=excused)
        if not client.is_connected():
            return
        if self._alarm.silence.asks(now):
            client.ask()
        if remedy is not None and (self._remedy is None or self._remedy.done()):
            unheard = len(self._alarm.unheard(self.speaker, now))
            log.error("connected but deaf", extra={"guild_id": self._guild.id, "remedy": remedy.value, "unheard": unheard})
            self._remedy = asyncio.get_running_loop().create_task(client.apply(remedy), name="voice remedy")

    def _able(self, present: Mapping[int, discord.VoiceState]) -> frozenset[int]:
        """Who may speak and be heard: nobody while the bot is deafened. A bot that says it speaks may well be silent."""
        own = self._guild.me.voice
        if own is not None and own.deaf:
            return frozenset()
        able = (user for user, at in present.items() if not (at.mute or at.self_mute or at.suppress) and self._receiver.accept(user))
        return frozenset(user for user in able if (member := self._guild.get_member(user)) is None or not member.bot)

    # The listener: what the connection tells.

    def datagram(self, data: bytes) -> None:
        """One packet; on the socket-reader thread."""
        with self._guard:
            self._queue.put(self._receiver.datagram(data, self._clock()))

    def transport_reset(self) -> None:
        """A new voice server session."""
        with self._guard:
            self._receiver.reset()
        self._alarm.silence.reset()

    def transport_ready(self, mode: str, secret_key: bytes, dave_version: int) -> None:
        """Its key."""
        with self._guard:
            self._dave.session_description(dave_version)
            self._receiver.set_transport(mode, secret_key)
        self._alarm.silence.ready(self._clock())

    def speaking(self, ssrc: int, user_id: int) -> None:
        """An SSRC's user."""
        with self._guard:
            self._queue.put(self._receiver.speaking(ssrc, user_id, self._clock()))

    def spoke(self, user_id: int, *, speaking: bool) -> None:
        """Op 5."""
        self._alarm.silence.spoke(user_id, self._clock(), speaking=speaking)

    def user_left(self, user_id: int) -> None:
        """A member left the channel."""
        with self._guard:
            self._queue.put(self._receiver.user_left(user_id, self._clock()))

    def transition_prepared(self, transition_id: int, version: int) -> None:
        """Op 21."""
        with self._guard:
            self._dave.prepare_transition(transition_id, version, self._clock())

    def transition_executed(self, transition_id: int) -> None:
        """Op 22: what was not legal may be now."""
        with self._guard:
            now = self._clock()
            self._dave.execute_transition(transition_id, now)
            self._queue.put(self._receiver.epoch_changed(now))

    def epoch_prepared(self, epoch: int, version: int) -> None:
        """Op 24."""
        with self._guard:
            self._dave.prepare_epoch(epoch, version)

    def epoch_changed(self, transition_id: int) -> None:
        """Ops 29 and 30: what could not be opened may open now."""
        with self._guard:
            self._queue.put(self._receiver.epoch_changed(self._clock()))

    def channel_changed(self, channel_id: int) -> None:
        """Moved: deaf until that channel's members have been told."""
        with self._guard:
            self._receiver.listening = False
        self._on_move(channel_id)
