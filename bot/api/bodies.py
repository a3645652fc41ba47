"""JSON and forms from strangers: how deep, which numbers, what is wrong with it. Messages name the place and never repeat what was sent."""

import asyncio
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from moderation.errors import InvalidInput

MAX_BODY = web.AppKey("max_body", int)
"""Bytes of the largest body."""
MAX_FORM = 64_000
"""Bytes of the largest form."""
MAX_FIELDS = 100
"""Fields of a form."""
FORM = "application/x-www-form-urlencoded"
BODY_SECONDS = 30.0
"""How long a body may take to arrive; what is longer than that, such as audio, has its own limit."""
MAX_DEPTH = 32
"""Levels of nesting in a body."""
MAX_PROBLEMS = 5
"""Problems told in one answer."""

_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
M = TypeVar("M", bound=BaseModel)


class Body(BaseModel):
    """Base of what clients send: types as JSON has them (`true` is no number), and no names that nobody reads."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body. Raises `web.HTTPRequestEntityTooLarge` beyond `limit` bytes, and `web.HTTPRequestTimeout`."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > limit:
                    raise web.HTTPRequestEntityTooLarge(limit, len(data))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(data)


def parse_form(data: bytes, charset: str | None) -> dict[str, str]:
    """The fields of a form as browsers send it (URL Standard, 5.1); of each name the last. Raises `InvalidInput`."""
    _check_charset(charset)
    try:
        pairs = parse_qsl(data.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeError:
        raise InvalidInput("The form must be UTF-8.") from None
    except ValueError:
        raise InvalidInput(f"The form has more than {MAX_FIELDS} fields.") from None
    return dict(pairs)


def parse_json(data: bytes, charset: str | None) -> Any:  # noqa: ANN401 - JSON is anything
    """Fractions come as `Decimal`, exactly as they were written; whole numbers as `int`. Raises `InvalidInput`."""
    _check_charset(charset)
    if not data.strip():
        raise InvalidInput("The body is empty; it must be a JSON object.")
    if _too_deep(data):
        raise InvalidInput(f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        text = data.decode("utf-8")
        if r"\ud" in text.lower():  # half a surrogate pair is no character: nothing could be written out again
            json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")
        return json.loads(text, parse_float=_number, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"The body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except UnicodeError:
        raise InvalidInput("The body must be UTF-8 without halves of surrogate pairs.") from None
    except ValueError as error:
        raise InvalidInput(f"The body is no JSON that can be used: {_reason(error)}.") from None


def validate(model: type[M], data: object, place: str) -> M:
    """What was sent as `model`. `place`: `body` or `query`, for the message. Raises `InvalidInput`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        told = [_problem(dict(problem), place) for problem in error.errors(include_url=False, include_context=False, include_input=False)]
        more = f" And {len(told) - MAX_PROBLEMS} more." if len(told) > MAX_PROBLEMS else ""
        raise InvalidInput(" ".join(told[:MAX_PROBLEMS]) + more) from None


def _check_charset(charset: str | None) -> None:
    if (charset or "utf-8").lower() not in _UTF8:
        raise InvalidInput("The body must be UTF-8.")


def _problem(problem: dict[str, Any], place: str) -> str:
    at = ".".join(str(part)[:40] for part in problem["loc"]) or place
    message = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{at}: {message}."


def _too_deep(data: bytes) -> bool:
    depth = 0
    for token in _NESTING.finditer(data):
        first = token.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _number(text: str) -> Decimal | int:
    """JSON does not tell 5.0 from 5 (RFC 8259, 6). Raises `ValueError` for an exponent that `Decimal` cannot hold."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is too large or too small") from None
    whole = number.adjusted() < 20 and number == number.to_integral_value()
    return int(number) if whole else number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _reason(error: ValueError) -> str:
    return "a number has too many digits" if "digits" in str(error) else str(error)
