"""Errors as HTTP answers: `{"error": sentence, "code": kebab-case}`. The only place that knows which error has which status.

Browsers, which say that they would rather have a page, get the same as a small one.
"""

import logging
import math
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from bot.api.accept import prefers_html
from bot.api.pages import error_page
from bot.api.routes import ROUTES
from moderation.errors import (
    AlreadyExists,
    CatalogueUnavailable,
    ConsentRequired,
    DetectorError,
    InvalidInput,
    LexiconInvalid,
    ModerationError,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    ScorerUnavailable,
    ScoringTimeout,
    SignInUnavailable,
    SourceError,
    StorageError,
    TooMany,
    UndecodableAudio,
    VoiceDisconnected,
    VoiceUnavailable,
)

log = logging.getLogger(__name__)

STATUS: dict[type[ModerationError], int] = {
    NotFound: 404,
    NotAllowed: 403,
    AlreadyExists: 409,
    ConsentRequired: 409,
    InvalidInput: 400,
    LexiconInvalid: 400,
    UndecodableAudio: 400,
    VoiceUnavailable: 409,
    VoiceDisconnected: 503,
    SourceError: 503,
    DetectorError: 502,
    ScorerUnavailable: 503,
    ScoringTimeout: 504,
    StorageError: 503,
    CatalogueUnavailable: 503,
    OutcomeUnknown: 504,
    TooMany: 503,
    SignInUnavailable: 503,
    ModerationError: 500,
}
"""The first class of an error's family that stands here decides."""

_SENTENCES = {
    400: ("bad-request", "The request cannot be understood."),
    401: ("unauthorized", "This needs the header Authorization: Bearer with the API token."),
    403: ("forbidden", "This is not allowed: the token given may only look, or the request comes from another site's page."),
    404: ("not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take that method."),
    408: ("request-timeout", "The request's body did not arrive in time."),
    413: ("body-too-large", "The request's body is too large: forms may have 64 kB, all else what the setting API_MAX_BODY_MB says."),
    409: ("conflict", "It is there already, or its state does not allow this."),
    415: (
        "unsupported-media-type",
        "The request's Content-Type is not one that this address takes, or its Content-Encoding is not gzip or deflate.",
    ),
    417: ("expectation-failed", "The only Expect that is understood is 100-continue."),
    421: ("wrong-host", "Without API_TOKEN this is served at 127.0.0.1 and localhost only."),
    500: ("internal-error", "Something went wrong here; the log has the details."),
    502: ("bad-gateway", "A service that this depends on gave an answer that cannot be used."),
    503: ("unavailable", "A service that this depends on is not there at the moment."),
    504: ("gateway-timeout", "A service that this depends on did not answer in time."),
    429: ("too-many-requests", "Too many requests; try again after the seconds in Retry-After."),
    499: ("client-went-away", "The client went away before the request was whole."),
}

_KEPT = ("Allow", "Retry-After", "WWW-Authenticate")
"""Headers of aiohttp's own errors that the answer needs."""


def error(request: web.BaseRequest, status: int, code: str, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as an answer: JSON, or a page for who would rather have that."""
    headers = {"Vary": "Accept", **(headers or {})}
    if prefers_html(request.headers.get("Accept", "")):
        return error_page(_title(status), sentence, f"{status}, {code}", status, headers)
    return web.json_response({"error": sentence, "code": code}, status=status, headers=headers)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 499 is nginx's
        return "The request failed"


def from_status(request: web.BaseRequest, status: int, headers: dict[str, str] | None = None) -> web.Response:
    """The answer for an HTTP status that needs no more words."""
    code, sentence = _SENTENCES.get(status, (f"http-{status}", "The request failed."))
    return error(request, status, code, sentence, headers)


def sentence_of(status: int) -> str:
    """What a status means, for people."""
    return _SENTENCES.get(status, ("", "The request failed."))[1]


def status_of(problem: ModerationError) -> int:
    """The HTTP status that an error of the core stands for."""
    return next(STATUS[kind] for kind in type(problem).__mro__ if kind in STATUS)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error that a handler raises, as an answer."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < HTTPStatus.BAD_REQUEST:
            raise
        return from_status(request, answer.status, {name: answer.headers[name] for name in _KEPT if name in answer.headers})
    except ModerationError as problem:
        return error(request, status_of(problem), problem.code, str(problem), _when(problem))
    except (web.RequestPayloadError, HttpProcessingError):
        sentence = "The body cannot be read: it is not encoded as Content-Encoding and Transfer-Encoding say."
        return error(request, 400, "unreadable-body", sentence)
    except Exception as problem:
        if isinstance(problem, ConnectionError) and _gone(request):
            return from_status(request, 499)  # nobody reads it; it is counted
        log.exception("a request failed", extra={"method": request.method, "route": route_of(request)})
        return from_status(request, 500)


def _gone(request: web.Request) -> bool:
    """Whether the client has left; else a lost connection was one to somewhere else."""
    return request.transport is None or request.transport.is_closing()


def _when(problem: ModerationError) -> dict[str, str] | None:
    """When asking again makes sense, where that is known."""
    seconds = problem.retry_after if isinstance(problem, ScorerUnavailable) else 0.0
    return {"Retry-After": str(math.ceil(seconds))} if seconds > 0 else None


def route_of(request: web.Request) -> str:
    """The route's pattern: an address itself may hold a name."""
    route = request.app[ROUTES].get(request.match_info.route)
    if route is not None:
        return route.template
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
