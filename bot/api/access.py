"""Who asks: a bearer token of a role, or the cookie of a browser that gave one on the sign-in page."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from bot.api.routes import Role

COOKIE = "earshot"
"""Holds a random number; the token itself never goes to a browser."""
SIGNED_IN_SECONDS = 12 * 3600.0
MAX_SIGNED_IN = 1000
"""Browsers remembered; the one that was longest away is forgotten first."""

RANK = {Role.OPEN: 0, Role.READ: 1, Role.OPERATE: 2}


@dataclass(frozen=True, slots=True)
class _SignedIn:
    role: Role
    until: float


class Access:
    """What a request may do. Without tokens everybody may do everything, and the server listens on loopback only."""

    def __init__(self, operate: str | None, read: str | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`operate` and `read`: the tokens of the roles. `clock`: monotonic seconds."""
        self._digests = [(role, _digest(token)) for role, token in ((Role.OPERATE, operate), (Role.READ, read)) if token]
        self._clock = clock
        self._signed_in: OrderedDict[str, _SignedIn] = OrderedDict()

    @property
    def guarded(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._digests)

    def role(self, request: web.Request) -> Role:
        """What the request has shown that it may do."""
        if not self.guarded:
            return Role.OPERATE
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._role_of(given.strip())
        found = self._signed_in.get(_digest(request.cookies.get(COOKIE, "")).hex())
        return found.role if found is not None and found.until > self._clock() else Role.OPEN

    def sign_in(self, token: str) -> str | None:
        """A new cookie's value; None when the token is none."""
        role = self._role_of(token)
        if role is Role.OPEN:
            return None
        value = secrets.token_urlsafe(32)
        self._signed_in[_digest(value).hex()] = _SignedIn(role, self._clock() + SIGNED_IN_SECONDS)
        while len(self._signed_in) > MAX_SIGNED_IN:
            self._signed_in.popitem(last=False)
        return value

    def sign_out(self, cookie: str) -> None:
        """Forget a browser."""
        self._signed_in.pop(_digest(cookie).hex(), None)

    def _role_of(self, token: str) -> Role:
        """All digests are compared, each in the same time however much of the token is right."""
        given = _digest(token)
        roles = [role for role, digest in self._digests if hmac.compare_digest(given, digest)]
        return roles[0] if roles else Role.OPEN


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
