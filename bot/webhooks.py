"""Alerts to somebody else's system: signed HTTP requests, as Standard Webhooks has them (https://www.standardwebhooks.com).

    POST <EARSHOT_WEBHOOK_URL>
    webhook-id: the same for every attempt to tell the same thing: the receiver's idempotency key
    webhook-timestamp: seconds since 1970, of this attempt
    webhook-signature: v1,base64(HMAC-SHA256(secret, "<id>.<timestamp>.<body>"))

An `AlertDelivery`: order, retries and the durable outbox are the dispatcher's. What was said is in the body, for that is what is asked for.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from bot.api.feed_messages import alert_json, session_json
from moderation.errors import DeliveryFailed
from moderation.models import Alert
from moderation.settings import GuildSettings

REQUEST_SECONDS = 10.0
"""How long a receiver may take to answer."""
LONGEST_PAUSE = 3600.0
"""A longer Retry-After is not waited for."""
RETRYABLE = frozenset({408, 409, 425, 429})
"""4xx after which the same request may succeed later; others, but 410, are the operator's to mend, and are tried again as well."""
GONE = 410
"""The receiver wants no more of it (Standard Webhooks, "Disabling endpoints")."""
REPAIR_SECONDS = 60.0
"""Pause after an answer that somebody has to mend: a wrong address, a wrong secret."""
SENT = 1
"""There is no message to edit; a later revision is another request."""


class WebhookDelivery:
    """Tells one address. The evidence clip is not sent."""

    def __init__(self, url: str, secret: str, session: aiohttp.ClientSession, now: Callable[[], float] = time.time) -> None:
        """`secret`: as it is, or base64 after `whsec_`; `now`: seconds since 1970."""
        self._url = url
        self._key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
        self._session = session
        self._now = now

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None, *, late: bool = False) -> int | None:
        """`alert.raised`. Raises `DeliveryFailed`."""
        await self._send("alert.raised", alert)
        return SENT

    async def find(self, alert: Alert, settings: GuildSettings) -> int | None:
        """It cannot be looked up; the receiver knows by the `webhook-id` what it has already."""
        return None

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        """`alert.revised`: confirmed, revised, withdrawn or grown. Raises `DeliveryFailed`."""
        await self._send("alert.revised", alert)

    async def _send(self, kind: str, alert: Alert) -> None:
        body = _body(kind, alert)
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=self._headers(body),
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
                allow_redirects=False,
            ) as answer:
                _check(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DeliveryFailed(f"The webhook's address does not answer ({type(error).__name__}).", retryable=True) from None

    def _headers(self, body: bytes) -> dict[str, str]:
        identity, timestamp = hashlib.sha256(body).hexdigest()[:32], str(int(self._now()))
        signature = hmac.new(self._key, b".".join((identity.encode(), timestamp.encode(), body)), hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Earshot",
            "webhook-id": identity,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
        }


class NoAudio:
    """The `Evidence` of a lane that sends none, and must not drop what the cards still need."""

    def clip(self, session_id: str, speaker_id: int, start: float, end: float) -> bytes | None:
        """There is none."""
        return None

    def drop_session(self, session_id: str) -> None:
        """Nothing is held."""

    def drop_speaker(self, session_id: str, speaker_id: int) -> None:
        """Nothing is held."""

    def forget(self, speaker_id: int) -> None:
        """Nothing is held."""


def _body(kind: str, alert: Alert) -> bytes:
    """The same bytes for the same state of an alert, whichever process makes them."""
    data: dict[str, Any] = {"type": kind, "data": {"alert": alert_json(alert), "session": session_json(alert.session)}}
    return json.dumps(data, ensure_ascii=False, sort_keys=True).encode()


def _check(answer: aiohttp.ClientResponse) -> None:
    if 200 <= answer.status < 300:
        return
    told = f"The webhook's receiver answers {answer.status}."
    if answer.status == GONE:
        raise DeliveryFailed(f"{told} It wants no more; take EARSHOT_WEBHOOK_URL away, or set another.")
    transient = answer.status in RETRYABLE or answer.status >= 500
    raise DeliveryFailed(told, retryable=True, retry_after=_retry_after(answer) if transient else REPAIR_SECONDS)


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    given = answer.headers.get("Retry-After", "")
    return min(float(given), LONGEST_PAUSE) if given.isascii() and given.isdigit() else 0.0
