"""JSON from an endpoint, which is no more to be trusted than JSON from a stranger: it goes on to logs, cards, pages and the database."""

import json
import re
from typing import Any

import aiohttp

MAX_ANSWER = 4_000_000
"""Bytes of an answer that are read: Databricks' own limit for foundation-model payloads, and room for thousands of predictions."""
MAX_DEPTH = 32
"""Levels of nesting; the deepest answers in use have five."""

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def parse(data: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Raises `ValueError` for what is no JSON, is nested too deeply, or holds halves of surrogate pairs, which nothing can write out."""
    text = data.decode("utf-8-sig")
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _depth_exceeds(found, MAX_DEPTH):
        raise ValueError("nested too deeply")
    if r"\ud" in text.lower():
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # a UnicodeEncodeError is a ValueError
    return found


async def limited(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises `ValueError` when it is larger than `MAX_ANSWER`."""
    held = bytearray()
    async for piece in response.content.iter_chunked(65_536):
        held += piece
        if len(held) > MAX_ANSWER:
            raise ValueError("too large")
    return bytes(held)


async def error_code(response: aiohttp.ClientResponse) -> str:
    """The stable code in an error's body; the message beside it is left unread, because it can quote the input."""
    try:
        code = parse(await limited(response)).get("error_code")
    except (ValueError, AttributeError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds; None where there is none, or a date."""
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _depth_exceeds(found: object, most: int) -> bool:
    level = [found]
    for _ in range(most + 1):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
