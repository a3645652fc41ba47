"""Edits alert cards that quote a member who had their data deleted: a few at a time, again until Discord takes it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import aiohttp
import discord

from bot.storage.redactions import Redaction, SqlRedactions
from cogs.removed import removed_card, without_context
from moderation.errors import StorageError
from moderation.shards import ALL_SHARDS, Shards

log = logging.getLogger(__name__)

BATCH = 25
"""Cards edited in one round."""
PAUSE_SECONDS = 300.0
"""Between rounds, while something could not be done."""
EDIT_SECONDS = 20.0
"""How long one card may take."""

_FAILURES = (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError, RuntimeError)


class Redactor:
    """Works through `redactions`, at the start, when told that there is something, and then every few minutes."""

    def __init__(self, client: discord.Client, rows: SqlRedactions) -> None:
        self._client = client
        self._rows = rows
        self._news = asyncio.Event()
        self._closed = False
        self.edited = 0
        self.failed = 0
        """Attempts that Discord refused or did not answer."""

    async def forget(self, user_id: int, shards: Shards = ALL_SHARDS) -> int:
        """Note that user's cards and begin soon; how many. `shards`: whose servers'; other processes edit their own servers' cards."""
        count = await self._rows.forget(user_id, shards)
        self._news.set()
        return count

    async def hurry(self) -> None:
        """Discord is there again: begin now."""
        self._news.set()

    def close(self) -> None:
        """No more rounds; `run` returns after the card it is at."""
        self._closed = True
        self._news.set()

    async def run(self, also: Callable[[], Awaitable[object]]) -> None:
        """Until closed; nothing is done while Discord is not connected. `also`: done in every round, too, such as failed deletions."""
        again = False
        while not self._closed:
            if not again:
                await self._rest()
            self._news.clear()
            if self._closed:
                return
            try:
                await also()
                again = self._client.is_ready() and await self.round()
            except StorageError as error:
                log.warning("cards to be edited cannot be read", extra={"code": error.code})
                again = False

    async def round(self) -> bool:
        """One batch; whether more is waiting that was not tried in it."""
        batch = await self._rows.pending(BATCH)
        refused = 0
        for card in batch:
            if self._closed:
                break
            if await self._edit(card):
                self.edited += 1
                await self._rows.done(card.message_id)
            else:
                refused += 1
                await self._rows.failed(card.message_id)
        if refused:
            self.failed += refused
            log.warning("cards that quote a member could not be edited, trying again later", extra={"cards": refused})
        return len(batch) == BATCH and not refused

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), PAUSE_SECONDS)
        except TimeoutError:
            return

    async def _edit(self, card: Redaction) -> bool:
        """Whether the card quotes nobody any more; a deleted one does not."""
        for channel_id in card.channels:
            channel = self._client.get_partial_messageable(channel_id)
            try:
                async with asyncio.timeout(EDIT_SECONDS):
                    await _redact(channel.get_partial_message(card.message_id), whole=card.whole)
            except discord.NotFound:
                continue
            except _FAILURES:
                return False
            return True
        return True


async def _redact(message: discord.PartialMessage, *, whole: bool) -> None:
    nobody = discord.AllowedMentions.none()
    embeds = [] if whole else (await message.fetch()).embeds
    if embeds:
        await message.edit(embed=without_context(embeds[0]), allowed_mentions=nobody)
    else:
        await message.edit(embed=removed_card(), attachments=[], allowed_mentions=nobody)
