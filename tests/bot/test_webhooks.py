"""Alerts to somebody else's system: the real dispatcher, recorder and outbox against a receiver that refuses, limits and goes away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

import bot.attempts
from bot.alerts import AlertDispatcher
from bot.pending import MAX_PENDING
from bot.records import AlertSettled, Entry, Lane, Outcome, decode, encode
from bot.stores import Stores, open_stores
from bot.webhooks import NoAudio, WebhookDelivery
from config.settings import Settings
from moderation.events import AlertRaised, AlertRevised
from moderation.models import Alert, AlertState, Level, Session, Speaker, TranscriptSegment, Verdict
from tests.webhook_receiver import SECRET, Receiver

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.attempts, "FIRST_PAUSE", 0.01)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as made:
        yield made


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    async with open_stores(Settings(earshot_data_dir=tmp_path, database_url=SecretStr(f"sqlite:///{tmp_path}/e.db"))) as opened:
        yield opened


@asynccontextmanager
async def dispatching(stores: Stores, url: str) -> AsyncIterator[AlertDispatcher]:
    """A process that sends webhooks."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        recording = group.create_task(stores.recorder.run())
        delivery = WebhookDelivery(url, SECRET, session)
        dispatcher = AlertDispatcher(delivery, NoAudio(), stores.remembered.settings, stores.recorder, lane=Lane.WEBHOOK)
        dispatcher.resume(await stores.webhooks.pending(MAX_PENDING))
        sending = group.create_task(dispatcher.run())
        yield dispatcher
        dispatcher.close()
        await sending
        await stores.recorder.caught_up(5.0)
        recording.cancel()


def alert(state: AlertState = AlertState.EARLY) -> Alert:
    session = Session("0123", 5, 7, datetime(2026, 1, 2, tzinfo=UTC), "Lounge")
    segment = TranscriptSegment("0123", 9, 0, 1.0, 2.0, "you idiot", final=True)
    return Alert(segment.id, session, Speaker(9, "Ben"), segment, Verdict(level=Level.ALERT, severity=5), state)


async def test_an_alert_and_its_revision_are_told_signed(receiver: Receiver, stores: Stores) -> None:
    async with dispatching(stores, receiver.url) as dispatcher:
        await dispatcher.emit(AlertRaised(alert()))
        await asyncio.wait_for(dispatcher.drained(), 60)
        await dispatcher.emit(AlertRevised(replace(alert(), state=AlertState.CONFIRMED)))
        await asyncio.wait_for(dispatcher.drained(), 60)
    (first, raised), (second, revised) = receiver.got
    assert first != second
    assert (raised["type"], revised["type"]) == ("alert.raised", "alert.revised")
    data = revised["data"]
    assert isinstance(data, dict)
    assert (data["alert"]["state"], data["alert"]["speaker"], data["session"]["guild_id"]) == ("confirmed", {"id": "9", "name": "Ben"}, "5")
    assert await stores.webhooks.pending(10) == []


async def test_what_is_refused_is_sent_again_under_the_same_id(receiver: Receiver, stores: Stores) -> None:
    receiver.answers = [web.Response(status=500), web.Response(status=429, headers={"Retry-After": "0"}), web.Response(status=503)]
    async with dispatching(stores, receiver.url) as dispatcher:
        await dispatcher.emit(AlertRaised(alert()))
        await asyncio.wait_for(dispatcher.drained(), 60)
    assert len(receiver.got) == 4
    assert len({identity for identity, _ in receiver.got}) == 1
    assert dispatcher.stats.retried == 3


async def test_what_could_not_be_sent_is_sent_by_the_next_process_under_the_same_id(receiver: Receiver, stores: Stores) -> None:
    receiver.answers = [web.Response(status=401)]
    url = receiver.url
    async with dispatching(stores, url) as dispatcher:
        await dispatcher.emit(AlertRaised(alert()))
        while not dispatcher.stats.retried:  # noqa: ASYNC110 - no event of ours tells
            await asyncio.sleep(0.005)
    (left,) = await stores.webhooks.pending(10)
    assert await stores.outbox.pending(10) == []
    assert left.next_attempt_at is not None
    async with dispatching(stores, url) as dispatcher:
        await dispatcher.hurry()
        await asyncio.wait_for(dispatcher.drained(), 60)
    assert len(receiver.got) == 2
    assert len({identity for identity, _ in receiver.got}) == 1


async def test_a_receiver_that_is_gone_gets_no_more(receiver: Receiver, stores: Stores) -> None:
    receiver.answers = [web.Response(status=410)]
    async with dispatching(stores, receiver.url) as dispatcher:
        await dispatcher.emit(AlertRaised(alert()))
        await asyncio.wait_for(dispatcher.drained(), 60)
    assert dispatcher.stats.undeliverable == 1
    assert await stores.webhooks.counts() == {"undeliverable": 1}


async def test_redirects_are_not_followed(receiver: Receiver, stores: Stores) -> None:
    receiver.answers = [web.Response(status=307, headers={"Location": "http://192.0.2.1/"})]
    async with dispatching(stores, receiver.url) as dispatcher:
        await dispatcher.emit(AlertRaised(alert()))
        while not dispatcher.stats.retried:  # noqa: ASYNC110 - no event of ours tells
            await asyncio.sleep(0.005)
    assert len(receiver.got) == 1


async def test_a_member_who_is_forgotten_is_not_told_of(stores: Stores) -> None:
    async with dispatching(stores, "http://127.0.0.1:9/hook") as dispatcher:
        await dispatcher.emit(AlertRaised(alert()))
        while not dispatcher.stats.retried:  # noqa: ASYNC110 - no event of ours tells
            await asyncio.sleep(0.005)
        assert await dispatcher.forget(9) == 1
        await stores.recorder.caught_up(5.0)
        assert await stores.webhooks.forget(9) == 1
    assert await stores.webhooks.pending(10) == []


def test_records_of_an_older_version_are_about_cards() -> None:
    line = json.loads(encode(Entry(datetime.now(UTC), AlertSettled(alert(), 1, Outcome.DELIVERED, Lane.WEBHOOK))))
    del line["record"]["lane"]
    record = decode(json.dumps(line).encode()).record
    assert isinstance(record, AlertSettled)
    assert record.lane is Lane.CARD
