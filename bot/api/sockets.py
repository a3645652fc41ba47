"""Audio over a WebSocket: what a client may send, what it is told, and when it ends.

    connected ─▶ client: start ─▶ started ─▶ audio … ─▶ client: stop ─▶ last words ─▶ final ─▶ close

What a client sends wrongly is answered with `error`, and the stream goes on. A client that sends faster than can be recognised is
slowed down by TCP; one that does not read what it is told is cut off, and so is one that does not answer the heartbeat.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from bot.sources.resample import Resampler
from moderation.errors import InvalidInput, ModerationError, SourceError
from moderation.models import SAMPLE_RATE, TranscriptSegment
from moderation.streams import Tell, Transcription, Warn

PAUSE_SECONDS = 1.0
"""Without audio for so long, the sentence is finished."""
IDLE_SECONDS = 60.0
"""Without anything for so long, the stream is closed."""

Open = Callable[[Tell, Warn], Transcription]
"""Starts a stream."""


class Listener(Protocol):
    """What one kind of stream does with what was said."""

    async def take(self, segment: TranscriptSegment) -> None:
        """A partial or final came; must not wait for long."""
        ...

    async def finish(self, transcript: str) -> None:
        """All has been said."""
        ...

    async def aclose(self) -> None:
        """The client is gone."""
        ...


class Client:
    """The other end: told things as JSON."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def say(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Send a message; a client that is gone is no error."""
        with suppress(ConnectionError, RuntimeError):
            await self._socket.send_str(json.dumps({"type": kind, **fields}, ensure_ascii=False))

    async def error(self, sentence: str) -> None:
        """Say what was wrong."""
        await self.say("error", error=sentence)


class Conversation:
    """One client's stream from beginning to end."""

    def __init__(self, socket: web.WebSocketResponse, open_stream: Open, listener: Callable[[Client], Listener]) -> None:
        self._socket = socket
        self._open = open_stream
        self._client = Client(socket)
        self._listener = listener(self._client)
        self._stream: Transcription | None = None
        self._resampler: Resampler | None = None
        self._silent = 0.0

    async def run(self) -> None:
        """Until the client stops, goes away, or says nothing for too long."""
        await self._client.say("connected")
        try:
            while await self._turn():
                pass
        finally:
            await self._listener.aclose()
            if self._stream is not None:
                await self._stream.aclose()

    async def _turn(self) -> bool:
        try:
            message = await self._socket.receive(timeout=PAUSE_SECONDS)
        except TimeoutError:
            message = None
        except ConnectionError:  # it takes not even the answers to its pings
            return False
        try:
            if message is None:
                return await self._silence()
            self._silent = 0.0
            if message.type is WSMsgType.BINARY:
                await self._audio(message.data)
            elif message.type is WSMsgType.TEXT:
                return await self._command(message.data)
            else:
                return False
        except InvalidInput as error:
            await self._client.error(str(error))
        except ModerationError as error:
            await self._client.error(str(error))
            return await self._end(1011)
        return True

    async def _silence(self) -> bool:
        self._silent += PAUSE_SECONDS
        if self._silent >= IDLE_SECONDS:
            await self._client.error(f"Nothing came for {IDLE_SECONDS:.0f} seconds; the stream is closed.")
            return await self._end(1000)
        if self._stream is not None:
            await self._stream.pause()
        return True

    async def _audio(self, data: bytes) -> None:
        if self._stream is None or self._resampler is None:
            raise InvalidInput('Audio came before {"type":"start"}; it is left out.')
        await self._stream.feed(self._resampler(data))

    async def _command(self, text: str) -> bool:
        command = _parse(text)
        kind = command.get("type")
        if kind == "start":
            await self._start(command.get("sample_rate", SAMPLE_RATE))
        elif kind == "stop":
            return await self._stop()
        else:
            raise InvalidInput('Messages are {"type":"start"}, {"type":"stop"} and audio as binary frames; this one is left out.')
        return True

    async def _start(self, sample_rate: object) -> None:
        if self._stream is not None:
            raise InvalidInput("The stream has started already; this message is left out.")
        if isinstance(sample_rate, bool) or not isinstance(sample_rate, int):
            raise InvalidInput("sample_rate must be a whole number of Hz.")
        self._resampler = Resampler(sample_rate)
        self._stream = self._open(self._listener.take, self._client.error)
        await self._client.say("started", sample_rate=sample_rate)

    async def _stop(self) -> bool:
        transcript = ""
        if self._stream is not None and self._resampler is not None:
            with suppress(SourceError):  # `missing` tells it below
                await self._stream.feed(self._resampler.flush())
            transcript = await self._stream.finish()
            if self._stream.missing:
                await self._client.error(self._stream.missing)
        await self._listener.finish(transcript)
        return await self._end(1000)

    async def _end(self, code: int) -> bool:
        await self._socket.close(code=code)
        return False


def _parse(text: str) -> dict[str, object]:
    try:
        command = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("The message is no JSON; it is left out.") from None
    if not isinstance(command, dict):
        raise InvalidInput("The message is no JSON object; it is left out.")
    return command
