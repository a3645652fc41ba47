"""Misbehaviour of a workspace on demand, whatever part is asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Fault:
    """Spoils the next `times` requests that fit; append to `LoopbackWorkspace.faults`.

    With `when="before"` nothing was done when the fault strikes; with "after" the request was carried out and only its answer is spoilt.
    With none of `status`, `drop`, `hang`, `malformed` and `tls` the request is merely slow by `delay` seconds.
    """

    path: str = ""
    """Regular expression, searched in the path."""
    method: str = "*"
    body: bytes = b""
    """What stands in the request, such as `b"ExecuteStatement"` or a piece of SQL."""
    times: int = 1
    when: Literal["before", "after"] = "before"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the answer with `status`, such as `Retry-After`."""
    answer: bytes = b""
    """Body of the answer with `status`."""
    drop: bool = False
    """Cut the TCP connection instead of answering."""
    hang: bool = False
    """Take the request and never answer, until the workspace's `released` is set; then the connection is cut."""
    malformed: Literal["", "garbage", "truncated"] = ""
    """Status 200 with bytes that mean nothing, or with the first half of the real answer."""
    tls: Literal["", "alert", "garbage"] = ""
    """Over https: a fatal alert, or a record that does not decrypt, in place of the answer."""
    delay: float = 0.0
    used: int = 0

    def fits(self, method: str, path: str, body: bytes) -> bool:
        """Whether this request is one of those."""
        return self.used < self.times and self.method in (method, "*") and re.search(self.path, path) is not None and self.body in body


def take(faults: list[Fault], method: str, path: str, body: bytes = b"") -> Fault | None:
    """The first fault that fits, counted as used; used-up faults stay listed."""
    for fault in faults:
        if fault.fits(method, path, body):
            fault.used += 1
            return fault
    return None
