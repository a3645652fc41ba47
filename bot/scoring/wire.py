"""JSON from an endpoint, which is no more to be trusted than JSON from a stranger: it goes on to logs, cards, pages and the database."""

import json
from typing import Any

MAX_DEPTH = 32
"""Levels of nesting; the deepest answers in use have five."""


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
