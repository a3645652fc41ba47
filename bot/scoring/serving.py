"""One Databricks serving endpoint over HTTP: a request, retried inside its deadline, and an answer or an error that says what to do.

`POST {workspace}/serving-endpoints/{name}/invocations`, body `{"dataframe_records": [{column: value}]}` (or `dataframe_split`),
answer `{"predictions": [one a record]}`; errors are `{"error_code", "message"}`
(https://docs.databricks.com/aws/en/machine-learning/model-serving/score-custom-model-endpoints). Bodies of errors are never
quoted: the scoring server echoes its input.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bot.databricks.auth import Credentials
from bot.scoring.wire import error_code, limited, parse, retry_after
from moderation.errors import ModerationError, ScorerUnavailable, ScoresUnreadable, ScoringFailed, ScoringTimeout

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may pass: overload, rate limits, scale-up, time-outs inside the service."""
SERVER_ERROR_RETRIES = 1
"""Retries after 500: the model itself failed, and most likely will again."""
FIRST_PAUSE, MAX_PAUSE = 0.1, 1.0
"""Seconds between attempts where the endpoint names no more; doubled from one to the other, with jitter."""
LEAST_SECONDS = 0.05
"""Time an attempt needs at least to be worth making."""
STATE_SECONDS = 5.0
"""Deadline of a look at the endpoint's state."""


class RequestRefused(ScoringFailed):
    """The endpoint does not take what it was sent: 400, 413 or 422."""

    def __init__(self, message: str, told: str) -> None:
        """`told`: status and the endpoint's own code."""
        super().__init__(message)
        self.told = told


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is."""

    name: str
    invocations: str
    """URL."""
    state: str
    """URL that tells how the endpoint fares."""


@dataclass(slots=True)
class ServingStats:
    """Counted since the start."""

    requests: int = 0
    retries: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """What attempts ended with: `http-503`, `connection`, `timeout`, `unreadable`."""

    def failed(self, kind: str) -> None:
        """One more of that kind."""
        self.errors[kind] = self.errors.get(kind, 0) + 1


def address(workspace: str | None, endpoint: str) -> Address:
    """Where the endpoint is.

    Args:
        workspace: `https://host`; may be missing where the endpoint is a URL.
        endpoint: its name, or the URL of its invocations (route-optimised endpoints have a host of their own).
    """
    if "://" not in endpoint:
        invocations = f"{workspace}/serving-endpoints/{endpoint}/invocations"
        return Address(endpoint, invocations, f"{workspace}/api/2.0/serving-endpoints/{endpoint}")
    parts = urlsplit(endpoint)
    base = endpoint.partition("?")[0].rstrip("/").removesuffix("/invocations")
    name = base.rpartition("/")[2]
    return Address(name, f"{base}/invocations", f"{workspace or f'{parts.scheme}://{parts.netloc}'}/api/2.0/serving-endpoints/{name}")


def records(column: str, texts: Sequence[str]) -> dict[str, object]:
    """A request for texts; survives columns being added to the model's schema."""
    return {"dataframe_records": [{column: text} for text in texts]}


def split(column: str, texts: Sequence[str]) -> dict[str, object]:
    """The same in the other form, for models that were logged with it."""
    return {"dataframe_split": {"columns": [column], "data": [[text] for text in texts]}}


class ServingEndpoint:
    """Asks one endpoint. Every call has one deadline, and retries happen only inside it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        where: Address,
        credentials: Credentials,
        *,
        clock: Callable[[], float] = time.monotonic,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """`clock`: monotonic seconds, the event loop's own; `first_pause`: seconds before the first retry."""
        self._session = session
        self._where = where
        self._credentials = credentials
        self._clock = clock
        self._first_pause = first_pause
        self.stats = ServingStats()

    @property
    def name(self) -> str:
        """The endpoint's."""
        return self._where.name

    async def invoke(self, request: Mapping[str, object], deadline: float) -> Any:  # noqa: ANN401 (JSON)
        """The endpoint's answer, parsed.

        Args:
            request: the body.
            deadline: monotonic second by which there must be an answer.

        Raises:
            ScoringTimeout: there was none. If an attempt had failed before, its error is raised instead: it says more.
            ScorerUnavailable: it is away, overloaded or limiting requests, and will be for longer than the deadline.
            RequestRefused: it does not take the request.
            ScoringFailed: it refuses, for another reason that does not pass.
            ScoresUnreadable: the answer is too large, or no JSON that can be used.
        """
        body = json.dumps(request).encode()
        before: list[ModerationError] = []
        try:
            async with asyncio.timeout(max(deadline - self._clock(), 0.0)):
                return await self._persist(body, deadline, before)
        except TimeoutError:
            self.stats.failed("timeout")
            late = ScoringTimeout(f"The serving endpoint {self.name} did not answer within the deadline.")
            raise (before[-1] if before else late) from None

    async def ready(self) -> bool | None:
        """Whether Databricks says that the endpoint is ready; None where these credentials may not know.

        Raises `ScorerUnavailable` when nobody answers, `ScoringFailed` when there is no such endpoint or the credentials are refused.
        """
        try:
            limit = aiohttp.ClientTimeout(total=STATE_SECONDS)
            headers = await self._headers()
            async with self._session.get(self._where.state, headers=headers, allow_redirects=False, timeout=limit) as response:
                if response.status == 403:
                    return None
                if response.status != 200:
                    raise self._refusal(response.status, "", 0.0)
                answer = parse(await limited(response))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._unreachable(error) from None
        state = answer.get("state") if isinstance(answer, dict) else None
        return state.get("ready") == "READY" if isinstance(state, dict) else None

    async def _persist(self, body: bytes, deadline: float, before: list[ModerationError]) -> Any:  # noqa: ANN401 (JSON)
        """`before`: is told why attempts are repeated."""
        pause, server_errors, refused_before = self._first_pause, 0, False
        while True:
            headers = await self._headers()
            self.stats.requests += 1
            try:
                return await self._attempt(body, headers)
            except _Refused as refusal:
                self.stats.failed(f"http-{refusal.status}")
                error: ModerationError = self._refusal(refusal.status, refusal.code, refusal.retry_after or 0.0)
                wait = refusal.retry_after
                if refusal.status == 401 and not refused_before and await self._has_others(headers):
                    refused_before = True
                    self.stats.retries += 1
                    continue
                server_errors += refusal.status == 500
                if refusal.status not in RETRYABLE or server_errors > SERVER_ERROR_RETRIES:
                    raise error from None
            except (aiohttp.ClientError, OSError) as lost:
                self.stats.failed("connection")
                error, wait = self._unreachable(lost), None
            wait = max(wait or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads retries)
            if self._clock() + wait + LEAST_SECONDS >= deadline:
                raise error from None  # waiting would be in vain: the asker learns it now
            pause = min(pause * 2, MAX_PAUSE)
            before.append(error)
            self.stats.retries += 1
            await asyncio.sleep(wait)

    async def _attempt(self, body: bytes, headers: dict[str, str]) -> Any:  # noqa: ANN401 (JSON)
        headers["Content-Type"] = "application/json"
        async with self._session.post(self._where.invocations, data=body, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                raise _Refused(response.status, await error_code(response), retry_after(response))
            try:
                return parse(await limited(response))
            except ValueError:
                self.stats.failed("unreadable")
                raise ScoresUnreadable(
                    f"The serving endpoint {self.name} gives an answer that is too large or no JSON that can be used."
                ) from None

    async def _headers(self) -> dict[str, str]:
        """Who asks. Raises a kind of `ScoringFailed` where that cannot be had."""
        try:
            return dict(await self._credentials.headers())
        except ModerationError as error:
            if error.retryable:
                raise ScorerUnavailable(str(error)) from error
            raise ScoringFailed(str(error)) from error

    async def _has_others(self, refused: Mapping[str, str]) -> bool:
        """Whether other credentials can be had than those just refused."""
        asked_with = {k: v for k, v in refused.items() if k != "Content-Type"}
        self._credentials.rejected(asked_with)
        return await self._headers() != asked_with

    def _refusal(self, status: int, code: str, retry_after: float) -> ModerationError:
        told = f"{status} {code}".rstrip()
        match status:
            case 400 | 422:
                advice = "does not take the request; check DATABRICKS_INPUT_COLUMN and the model's input schema"
            case 401:
                advice = "refuses the credentials; renew DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"
            case 403:
                advice = "may not be queried with these credentials; grant them CAN QUERY on it"
            case 404:
                advice = "does not exist; check DATABRICKS_ENDPOINT and DATABRICKS_HOST"
            case 413:
                advice = "finds the request too large; send fewer or shorter records"
            case 429:
                return ScorerUnavailable(f"The serving endpoint {self.name} limits requests ({told}).", retry_after=retry_after)
            case _ if status in RETRYABLE:
                return ScorerUnavailable(f"The serving endpoint {self.name} does not work at the moment ({told}).", retry_after=retry_after)
            case _:
                advice = "gives an answer that nobody expects; check DATABRICKS_HOST and DATABRICKS_ENDPOINT"
        sentence = f"The serving endpoint {self.name} {advice} ({told})."
        return RequestRefused(sentence, told) if status in (400, 413, 422) else ScoringFailed(sentence)

    def _unreachable(self, error: Exception) -> ScorerUnavailable:
        return ScorerUnavailable(f"The serving endpoint {self.name} cannot be reached ({type(error).__name__}).")


class _Refused(Exception):
    """An answer other than 200. `retry_after`: seconds, None where the endpoint named none."""

    def __init__(self, status: int, code: str, retry_after: float | None) -> None:
        super().__init__(status)
        self.status, self.code, self.retry_after = status, code, retry_after
