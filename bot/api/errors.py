"""Errors as HTTP answers: `{"error": sentence, "code": kebab-case}`. The only place that knows which error has which status."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from moderation.errors import (
    ConsentRequired,
    DetectorError,
    LexiconInvalid,
    ModerationError,
    NotAllowed,
    NotFound,
    StorageError,
    UndecodableAudio,
    VoiceDisconnected,
    VoiceUnavailable,
)

log = logging.getLogger(__name__)

STATUS: dict[type[ModerationError], int] = {
    NotFound: 404,
    NotAllowed: 403,
    ConsentRequired: 409,
    LexiconInvalid: 400,
    UndecodableAudio: 400,
    VoiceUnavailable: 409,
    VoiceDisconnected: 503,
    DetectorError: 502,
    StorageError: 503,
    ModerationError: 500,
}
"""The first class of an error's family that stands here decides."""

_SENTENCES = {
    400: ("bad-request", "The request cannot be understood."),
    401: ("unauthorized", "This needs the header Authorization: Bearer with the API token."),
    404: ("not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take that method."),
    413: ("body-too-large", "The request's body is too large."),
    415: ("unsupported-media-type", "The request's content type is not one that this address takes."),
}


def error(status: int, code: str, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as an answer."""
    return web.json_response({"error": sentence, "code": code}, status=status, headers=headers)


def from_status(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """The answer for an HTTP status that needs no more words."""
    code, sentence = _SENTENCES.get(status, (f"http-{status}", "The request failed."))
    return error(status, code, sentence, headers)


def status_of(problem: ModerationError) -> int:
    """The HTTP status that an error of the core stands for."""
    return next(STATUS[kind] for kind in type(problem).__mro__ if kind in STATUS)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error that a handler raises, as JSON."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        kept = {name: answer.headers[name] for name in ("Allow", "Retry-After", "WWW-Authenticate") if name in answer.headers}
        return from_status(answer.status, kept)
    except ModerationError as problem:
        return error(status_of(problem), problem.code, str(problem))
    except Exception:
        log.exception("a request failed", extra={"method": request.method, "route": route_of(request)})
        return error(500, "internal-error", "Something went wrong here; the log has the details.")


def route_of(request: web.Request) -> str:
    """The route's pattern: an address itself may hold a name."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
