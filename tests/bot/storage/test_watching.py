"""Watched channels and seats, on SQLite and on PostgreSQL."""

import pytest

from bot.storage.database import Database
from bot.storage.watching import SqlWatchStore
from moderation.seats import Seat, Watched


@pytest.fixture
def store(database: Database) -> SqlWatchStore:
    return SqlWatchStore(database)


async def test_watched_channels_come_back_in_their_order(store: SqlWatchStore) -> None:
    await store.set_watched(2, [9])
    await store.set_watched(1, [7, 5, 6])
    await store.set_watched(1, [6, 7])
    assert await store.watched() == [Watched(1, 6), Watched(1, 7), Watched(2, 9)]
    await store.set_watched(1, [])
    assert await store.watched() == [Watched(2, 9)]


async def test_a_server_has_one_seat(store: SqlWatchStore) -> None:
    await store.take_seat(Seat(1, 5, "Lobby"))
    await store.take_seat(Seat(1, 6, "Garden", by_watch=True))
    await store.take_seat(Seat(2, 9))
    assert set(await store.seats()) == {Seat(1, 6, "Garden", by_watch=True), Seat(2, 9)}
    await store.give_up_seat(1)
    await store.give_up_seat(1)
    assert await store.seats() == [Seat(2, 9)]
