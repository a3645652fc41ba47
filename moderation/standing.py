"""Messages that stand in the moderators' channel and are edited as what they tell of changes.

They wait in memory: an outage of Discord or of the database only delays them, a kill of the process loses those that wait.
"""

import asyncio
import logging
from collections.abc import Sequence

from moderation.errors import DeliveryFailed, ModerationError, StorageError
from moderation.notices import Notice, without
from moderation.ports import NoticeBoard

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between two tries: they double from the first to the longest. A pause that Discord asks for counts when it is longer."""
GIVE_UP_SECONDS = 24 * 3600.0
"""After pauses of so much in all, a message that is still not taken is dropped."""
MAX_STANDING = 1024
"""Messages that can still be edited, or wait. For a new one the oldest goes that is there already, or, where all wait, the oldest."""


class StandingMessage:
    """At most one message, and at most one request under way: versions that were overtaken are never sent."""

    def __init__(self, board: NoticeBoard) -> None:
        self._board = board
        self._wanted: Notice | None = None
        self._task: asyncio.Task[None] | None = None
        self._message_id: int | None = None
        self._unsure: Notice | None = None
        """No answer came when this was posted: it may stand there."""
        self.dropped = 0
        """Versions that were given up."""

    @property
    def waiting(self) -> Notice | None:
        """The version that is not there yet."""
        return self._wanted

    def show(self, notice: Notice, group: asyncio.TaskGroup) -> None:
        """Post it, or edit the message that stands; never waits."""
        self._wanted = notice
        if self._task is None or self._task.done():
            self._task = group.create_task(self._deliver(), name="notice")

    def drop(self) -> None:
        """No further attempt."""
        if self._task is not None:
            self._task.cancel()

    async def delivered(self) -> None:
        """Wait until the last version is there or given up."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _deliver(self) -> None:
        attempts, waited = 0, 0.0
        while (notice := self._wanted) is not None:
            failure = await self._attempt(notice)
            if failure is None:
                attempts, waited = 0, 0.0
                continue
            attempts += 1
            log.warning("a notice was not delivered", extra={"guild_id": notice.guild_id, "code": failure.code, "attempt": attempts})
            if waited >= GIVE_UP_SECONDS or not (failure.retryable or isinstance(failure, StorageError)):
                self.dropped += 1
                self._wanted = None if self._wanted is notice else self._wanted
                continue
            pause = max(min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 16), LONGEST_PAUSE), getattr(failure, "retry_after", 0.0))
            await asyncio.sleep(pause)
            waited += pause

    async def _attempt(self, notice: Notice) -> ModerationError | None:
        """Why it failed. Whatever that is, it must not end the bot; no text of errors nobody foresaw: it could quote somebody."""
        try:
            message_id = await self._board.show(notice, self._message_id)
        except ModerationError as error:
            failure = error
        except Exception as error:
            failure = DeliveryFailed(type(error).__name__, retryable=True)
        else:
            # A post whose answer was lost may have arrived: Discord then gives that message, as it was, for this one.
            outdated = message_id is not None and self._unsure not in (None, notice)
            self._message_id, self._unsure = message_id, None
            if self._wanted is notice and not outdated:
                self._wanted = None
            return None
        if self._message_id is None:
            self._unsure = self._unsure or notice
        return failure


class StandingMessages:
    """All of them, by the notices' keys."""

    def __init__(self, board: NoticeBoard) -> None:
        self._board = board
        self._messages: dict[str, StandingMessage] = {}
        self._dropped = 0

    @property
    def waiting(self) -> int:
        """Messages whose last version is not there yet."""
        return sum(message.waiting is not None for message in self._messages.values())

    @property
    def dropped(self) -> int:
        """Versions that were given up: refused, too old, or too many at once."""
        return self._dropped + sum(message.dropped for message in self._messages.values())

    def __contains__(self, key: str) -> bool:
        return key in self._messages

    def show(self, notice: Notice, group: asyncio.TaskGroup) -> None:
        """Post it, or edit the message of that key; never waits."""
        message = self._messages.pop(notice.key, None) or StandingMessage(self._board)
        self._messages[notice.key] = message
        message.show(notice, group)
        if len(self._messages) > MAX_STANDING:
            self._make_room()

    def resume(self, group: asyncio.TaskGroup) -> None:
        """Go on with those that wait, in another group."""
        for message in self._messages.values():
            if message.waiting is not None:
                message.show(message.waiting, group)

    def forget(self, user_id: int, group: asyncio.TaskGroup) -> Sequence[str]:
        """Name that member in none that waits; the keys of those that did."""
        naming = {key: message.waiting for key, message in self._messages.items() if message.waiting and user_id in message.waiting.names}
        for key, notice in naming.items():
            self._messages[key].show(without(notice, user_id), group)
        return list(naming)

    async def delivered(self, keys: Sequence[str]) -> None:
        """Wait until the last versions of those are there or given up."""
        await asyncio.gather(*(self._messages[key].delivered() for key in keys if key in self._messages))

    def _make_room(self) -> None:
        key = next((key for key, message in self._messages.items() if message.waiting is None), next(iter(self._messages)))
        gone = self._messages.pop(key)
        gone.drop()
        self._dropped += gone.dropped
        if gone.waiting is not None:
            self._dropped += 1
            log.error("too many notices wait, one is dropped", extra={"guild_id": gone.waiting.guild_id})
