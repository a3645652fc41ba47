"""Misbehaviour of the REST side on demand."""

import asyncio
import re
from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Fault:
    """Spoils the next `times` requests whose method and path fit; append to `LoopbackDiscord.faults`.

    `path` is a regular expression searched in the path without `/api/v10`, e.g. `r"^/channels/\\d+/messages$"`.
    `when="after"` lets Discord act on the request first and spoils only the answer.
    With neither `status` nor `drop` the request is merely slow by `delay` seconds, or until `held` is set.
    """

    method: str
    path: str
    times: int = 1
    status: int | None = None  # 429, 500, 502, 503 …
    drop: bool = False  # cut the TCP connection instead of answering
    when: Literal["before", "after"] = "before"
    delay: float = 0.0
    held: asyncio.Event | None = None
    retry_after: float = 0.05  # seconds, for 429
    everywhere: bool = False  # a 429 of the global limit
    used: int = 0

    def fits(self, method: str, path: str) -> bool:
        """Whether this request is one of those."""
        return self.used < self.times and self.method in (method, "*") and re.search(self.path, path) is not None


def take(faults: list[Fault], method: str, path: str) -> Fault | None:
    """The first fault that fits, counted as used; used-up faults stay listed."""
    for fault in faults:
        if fault.fits(method, path):
            fault.used += 1
            return fault
    return None
