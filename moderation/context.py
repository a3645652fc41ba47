"""Which session or request the code that runs now belongs to, for log lines. Tasks inherit it from whoever starts them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SESSION_ID: ContextVar[str] = ContextVar("session_id", default="")
"""A session's id; empty outside sessions."""
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""An HTTP request's or a slash command's id; empty outside both."""

FIELDS = {"session_id": SESSION_ID, "request_id": REQUEST_ID}
"""Log field → its variable."""


@contextmanager
def bound(variable: ContextVar[str], value: str) -> Iterator[None]:
    """`variable` has that value inside."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
