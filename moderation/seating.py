"""The bot's seat in each server, in step with the database: where to return to after a restart."""

import logging

from moderation.errors import StorageError
from moderation.models import Session
from moderation.ports import WatchStore
from moderation.seats import Seat

log = logging.getLogger(__name__)


class SeatBook:
    """At most one seat a server. Changes are made at once and saved soon."""

    def __init__(self, store: WatchStore) -> None:
        self._store = store
        self._seats: dict[int, Seat] = {}
        self._saved: dict[int, Seat] = {}

    async def load(self) -> list[Seat]:
        """Those of before the restart; none of them is taken yet. Raises `StorageError`."""
        seats = list(await self._store.seats())
        self._saved = {seat.guild_id: seat for seat in seats}
        return seats

    def of(self, guild_id: int) -> Seat | None:
        """Where the bot sits, or is to sit, in that server."""
        return self._seats.get(guild_id)

    def take(self, seat: Seat) -> None:
        """Listen there, or try to."""
        self._seats[seat.guild_id] = seat

    def follow(self, session: Session) -> None:
        """A session began, or was moved: whoever sent the bot there, unless the watch did, is a moderator."""
        seat = self._seats.get(session.guild_id)
        by_watch = seat is not None and seat.by_watch and seat.channel_id == session.channel_id
        self.take(Seat(session.guild_id, session.channel_id, session.channel_name, by_watch))

    def give_up(self, guild_id: int) -> None:
        """The bot is not to return there by itself."""
        self._seats.pop(guild_id, None)

    def by_watch(self, guild_id: int) -> bool:
        """Whether it sits there by itself."""
        seat = self._seats.get(guild_id)
        return seat is not None and seat.by_watch

    async def save(self) -> None:
        """Bring the database up to date; what it does not take now is tried again the next time."""
        for guild_id in self._seats.keys() | self._saved.keys():
            seat = self._seats.get(guild_id)
            if seat == self._saved.get(guild_id):
                continue
            try:
                if seat is not None:
                    await self._store.take_seat(seat)
                    self._saved[guild_id] = seat
                else:
                    await self._store.give_up_seat(guild_id)
                    del self._saved[guild_id]
            except StorageError as error:
                log.error("a seat was not saved, trying again", extra={"guild_id": guild_id, "code": error.code})
