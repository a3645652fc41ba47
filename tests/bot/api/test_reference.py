"""`/api/docs` names every field and every message; and what is really sent is as it says."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import unescape
from typing import Any, get_args

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, TypeAdapter, ValidationError

from bot.api import feed as feeds
from bot.api import flag_audio, live_socket, predict
from bot.api.app import create_app
from bot.api.event_messages import FROM_FEED, StatusEvent
from bot.api.feed import Feed
from bot.api.feed_messages import KINDS, message, status
from bot.api.flag_audio import Rating
from bot.api.messages import FROM_FLAG_AUDIO, FROM_STREAM
from bot.api.streams import Streams
from moderation import events
from moderation.detectors.matching import Lexicon
from moderation.models import Alert, AlertState, Coverage, Flag, Level, Session, Span, Speaker, TranscriptSegment, Verdict
from moderation.pipeline import Pipeline
from moderation.predictor import Predictor
from moderation.scoring import TextScoring
from moderation.sessions import SessionManager
from moderation.settings import GuildSettings
from moderation.terms import Term, TermType
from tests.fakes import FakeScorer, FakeTranscriber
from tests.fakes_live import FakeGateway

pytestmark = pytest.mark.integration
Client = TestClient[web.Request, web.Application]

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CALL, ADA = Session("s1", 2**60, 7, NOW, "Lounge"), Speaker(2**60 + 1, "Ada")
SEGMENT = TranscriptSegment("s1", ADA.id, 0, 1.0, 2.0, "some words", final=True)
FOUND = Verdict(Level.ALERT, 5, 0.5, 0.9, ("insult",), (Flag("lexicon", "insult", 5, 0.5, 0.9, Span(0, 4, 1.0, 1.2)),))
ALERT = Alert("a1", CALL, ADA, SEGMENT, FOUND, AlertState.EARLY)
EVENTS: list[events.Event] = [
    events.SessionStarted(CALL),
    events.SessionMoved(CALL),
    events.SessionInterrupted(CALL, "moved"),
    events.SessionAbandoned(CALL, "gone", 1.0),
    events.SessionResumed(CALL, CALL, 3.0),
    events.SessionEnded(CALL, (Coverage(ADA, 10.0, 9.0),), "stopped"),
    events.SpeakerHeard(CALL, ADA),
    events.SpeakerUnheard(CALL, ADA, NOW),
    events.SpeakerHeardAgain(CALL, ADA, NOW, 1.0),
    events.TrackFailed(CALL, ADA, "recognizer-failed"),
    events.SegmentTranscribed(CALL, ADA, SEGMENT, FOUND),
    events.SegmentFlagged(CALL, ADA, SEGMENT, FOUND),
    events.AlertRaised(ALERT),
    events.AlertRevised(ALERT),
]
LEXICON = Lexicon([Term("words", TermType.WORD, "insult", 4)])


async def rate(text: str) -> Rating:
    return Rating(0.9, flagged=True, response=[{"score": 0.9}])


def app() -> web.Application:
    streams = Streams(FakeTranscriber())
    routes = [
        *live_socket.routes(streams, TextScoring(lambda: LEXICON, None, 0.7)),
        *flag_audio.routes(streams, rate, 0.7, every=0.05),
        *feeds.routes(Feed(tuple)),
        *predict.routes(Predictor(None, FakeScorer(), 0.7)),
    ]
    return create_app({}, token=None, max_body=1000, routes=routes)


def one_of(models: Sequence[type[BaseModel]], told: dict[str, Any]) -> type[BaseModel]:
    """The model that a message is of."""
    found = [m for m in models if told["type"] in get_args(m.model_fields["type"].annotation)]
    assert len(found) == 1, told
    found[0].model_validate_json(json.dumps(told))
    return found[0]


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


async def test_every_field_and_message_is_on_the_page() -> None:
    async with TestClient(TestServer(app())) as client:
        written = await (await client.get("/api/openapi.json")).json()
        shown = await client.get("/api/docs")
        page = unescape(await shown.text())
    schemas = written["components"]["schemas"]
    assert {"Question", "TextPrediction", "Start", "Score", "StatusEvent", "AlertInfo"} <= schemas.keys()
    for name, schema in schemas.items():
        section = page.split(f'<h3 id="schema-{name}">')[1].split("<h3 ")[0]
        for field, described in schema.get("properties", {}).items():
            assert f"<code>{field}</code>" in section, (name, field)
            assert described.get("description", "") in section
    assert {r.rpartition("/")[2] for r in references(written)} <= schemas.keys()
    assert set(re.findall(r'href="#([^"]+)"', page)) <= {*re.findall(r'id="([^"]+)"', page)}
    question = page.split("/api/ml/predict</code>")[1].split("</details>")[0]
    assert "Rows of the serving endpoint's own columns." in question
    assert "README" not in page
    assert "unsafe" not in shown.headers["Content-Security-Policy"]
    assert not re.search(r"<script|style=|https?:", page)


async def test_the_document_says_which_token_is_enough() -> None:
    async with TestClient(TestServer(app())) as client:
        paths = (await (await client.get("/api/openapi.json")).json())["paths"]
    assert paths["/health"]["get"]["description"] == "Open to all."
    assert paths["/ws/voicechat/stream/"]["get"]["description"] == "Either token is enough."
    assert [m["$ref"].rpartition("/")[2] for m in paths["/ws/flag-audio/"]["get"]["x-messages"]["client"]] == ["Start", "Stop"]


def test_events_are_as_described() -> None:
    assert {type(event) for event in EVENTS} == set(KINDS)
    told = [status([]), {"type": "lost", "messages": 3}, *map(message, EVENTS)]
    assert {one_of(FROM_FEED, each) for each in told} == set(FROM_FEED)


async def test_the_state_of_calls_is_as_described() -> None:
    async def pipeline(session: Session) -> Pipeline:
        return Pipeline(session, FakeTranscriber(), (), Feed(tuple), lambda: GuildSettings(7))

    async with SessionManager(FakeGateway(), pipeline, Feed(tuple)) as sessions:
        await sessions.start(7, 8, "General")
        told = status(sessions.all())
    assert len(told["sessions"]) == 1
    assert one_of(FROM_FEED, told) is StatusEvent


def test_a_field_that_is_not_described_is_noticed() -> None:
    with pytest.raises(ValidationError):
        one_of(FROM_FEED, {"type": "lost", "messages": 3, "other": 1})
    assert TypeAdapter(FROM_FEED[0]).json_schema()["additionalProperties"] is False


@pytest.mark.parametrize(("path", "models"), [("/ws/voicechat/stream/", FROM_STREAM), ("/ws/flag-audio/", FROM_FLAG_AUDIO)])
async def test_streams_say_what_is_described(path: str, models: Sequence[type[BaseModel]]) -> None:
    async with TestClient(TestServer(app())) as client, client.ws_connect(path) as socket:
        for command in ("nonsense", '{"type":"start"}'):
            await socket.send_str(command)
        for letter in b"some words":
            await socket.send_bytes(bytes([letter, 0]) * 1600)
        await socket.send_str('{"type":"stop"}')
        told = [json.loads(m.data) async for m in socket if m.type is aiohttp.WSMsgType.TEXT]
    met = {one_of(models, each).__name__ for each in told}
    assert met == {m.__name__ for m in models} - {"ScoreError"}
