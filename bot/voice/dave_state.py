"""DAVE's part of a voice connection's state: the MLS session, versions, and asking for keys.

What discord.py 2.7.1 does otherwise: it makes a session only for a call that is encrypted from its start; it opens davey's
passthrough at a downgrade and an upgrade and never shuts it, so that plain frames pass; it answers every refused commit, even while
an answer is under way (see `bot.voice.recovery`).
"""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import aiohttp
import davey
from discord.voice_state import VoiceConnectionState

from bot.voice.recovery import KeyRecovery
from bot.voice.websocket import VoiceGatewaySocket

if TYPE_CHECKING:
    from bot.voice.client import EarshotVoiceClient

log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 5.0
"""How long a request for DAVE keys may stay without a usable answer."""

PENDING_TRANSITIONS = 16
"""DAVE transitions remembered until executed; the oldest is forgotten."""


class DaveConnectionState(VoiceConnectionState):
    """The base of `EarshotConnection`."""

    voice_client: "EarshotVoiceClient"
    ws: VoiceGatewaySocket  # `MISSING` until the first handshake, as in discord.py

    def __init__(self, voice_client: "EarshotVoiceClient") -> None:
        super().__init__(voice_client)
        self.recovery = KeyRecovery()
        self._asking: asyncio.TimerHandle | None = None
        self._asker: asyncio.Task[None] | None = None

    def ensure_dave_session(self) -> davey.DaveSession:
        """The session, made when there is none: discord.py makes it only for a call that is encrypted from its start."""
        if self.dave_session is None:
            self.dave_session = davey.DaveSession(davey.DAVE_PROTOCOL_VERSION, self.user.id, self.voice_client.channel.id)
        return self.dave_session

    async def reinit_dave_session(self) -> None:
        """Leave the MLS group there was, and offer a key package (op 26) for the next one."""
        version = self.dave_protocol_version or davey.DAVE_PROTOCOL_VERSION
        session = self.ensure_dave_session()
        session.reinit(version, self.user.id, self.voice_client.channel.id)
        self.recovery.offered()
        await self.ws.send_binary(self.ws.MLS_KEY_PACKAGE, session.get_serialized_key_package())

    async def ask_for_keys(self, transition_id: int) -> None:
        """Say that we cannot follow (op 31) and offer a key package; asked again when nothing comes of it."""
        log.warning("asking for DAVE keys anew", extra={"transition_id": transition_id, "asked": self.recovery.asked})
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asyncio.get_running_loop().call_later(ASK_AGAIN_SECONDS, self._ask_again, transition_id)
        await super()._recover_from_invalid_commit(transition_id)

    def _ask_again(self, transition_id: int) -> None:
        if self.recovery.asking and self.is_connected():
            self._asker = asyncio.get_running_loop().create_task(self._ask_quietly(transition_id), name="voice key recovery")

    async def _ask_quietly(self, transition_id: int) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
            self.recovery.asked += 1
            await self.ask_for_keys(transition_id)

    async def _recover_from_invalid_commit(self, transition_id: int) -> None:
        """Called by discord.py for what davey refuses; `VoiceGatewaySocket` decides what comes of it."""
        self.ws.refused = True

    def remember_transition(self, transition_id: int, version: int) -> None:
        """Op 21: what `_execute_transition` will put in force."""
        while len(self.dave_pending_transitions) >= PENDING_TRANSITIONS:
            del self.dave_pending_transitions[next(iter(self.dave_pending_transitions))]
        self.dave_pending_transitions[transition_id] = version

    async def _execute_transition(self, transition_id: int) -> None:
        """Op 22. davey's passthrough stays shut: the receiver alone decides when plain frames are legal."""
        version = self.dave_pending_transitions.pop(transition_id, None)
        if version is not None:
            self.dave_protocol_version = version
