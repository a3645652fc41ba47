"""JSON from strangers: how deep, which numbers, what is wrong with it. Messages name the place and never repeat what was sent."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from moderation.errors import InvalidInput

MAX_BODY = web.AppKey("max_body", int)
"""Bytes of the largest body."""
MAX_DEPTH = 32
"""Levels of nesting in a body."""
MAX_PROBLEMS = 5
"""Problems told in one answer."""

_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
M = TypeVar("M", bound=BaseModel)


class Body(BaseModel):
    """Base of what clients send: types as JSON has them (`true` is no number), and no names that nobody reads."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def parse_json(data: bytes, charset: str | None) -> Any:  # noqa: ANN401 - JSON is anything
    """Fractions come as `Decimal`, exactly as they were written; whole numbers as `int`. Raises `InvalidInput`."""
    if (charset or "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise InvalidInput("The body must be UTF-8.")
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
