"""Rate limits as Discord states and enforces them (https://discord.com/developers/docs/topics/rate-limits)."""

import hashlib
import math
import time
from dataclasses import dataclass

DEFAULT = (50, 1.0)  # requests, seconds: wide enough that only a test that sets its own limit runs into one
KEEP_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    left: int
    resets_at: float


@dataclass(frozen=True, slots=True)
class Spent:
    """The answer's rate-limit headers, and how long to wait when the request must be refused (else 0 seconds)."""

    headers: dict[str, str]
    wait: float


class RateLimits:
    """Counts requests per route and major parameter (channel, guild, webhook).

    `limits[("POST", "/channels/{channel_id}/messages")] = (5, 5.0)` gives a route its own limit.
    """

    def __init__(self) -> None:
        self.limits: dict[tuple[str, str], tuple[int, float]] = {}
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}

    def spend(self, method: str, template: str, major: str) -> Spent:
        """Count one request."""
        limit, seconds = self.limits.get((method, template), DEFAULT)
        now = time.monotonic()
        key = (method, template, major)
        bucket = self._buckets.get(key)
        if bucket is None or now >= bucket.resets_at:
            if len(self._buckets) >= KEEP_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[key] = _Bucket(limit, now + seconds)
        wait = 0.0
        if bucket.left:
            bucket.left -= 1
        else:
            wait = bucket.resets_at - now
        after = math.ceil((bucket.resets_at - now) * 1000) / 1000  # rounded up: who waits that long is not refused
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(bucket.left),
            "X-RateLimit-Reset": f"{time.time() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": hashlib.blake2b(f"{method} {template}".encode(), digest_size=16).hexdigest(),
        }
        return Spent(headers, wait)
