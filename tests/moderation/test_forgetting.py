"""Deletion: every place is asked, every process, and again where it failed."""

from datetime import UTC, datetime

import pytest

from moderation.errors import StorageError
from moderation.forgetting import REQUESTS, Erasure, Forgetting, Forgotten
from moderation.shards import ALL_SHARDS, Shards

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HERE = Shards((0,), 2)


class FakeErasures:
    """Requests of one process; `others`: how many shards elsewhere have not done theirs."""

    def __init__(self, *, alone: bool = True, others: int = 0) -> None:
        self.alone = alone
        self.others = others
        self.left: list[Erasure] = []
        self.away = False

    async def request(self, erasure: Erasure) -> None:
        if self.away:
            raise StorageError("away", retryable=True)
        self.left.append(erasure)

    async def ours(self) -> list[Erasure]:
        if self.away:
            raise StorageError("away", retryable=True)
        return list(self.left)

    async def done(self, erasure: Erasure) -> None:
        self.left.remove(erasure)

    async def waiting(self, user_id: int) -> int:
        self.others -= self.others > 1
        return self.others


async def test_one_place_that_fails_does_not_keep_the_others_from_it_and_is_asked_again() -> None:
    asked: list[str] = []
    broken = True

    async def stores(user_id: int) -> int:
        asked.append("stores")
        if broken:
            raise StorageError("away", retryable=True)
        return 3

    def audio(user_id: int) -> None:
        asked.append("audio")

    forgetting = Forgetting({"rows": stores, "audio": audio}, {}, FakeErasures())
    assert await forgetting.forget(7) == Forgotten(0, ("rows",))
    assert await forgetting.retry() == 1
    broken = False
    assert await forgetting.retry() == 0
    assert asked == ["stores", "audio"] * 3
    assert await forgetting.retry() == 0
    assert len(asked) == 6


async def test_rows_wait_for_those_that_must_be_noted_first() -> None:
    noted, gone = True, []

    async def cards(user_id: int, shards: Shards) -> int:
        if not noted:
            raise StorageError("away", retryable=True)
        return 1

    forgetting = Forgetting({}, {"cards": cards, "alerts": lambda user_id, shards: gone.append(user_id)}, FakeErasures())
    noted = False
    assert await forgetting.forget(7) == Forgotten(0, ("cards",))
    assert gone == []
    noted = True
    assert await forgetting.retry() == 0
    assert gone == [7]


async def test_the_answer_waits_for_the_others_and_says_when_one_does_not_confirm() -> None:
    for others, elsewhere in ((0, False), (1, True)):
        erasures = FakeErasures(alone=False, others=others)
        forgetting = Forgetting({}, {}, erasures, shards=HERE, now=lambda: NOON, patience=0.0)
        assert await forgetting.forget(7) == Forgotten(0, elsewhere=elsewhere)
        assert erasures.left == [], "this process is done"


async def test_a_request_that_cannot_be_passed_on_is_tried_again() -> None:
    erasures, rows = FakeErasures(alone=False), []
    erasures.away = True
    forgetting = Forgetting({}, {"rows": lambda user_id, shards: rows.append(shards)}, erasures, shards=HERE, patience=0.0)
    assert (await forgetting.forget(7)).failed == (REQUESTS,)
    assert rows == [ALL_SHARDS], "this process does its part all the same"
    erasures.away = False
    assert await forgetting.retry() == 0
    assert rows == [ALL_SHARDS] * 2


async def test_what_is_asked_for_elsewhere_is_done_here_for_the_own_servers_until_it_succeeds() -> None:
    erasures, asked = FakeErasures(alone=False), []
    broken = True

    async def rows(user_id: int, shards: Shards) -> int:
        asked.append((user_id, shards))
        if broken:
            raise StorageError("away", retryable=True)
        return 1

    forgetting = Forgetting({}, {"rows": rows}, erasures, shards=HERE)
    await erasures.request(Erasure(7, NOON))
    assert not await forgetting.catch_up()
    assert erasures.left
    broken = False
    assert await forgetting.catch_up()
    assert erasures.left == []
    assert asked == [(7, HERE)] * 2
    assert await forgetting.retry() == 0
    assert len(asked) == 2, "its row says what is to be done"
