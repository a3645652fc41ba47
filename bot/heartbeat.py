"""When heartbeats were sent, for their round trip.

discord.py 2.7.1 notes that in a thread of its own, after the event loop has sent the heartbeat. Where the answer is there before the thread
gets its turn, on a busy machine or from a gateway near by, it takes the time since the heartbeat before for the round trip: 41 s, and it
warns of it. Here the event loop notes the time itself, just before it sends.
"""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discord.gateway import DiscordVoiceWebSocket, DiscordWebSocket


def beats(ws: "DiscordWebSocket | DiscordVoiceWebSocket") -> None:
    """To be called just before a heartbeat is sent."""
    if ws._keep_alive is not None:
        ws._keep_alive._last_send = time.perf_counter()


def note_beats(ws: "DiscordWebSocket") -> None:
    """Make a connection note them: discord.py makes its connections itself, so none can be of a class of ours."""
    send = ws.send_heartbeat

    async def noted(data: Any) -> None:  # noqa: ANN401 - JSON
        beats(ws)
        await send(data)

    setattr(ws, "send_heartbeat", noted)  # noqa: B010 - mypy forbids the plain assignment to a method
