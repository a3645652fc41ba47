"""The HTTP side put together: what is served, from which parts. The bot's process and `python -m bot api` share it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from pydantic import SecretStr

from bot.api import feed as feeds
from bot.api import flag_audio, live_pages, live_socket, predict, products, transcribe, voice_health
from bot.api.app import create_app, serve
from bot.api.feed import Feed
from bot.api.flag_audio import Rating
from bot.api.health import Probe
from bot.api.routes import Route
from bot.api.streams import Streams
from bot.api.transcribe import HttpStreams
from bot.background import Background
from bot.core import Core
from bot.metrics.metrics import Metrics
from bot.storage.database import Database
from config.settings import Settings
from moderation.broadcast import Broadcast
from moderation.catalogue import Catalogue
from moderation.predictor import Predictor
from moderation.scoring import TextScoring
from moderation.sessions import Running


@dataclass(frozen=True, slots=True)
class HttpParts:
    """What the HTTP side speaks of."""

    core: Core
    catalogue: Catalogue
    predictor: Predictor
    metrics: Metrics
    events: Broadcast
    database: Database
    running: Callable[[], Sequence[Running]] | None = None
    """The calls that go on; None where there is no bot."""
    feed: Feed = field(default_factory=lambda: Feed(tuple))
    """What tells listeners of them."""


async def open_http(
    stack: AsyncExitStack, background: Background, settings: Settings, parts: HttpParts, probes: Mapping[str, Probe]
) -> int:
    """Listen until the stack unwinds; the port. Raises `SettingsError`."""
    core = parts.core
    streams, scoring = Streams(core.transcriber), text_scoring(settings, core)
    http_streams, feed = HttpStreams(streams, scoring), parts.feed
    parts.events.subscribe(feed)
    parts.metrics.watch_http(streams, feed)
    parts.metrics.watch_process(core, parts.catalogue, parts.events, parts.database)
    background.start("event loop lag", parts.metrics.meters.watch_loop)
    background.start("feed", feed.run)
    background.start("streams of requests", http_streams.run)

    async def rate(text: str) -> Rating:
        found = await parts.predictor.text(text)
        return Rating(found.score, found.flagged, found.predictions)

    routes: list[Route] = [
        *live_pages.routes(parts.running),
        *voice_health.routes(core.lexicon, settings.flagging_provider),
        *predict.routes(parts.predictor),
        *products.routes(parts.catalogue),
        *transcribe.routes(http_streams),
        *live_socket.routes(streams, scoring),
        *flag_audio.routes(streams, rate, settings.toxicity_threshold, settings.score_every_seconds),
        *feeds.routes(feed),
    ]
    app = create_app(
        probes,
        token=_reveal(settings.api_token),
        read_token=_reveal(settings.api_read_token),
        per_minute=settings.api_requests_per_minute,
        max_body=int(settings.api_max_body_mb * 1_000_000),
        render=parts.metrics.render,
        answered=parts.metrics.meters.answered,
        routes=routes,
        closing=feed.close,
    )
    return await stack.enter_async_context(serve(app, settings.api_host, settings.api_port))


def text_scoring(settings: Settings, core: Core) -> TextScoring:
    """How streams' segments are scored: by the lexicon, the endpoint, or both, as FLAGGING_PROVIDER says."""
    provider = settings.flagging_provider
    lexicon = (lambda: core.lexicon.lexicon) if provider.uses_lexicon else None
    return TextScoring(lexicon, core.scoring.endpoint if provider.uses_databricks else None, settings.toxicity_threshold)


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
