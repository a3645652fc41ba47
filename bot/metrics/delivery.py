"""Measures how long alerts take to become cards."""

from collections.abc import Callable

from moderation.models import Alert
from moderation.ports import AlertDelivery
from moderation.settings import GuildSettings


class MeteredDelivery:
    """An `AlertDelivery` around another one."""

    def __init__(self, inner: AlertDelivery, delivered: Callable[[Alert], None]) -> None:
        """`delivered` is told of every alert whose card was posted."""
        self._inner = inner
        self._delivered = delivered

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None) -> int | None:
        """Post, and measure."""
        message_id = await self._inner.post(alert, settings, clip)
        if message_id is not None:
            self._delivered(alert)
        return message_id

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        """Edit; not measured: edits follow the conversation, not a deadline."""
        await self._inner.edit(alert, settings, message_id, clip)
