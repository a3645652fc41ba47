"""What the two halves of the loopback Discord ask of each other.

`tests/loopback/discord.py` is the main half (REST, main gateway, interactions); a voice backend is the other half
(voice gateway v8, UDP, MLS). The main half decides who is in which channel and tells the backend.
"""

from typing import Protocol

from aiohttp import web


class VoiceBackend(Protocol):
    """The voice half of a loopback Discord."""

    def expect(self, *, guild_id: int, channel_id: int, user_id: int, session_id: str, stage: bool = False) -> str:
        """A client was told to come for this call; return the voice token it must present."""
        ...

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Serve one voice gateway connection (`wss://NAME.discord.media/?v=8`) until it ends."""
        ...

    async def close_client(self, *, guild_id: int, user_id: int, code: int) -> None:
        """Close that user's voice websocket with this close code (4014 on a move or leave); no client is fine."""
        ...

    async def human_joined(self, *, guild_id: int, channel_id: int, user_id: int) -> None:
        """A human entered the voice channel and stays until `human_left`."""
        ...

    async def human_left(self, *, guild_id: int, channel_id: int, user_id: int) -> None:
        """A human left the voice channel."""
        ...

    async def start(self) -> None:
        """Open sockets; called once, inside the running loop, before any client can come."""
        ...

    async def aclose(self) -> None:
        """Close every client and socket; idempotent."""
        ...
