"""Watched channels and seats, on SQLite and on PostgreSQL."""

from datetime import timedelta

import pytest

from bot.storage.database import Database
from bot.storage.watching import SqlWatchStore
from moderation.seats import Seat, Watched
from tests.bot.storage.values import NOON


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


async def test_what_is_counted_stays_with_its_channel_while_it_is_watched(store: SqlWatchStore) -> None:
    await store.set_watched(1, [7, 5])
    counted = Watched(1, 5, 61.5, 600.0, NOON, NOON + timedelta(hours=1))
    await store.save_counts([counted, Watched(1, 99, 1.0, 1.0, NOON, NOON), Watched(2, 5, 1.0, 1.0, NOON, NOON)])
    await store.set_watched(1, [5, 6, 7])
    assert await store.watched() == [counted, Watched(1, 6), Watched(1, 7)]
    await store.set_watched(1, [6])
    await store.set_watched(1, [5])
    assert await store.watched() == [Watched(1, 5)]
    await store.save_counts([])


async def test_a_server_has_one_seat(store: SqlWatchStore) -> None:
    await store.take_seat(Seat(1, 5, "Lobby"))
    await store.take_seat(Seat(1, 6, "Garden", by_watch=True))
    await store.take_seat(Seat(2, 9))
    assert set(await store.seats()) == {Seat(1, 6, "Garden", by_watch=True), Seat(2, 9)}
    await store.give_up_seat(1)
    await store.give_up_seat(1)
    assert await store.seats() == [Seat(2, 9)]
