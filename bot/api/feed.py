"""The sessions' events as they come, for the live page and other tools: `GET /api/events` (SSE) and `WS /ws/events/`.

    Broadcast ─▶ Feed.emit ─▶ one bounded queue per listener ─▶ JSON
                    └─▶ Recent, for who asks what was said before

A listener that cannot keep up loses the oldest messages and is told how many (`lost`); nobody waits for it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import BaseModel, Field

from bot.api.event_messages import FROM_FEED
from bot.api.feed_messages import Message, message, status, without_user
from bot.api.recent import Recent
from bot.api.routes import Route, query_of
from bot.api.websocket import Socket, accept
from moderation.errors import TooMany
from moderation.events import Event, SegmentTranscribed
from moderation.inbox import Inbox, Overflow
from moderation.sessions import Running

MAX_LISTENERS = 50
"""Listeners at once; one more is refused."""
QUEUE_SIZE = 500
"""Messages that may wait for one listener."""
STATUS_SECONDS = 2.0
"""How often the state of all sessions is told."""
WRITE_SECONDS = 30.0
"""A listener that takes nothing for so long is closed."""


class Query(BaseModel):
    """What to listen to."""

    guild_id: str = Field(default="", pattern=r"^\d*$", max_length=20, description="One server alone.")
    partials: bool = Field(default=True, description="Whether unfinished sentences come, too.")
    recent: bool = Field(
        default=False,
        description="Whether a message `recent` for each call comes first, with its last sentences and alerts. They may come again.",
    )


class Feed:
    """A sink that tells all listeners."""

    def __init__(self, running: Callable[[], Sequence[Running]], heard: Callable[[int, int], bool] = lambda guild, user: True) -> None:
        """`running`: the sessions that go on; `heard`: whether that server hears that user."""
        self._running = running
        self.recent = Recent(heard)
        self._queues: dict[Inbox[Message], Query] = {}
        self.refused = 0
        """Listeners that were too many, since the start."""
        self.lost = 0
        """Messages that listeners were too slow for, since the start."""

    def __len__(self) -> int:
        return len(self._queues)

    async def emit(self, event: Event) -> None:
        """Tell everybody whom it concerns; waits for nobody."""
        partial = isinstance(event, SegmentTranscribed) and not event.segment.final
        if partial and not self._queues:
            return
        told = message(event)
        self.recent.take(event, told)
        for queue, query in self._queues.items():
            if query.guild_id in ("", told["session"]["guild_id"]) and not (partial and not query.partials):
                queue.put(told)

    @contextmanager
    def listen(self, query: Query) -> Iterator[AsyncIterator[Message]]:
        """The messages from now on, a status first. Raises `TooMany`."""
        if len(self._queues) >= MAX_LISTENERS:
            self.refused += 1
            raise TooMany(f"{MAX_LISTENERS} listeners are connected already; close one first.")
        queue: Inbox[Message] = Inbox(QUEUE_SIZE, Overflow.DROP_OLDEST)
        self._queues[queue] = query
        try:
            yield self._messages(queue)
        finally:
            del self._queues[queue]
            queue.close()

    def tell_status(self) -> None:
        """Tell everybody how the sessions fare."""
        running = self._running()
        self.recent.tidy([r.session.id for r in running])
        if self._queues:
            for queue, query in self._queues.items():
                queue.put(status([r for r in running if query.guild_id in ("", str(r.session.guild_id))]))

    async def run(self) -> None:
        """Tell the status again and again."""
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            self.tell_status()

    def forget(self, user_id: int) -> int:
        """Drop what is remembered about that user, or waits for slow listeners; how many messages."""
        return self.recent.forget(user_id) + sum(queue.change(lambda told: without_user(told, str(user_id))) for queue in self._queues)

    def close(self) -> None:
        """No more messages: listeners end."""
        for queue in self._queues:
            queue.close()

    async def _messages(self, queue: Inbox[Message]) -> AsyncIterator[Message]:
        lost = 0
        query = self._queues[queue]
        running = [r for r in self._running() if query.guild_id in ("", str(r.session.guild_id))]
        yield status(running)
        for each in running if query.recent else ():
            self.recent.tidy([r.session.id for r in self._running()])  # each time anew: the listener may take its time
            yield self.recent.of(each.session)
        async for told in queue:
            if queue.dropped > lost:
                self.lost += queue.dropped - lost
                yield {"type": "lost", "messages": queue.dropped - lost}
                lost = queue.dropped
            yield told


def routes(feed: Feed) -> list[Route]:
    """Both addresses."""

    async def events(request: web.Request) -> web.StreamResponse:
        with feed.listen(query_of(request, Query)) as messages:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
            await response.prepare(request)
            try:
                async for told in messages:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await response.write(f"event: {told['type']}\ndata: {json.dumps(told, ensure_ascii=False)}\n\n".encode())
            except ConnectionError:
                pass
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()  # ending the answer would wait for the client to take the rest of it
            return response

    async def socket(request: web.Request) -> web.StreamResponse:
        with feed.listen(query_of(request, Query)) as messages:
            opened = await accept(request, WRITE_SECONDS)
            telling = asyncio.create_task(_tell(opened, messages), name="feed")
            with suppress(ConnectionError):
                async for received in opened:  # nothing is expected; reading notices when the client goes
                    if received.type is WSMsgType.ERROR:
                        break
            telling.cancel()
            await asyncio.wait({telling})
            return opened

    told, query = FROM_FEED, Query
    about = "The sessions' events, as server-sent events: a `status` first and every two seconds."
    also = "WebSocket: the same events."
    return [
        Route("GET", "/api/events", events, about, {200: ["text/event-stream"]}, {503}, query=query, tag="events", tells=told),
        Route("GET", "/ws/events/", socket, also, {101: []}, {400, 503}, query=query, tag="events", tells=told),
    ]


async def _tell(socket: Socket, messages: AsyncIterator[Message]) -> None:
    with suppress(ConnectionError, RuntimeError):
        async for told in messages:
            await socket.send_str(json.dumps(told, ensure_ascii=False))
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
