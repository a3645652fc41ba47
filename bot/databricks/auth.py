"""Who asks a Databricks workspace: a personal access token, or a service principal (OAuth machine-to-machine).

Both give the headers of a request: `await headers()`. After an answer 401 call `rejected(headers)` and ask for headers again, once.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import aiohttp

from moderation.errors import ModerationError, NotAllowed, SignInUnavailable

EARLY = 60.0
"""Seconds before its end from which a token counts as ended: a request that is under way still needs it."""
TOKEN_SECONDS = 15.0
"""Deadline of a request for a token."""
FAILURE_SECONDS = 1.0
"""How long a failure to get a token is told to whoever asks next, instead of asking again: a crowd asks once."""
MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read; a token takes some 1,000."""


class Credentials(Protocol):
    """Says who asks."""

    async def headers(self) -> Mapping[str, str]:
        """What stands in a request. Raises `NotAllowed` or `SignInUnavailable`."""
        ...

    def rejected(self, headers: Mapping[str, str]) -> None:
        """Those headers were refused (401): do not give them again if there can be others."""
        ...

    async def aclose(self) -> None:
        """Ask for nothing any more. Twice does no harm."""
        ...


class PersonalToken:
    """A token that is what it is."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    async def headers(self) -> Mapping[str, str]:
        """Always the same."""
        return self._headers

    def rejected(self, headers: Mapping[str, str]) -> None:
        """There is no other."""

    async def aclose(self) -> None:
        """Nothing is under way."""


class ServicePrincipal:
    """Tokens of a service principal, from `POST {host}/oidc/v1/token` (RFC 6749, section 4.4): one token for all who ask.

    The request for a token belongs to nobody who waits for it: it has a limit of its own, and goes on when an asker gives up.
    """

    def __init__(
        self, session: aiohttp.ClientSession, host: str, client_id: str, secret: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`host`: such as `https://dbc-1234abcd.cloud.databricks.com`; `clock`: seconds, monotonic."""
        self._session = session
        self._url = f"{host.rstrip('/')}/oidc/v1/token"
        self._who = {"Authorization": f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"}
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self._token = ""
        self._ends = 0.0
        self._failure: ModerationError | None = None
        self._failed_at = 0.0
        self._closed = False

    async def headers(self) -> Mapping[str, str]:
        """With a token that lives a minute longer at least. Raises `NotAllowed` when the workspace refuses the secret."""
        if not self._fresh():
            if self._failure is not None and self._clock() < self._failed_at + FAILURE_SECONDS:
                raise type(self._failure)(str(self._failure))
            await self._renewed()
            if self._failure is not None:
                raise type(self._failure)(str(self._failure))  # a new one each: they are raised in several tasks
        return self._given()

    def rejected(self, headers: Mapping[str, str]) -> None:
        """The next call asks for a new token, unless there is another one already."""
        if headers.get("Authorization") == self._given()["Authorization"]:
            self._token = ""

    async def aclose(self) -> None:
        """End a request for a token."""
        self._closed = True
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait({self._asking})

    def _given(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _fresh(self) -> bool:
        return bool(self._token) and self._clock() < self._ends - EARLY

    async def _renewed(self) -> None:
        """Wait for the one request that is under way, or begin it."""
        if self._closed:
            raise SignInUnavailable("The bot is stopping.")
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._renew(), name="Databricks token")
        asking = self._asking
        await asyncio.wait({asking})  # which leaves it alone when the asker is cancelled
        if asking.cancelled():
            raise SignInUnavailable("The bot is stopping.")
        asking.result()

    async def _renew(self) -> None:
        asked = self._clock()
        try:
            self._token, lifetime = await self._ask()
        except ModerationError as error:
            self._failure, self._failed_at = error, self._clock()
        else:
            self._failure, self._ends = None, asked + max(lifetime, EARLY + 1)

    async def _ask(self) -> tuple[str, float]:
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        limit = aiohttp.ClientTimeout(total=TOKEN_SECONDS)
        try:
            async with self._session.post(self._url, data=form, headers=self._who, timeout=limit, allow_redirects=False) as response:
                if response.status in (400, 401, 403):
                    raise NotAllowed(
                        f"Databricks refused the service principal (HTTP {response.status}). "
                        "Check DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, and that it is assigned to the workspace."
                    )
                if response.status != 200:
                    raise SignInUnavailable(f"Databricks gave no token (HTTP {response.status}). Try again in a minute.")
                return _read(await _body(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SignInUnavailable(
                f"Databricks cannot be reached for a token ({type(error).__name__}). Check DATABRICKS_HOST and the network."
            ) from None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readexactly(MAX_ANSWER)
    except asyncio.IncompleteReadError as whole:
        return whole.partial


def _read(answer: bytes) -> tuple[str, float]:
    """(token, seconds it lives) of an answer."""
    try:
        found = json.loads(answer)
        token, lifetime = found["access_token"], float(found["expires_in"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SignInUnavailable("Databricks answered without a token. Check that DATABRICKS_HOST is a workspace's address.") from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise SignInUnavailable("Databricks answered without a token. Check that DATABRICKS_HOST is a workspace's address.")
    return token, lifetime
