"""The peer of the HTTP benchmark: the same services, answers and models behind FastAPI and uvicorn. `python -m bench.http_peer`.

What differs is the framework alone. Unlike ours it checks no origin, role or size, gives no id to a request and counts nothing.
"""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Annotated, cast

import aiohttp
import uvicorn
from aiohttp import web
from fastapi import FastAPI, Query, WebSocket

from bot.api.health import Health
from bot.api.live_socket import SegmentScores
from bot.api.predict import Question, RecordPredictions, TextPrediction
from bot.api.products import ProductAnswer, ProductQuery, ProductsAnswer
from bot.api.sockets import Conversation
from bot.api.streams import Streams
from bot.background import Background
from bot.catalogue import open_catalogue
from bot.core import open_core
from bot.http import text_scoring
from bot.storage.database import Database
from bot.storage.migrate import upgrade
from config.settings import Settings
from moderation.catalogue import Catalogue
from moderation.predictor import Predictor
from moderation.scoring import TextScoring


def create(predictor: Predictor, catalogue: Catalogue, streams: Streams, scoring: TextScoring) -> FastAPI:
    """The application."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> Health:
        return Health()

    @app.post("/api/ml/predict")
    async def predict(question: Question) -> TextPrediction | RecordPredictions:
        if question.records is not None:
            return RecordPredictions(predictions=await predictor.records(question.records), provider=predictor.provider)
        said = await predictor.text(question.text or "")
        return TextPrediction(
            predictions=said.predictions,
            score=said.score,
            label=said.label,
            flagged=said.flagged,
            categories=dict(said.categories),
            provider=said.provider,
        )

    @app.get("/databricks/products/")
    async def products(query: Annotated[ProductQuery, Query()]) -> ProductsAnswer:
        page = catalogue.search(query.q, query.limit, query.cursor)
        shown = [ProductAnswer(product_name=p.name, price=p.price, updated_at=p.updated_at) for p in page.products]
        return ProductsAnswer(products=shown, total=page.total, next_cursor=page.cursor, stale_since=catalogue.stale_since)

    @app.websocket("/ws/voicechat/stream/")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        with streams.place():
            theirs = cast("web.WebSocketResponse", _Socket(socket))
            await Conversation(theirs, streams.open, lambda client: SegmentScores(client, scoring)).run()

    return app


class _Socket:
    """Starlette's WebSocket with the methods of aiohttp's that a conversation uses."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self, timeout: float) -> object:
        async with asyncio.timeout(timeout):
            message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return SimpleNamespace(type=aiohttp.WSMsgType.CLOSE)
        if message.get("bytes") is not None:
            return SimpleNamespace(type=aiohttp.WSMsgType.BINARY, data=message["bytes"])
        return SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=message["text"])

    async def send_str(self, text: str) -> None:
        await self._socket.send_text(text)

    async def close(self, code: int) -> None:
        await self._socket.close(code)


async def main() -> None:
    """Serve until a signal, with the settings of the environment."""
    settings = Settings.load(None)
    async with AsyncExitStack() as stack:
        database = await Database.open(settings.database_url.get_secret_value())
        stack.push_async_callback(database.aclose)
        await upgrade(database)
        core = await stack.enter_async_context(open_core(settings))
        catalogue = await open_catalogue(stack, settings, database)
        background = await Background.open(stack)
        background.start("product catalogue", catalogue.copy.run)
        predictor = Predictor(core.scoring.endpoint, core.scoring.local, settings.toxicity_threshold)
        app = create(predictor, catalogue, Streams(core.transcriber), text_scoring(settings, core))
        config = uvicorn.Config(app, settings.api_host, settings.api_port, access_log=False, log_level="error")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())
