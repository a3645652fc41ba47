"""A message that stands in the moderators' channel and is edited as what it tells of changes."""

import asyncio
import logging

from moderation.errors import DeliveryFailed, ModerationError, StorageError
from moderation.notices import Notice
from moderation.ports import NoticeBoard

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Tries for one version; then it is dropped and logged. A newer version takes its place at once."""
PAUSE_SECONDS = 1.0
"""Before the second try; it doubles with each."""


class StandingMessage:
    """At most one message, and at most one request under way: versions that were overtaken are never sent."""

    def __init__(self, board: NoticeBoard, group: asyncio.TaskGroup) -> None:
        self._board = board
        self._group = group
        self._wanted: Notice | None = None
        self._task: asyncio.Task[None] | None = None
        self._message_id: int | None = None

    @property
    def shown(self) -> bool:
        """Whether a message was asked for at all."""
        return self._task is not None

    def show(self, notice: Notice) -> None:
        """Post it, or edit the message that stands; never waits."""
        self._wanted = notice
        if self._task is None or self._task.done():
            self._task = self._group.create_task(self._deliver(), name="notice")

    async def delivered(self) -> None:
        """Wait until the last version is there or given up."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _deliver(self) -> None:
        while self._wanted is not None:
            notice, self._wanted = self._wanted, None
            for attempt in range(ATTEMPTS):
                failure = await self._attempt(notice)
                if failure is None or self._wanted is not None:
                    break
                log.warning("a notice was not delivered", extra={"guild_id": notice.guild_id, "code": failure.code, "attempt": attempt + 1})
                if not failure.retryable and not isinstance(failure, StorageError):
                    break
                await asyncio.sleep(max(PAUSE_SECONDS * 2**attempt, getattr(failure, "retry_after", 0.0)))

    async def _attempt(self, notice: Notice) -> ModerationError | None:
        """Why it failed. Whatever that is, it must not end the bot; no text of errors nobody foresaw: it could quote somebody."""
        try:
            self._message_id = await self._board.show(notice, self._message_id)
        except ModerationError as error:
            return error
        except Exception as error:
            return DeliveryFailed(type(error).__name__, retryable=True)
        return None
