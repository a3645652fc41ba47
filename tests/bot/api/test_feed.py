"""The feed of events: what listeners get, in what order, and what becomes of those that are slow or too many."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import get_args

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api import feed as module
from bot.api.app import create_app
from bot.api.feed import MAX_LISTENERS, QUEUE_SIZE, Feed, Query
from bot.api.feed_messages import KINDS
from moderation.events import AlertRaised, Event, SegmentTranscribed, SessionEnded, SessionStarted, SpeakerHeard
from moderation.models import Alert, AlertState, Coverage, Flag, Level, Session, Span, Speaker, TranscriptSegment, Verdict

pytestmark = pytest.mark.integration
Client = TestClient[web.Request, web.Application]

ADA = Speaker(2**60 + 1, "Ada")


def session(guild_id: int = 2**60) -> Session:
    return Session("s1", guild_id, 7, datetime(2026, 1, 2, tzinfo=UTC), "Lounge")


def said(text: str, *, final: bool = True, guild_id: int = 2**60) -> SegmentTranscribed:
    flag = Flag("lexicon", "insult", 5, 0.5, 0.9, Span(0, 4, 1.0, 1.2))
    verdict = Verdict(Level.ALERT, 5, 0.5, 0.9, ("insult",), (flag,))
    return SegmentTranscribed(session(guild_id), ADA, TranscriptSegment("s1", ADA.id, 0, 1.0, 2.0, text, final), verdict)


@pytest.fixture
def feed() -> Feed:
    return Feed(lambda: ())


@pytest.fixture
async def client(feed: Feed) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app({}, token=None, max_body=1000, routes=module.routes(feed)))) as opened:
        yield opened


def test_every_event_has_a_name() -> None:
    assert set(KINDS) == set(get_args(Event))
    assert len(set(KINDS.values())) == len(KINDS)


async def test_a_socket_gets_a_status_and_then_what_happens(client: Client, feed: Feed) -> None:
    async with client.ws_connect("/ws/events/") as socket:
        assert await socket.receive_json() == {"type": "status", "sessions": []}
        started, spoken = SessionStarted(session()), said("some words")
        alert = Alert("a1", session(), ADA, spoken.segment, spoken.verdict, AlertState.EARLY)
        for event in (started, spoken, AlertRaised(alert), SessionEnded(session(), (Coverage(ADA, 10.0, 9.0),), "stopped")):
            await feed.emit(event)
        told = [await socket.receive_json() for _ in range(4)]
    assert [t["type"] for t in told] == ["session-started", "segment", "alert-raised", "session-ended"]
    assert {t["session"]["guild_id"] for t in told} == {str(2**60)}
    assert told[1]["speaker"] == {"id": str(2**60 + 1), "name": "Ada"}
    assert told[1]["verdict"]["spans"] == [{"start": 0, "end": 4, "category": "insult", "severity": 5, "detector": "lexicon"}]
    assert (told[2]["alert"]["state"], told[2]["alert"]["severity"]) == ("early", 5)
    assert told[3]["coverage"][0]["coverage"] == 0.9


async def test_a_stream_of_one_server_without_partials(client: Client, feed: Feed) -> None:
    async with client.get("/api/events?guild_id=5&partials=false") as response:
        assert response.content_type == "text/event-stream"
        assert await response.content.readline() == b"event: status\n"
        for event in (said("other server"), said("unfinished", final=False, guild_id=5), said("finished", guild_id=5)):
            await feed.emit(event)
        lines = [await response.content.readline() for _ in range(4)]
    assert lines[2] == b"event: segment\n"
    assert json.loads(lines[3].removeprefix(b"data: "))["segment"]["text"] == "finished"


async def test_who_is_slow_loses_the_oldest_and_is_told(feed: Feed) -> None:
    with feed.listen(Query()) as messages:
        await anext(messages)
        for number in range(QUEUE_SIZE + 3):
            await feed.emit(said(str(number)))
        assert await anext(messages) == {"type": "lost", "messages": 3}
        assert (await anext(messages))["segment"]["text"] == "3"
    assert feed.lost == 3


async def test_a_deletion_reaches_what_waits_for_the_slow(feed: Feed) -> None:
    ben = Speaker(5, "Ben")
    spoken = said("some words")
    alert = Alert("a1", session(), ADA, spoken.segment, spoken.verdict, AlertState.EARLY)
    both = SessionEnded(session(), (Coverage(ADA, 1.0, 1.0), Coverage(ben, 1.0, 1.0)), "stopped")
    with feed.listen(Query()) as messages:
        for event in (SpeakerHeard(session(), ADA), spoken, AlertRaised(alert), SpeakerHeard(session(), ben), both):
            await feed.emit(event)
        assert feed.forget(ADA.id) == 6, "four that wait, and two that are remembered for who comes late"
        assert feed.forget(ADA.id) == 0
        feed.close()
        told = [message async for message in messages]
    assert [t["type"] for t in told] == ["status", "speaker-heard", "session-ended"]
    assert [c["speaker"]["name"] for c in told[2]["coverage"]] == ["Ben"]
    assert str(ADA.id) not in str(told)


async def test_listeners_are_bounded_and_leave_nothing(client: Client, feed: Feed) -> None:
    sockets = [await client.ws_connect("/ws/events/") for _ in range(MAX_LISTENERS)]
    assert (await client.get("/api/events")).status == 503
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.ws_connect("/ws/events/")
    assert feed.refused == 2
    for socket in sockets:
        await socket.close()
    async with asyncio.timeout(60), client.ws_connect("/ws/events/") as socket:
        assert (await socket.receive_json())["type"] == "status"


async def test_the_end_of_the_server_ends_them(client: Client, feed: Feed) -> None:
    async with client.ws_connect("/ws/events/") as socket:
        await socket.receive_json()
        feed.close()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
