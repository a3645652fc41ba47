"""One connection: what is no HTTP gets an error like all, where aiohttp answers in plain text and logs a traceback."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

from bot.api.errors import from_status
from bot.api.guard import dress

log = logging.getLogger(__name__)

UNSENT_SECONDS = 10.0
"""What a client does not take of its last answer within so long is dropped, and the connection with it."""

Refused = Callable[[int], None]
"""Is told the status of every answer that the application has not seen."""


class Protocol(web.RequestHandler):
    """aiohttp's, with our errors, and an end to connections whose last answer nobody takes."""

    __slots__ = ("_refused",)

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, refused: Refused) -> None:
        unlogged: Any = None  # aiohttp declares a logger, and takes none
        super().__init__(server, loop=loop, access_log=unlogged)
        self._refused = refused

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no HTTP, and what broke outside of the application."""
        if isinstance(exc, ContentEncodingError):
            status = 415
        if not isinstance(exc, HttpProcessingError):
            self.log_exception("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun; there can be no second one.")
        return self._answer(request, status)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send it; what aiohttp raised before the application saw the request becomes one of our errors."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = self._answer(request, resp.status)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the base class has it
        """A traceback, unless what broke is what a stranger sent."""
        problem = kwargs.get("exc_info")
        if isinstance(problem, web.RequestPayloadError | HttpProcessingError | ConnectionError):
            log.debug("a request could not be read", extra={"error": type(problem).__name__})
        else:
            super().log_exception(*args, **kwargs)

    def force_close(self) -> None:
        """Close; what is not taken soon is dropped."""
        transport = self.transport
        unsent = transport is not None and not transport.is_closing() and transport.get_write_buffer_size() > 0
        super().force_close()
        if transport is not None and unsent:
            self._loop.call_later(UNSENT_SECONDS, transport.abort)

    def _answer(self, request: web.BaseRequest, status: int) -> web.Response:
        self._refused(status)
        answer = from_status(request, status)
        dress(answer)
        answer.force_close()
        return answer
