"""The composition root: the only file that names concrete classes. Read `moderation/pipeline.py` first, then this.

    settings ─▶ open_application() ─▶ Application: client, services, events ─▶ connect()

One AsyncExitStack opens everything and closes it in reverse: commands stop first, then sessions finish their last words, then
alerts and rows are written out, then the connections close. One TaskGroup holds everything that runs.
"""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import discord
from discord.ext import commands
from pydantic import SecretStr

from bot.alerts import AlertDispatcher
from bot.api.feed import Feed
from bot.background import Background
from bot.catalogue import open_catalogue, warehouse_probes
from bot.client import EarshotClient
from bot.core import Core, open_core
from bot.delivery import DiscordAlertDelivery
from bot.evidence import EvidenceRing
from bot.http import HttpParts, open_http
from bot.live import Live, open_live
from bot.metrics.calls import Calls
from bot.metrics.delivery import MeteredDelivery
from bot.metrics.metrics import Metrics
from bot.metrics.readings import Parts
from bot.pending import MAX_PENDING
from bot.privacy import Privacy
from bot.probes import probes
from bot.recorder import Recorder
from bot.records import Lane
from bot.remembered import RememberedSettings
from bot.sources.files import decode
from bot.stores import Stores, open_stores
from bot.voice.opus import load_for_discord
from bot.webhooks import NoAudio, WebhookDelivery
from cogs.alerts import Alerts
from cogs.lexicon import Lexicon
from cogs.predict import Predict
from cogs.privacy import Privacy as PrivacyCog
from cogs.products import Products
from cogs.voice import Voice
from config.settings import LEXICON_PRESETS, Settings
from moderation.audio_trial import AudioTrial
from moderation.broadcast import Broadcast
from moderation.catalogue import Catalogue
from moderation.forgetting import Forget, Forgetting
from moderation.hearing import Hearing
from moderation.lexicon_files import load
from moderation.lexicon_service import LexiconService
from moderation.ports import AlertDelivery, Sink
from moderation.predictor import Predictor
from moderation.services import Services
from moderation.shards import Shards
from moderation.term_exchange import TermExchange
from moderation.terms import Term

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 5.0
"""How long a deletion waits for rows that are being written."""
MAX_LOGIN_PAUSE = 60.0
"""Longest pause, in seconds, between attempts to reach Discord."""


@dataclass(frozen=True, slots=True)
class Application:
    """The running bot. `run` and the demo use this very object; only the connector differs."""

    client: EarshotClient
    services: Services
    events: Broadcast
    dispatcher: AlertDispatcher
    recorder: Recorder
    remembered: RememberedSettings
    core: Core
    evidence: EvidenceRing
    forgetting: Forgetting
    api_port: int
    """The bound port."""

    async def connect(self, token: str) -> None:
        """Log in and stay connected until closed. Raises `discord.LoginFailure` when Discord refuses the token."""
        pause = 1.0
        while not self.client.is_closed():
            try:
                await self.client.login(token)
                await self.client.connect()
            except (aiohttp.ClientError, TimeoutError, OSError, discord.GatewayNotFound) as error:
                log.warning("Discord cannot be reached, trying again", extra={"seconds": pause, "error": type(error).__name__})
                self.client.drop_session()
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_LOGIN_PAUSE)
            except RuntimeError:  # aiohttp's, when the client was closed in mid-attempt
                if not self.client.is_closed():
                    raise


@asynccontextmanager
async def open_application(settings: Settings, *, connector: aiohttp.BaseConnector | None = None) -> AsyncIterator[Application]:
    """Open everything; the bot is complete but not connected yet.

    Args:
        settings: checked already.
        connector: aiohttp's, for all traffic to Discord; None for discord.py's own.

    Raises `ModelMissing`, `LexiconInvalid`, `StorageError`, each saying what to do.
    """
    load_for_discord()
    async with AsyncExitStack() as stack:
        shards = Shards(settings.shard_ids, settings.shard_count)
        stores = await stack.enter_async_context(open_stores(settings, shards))
        core = await stack.enter_async_context(open_core(settings, terms_of=stores.guilds.terms))
        catalogue = await open_catalogue(stack, settings, stores.database)
        evidence, events = EvidenceRing(seconds=settings.earshot_evidence_seconds), Broadcast()
        metrics = Metrics(lambda: core.categories)
        client = EarshotClient(lambda _: _cogs(services), connector, shards)
        private = await Privacy.open(stores.database, client, settings.earshot_retention_days)
        delivery = DiscordAlertDelivery(client)
        dispatcher = await _dispatcher(MeteredDelivery(delivery, metrics.meters.delivered), evidence, stores, client)
        webhooks = await _webhooks(settings, stack, stores)
        sinks: list[Sink] = [dispatcher, *webhooks, stores.recorder, private.retention]
        for sink in sinks:
            events.subscribe(sink)

        background = await Background.open(stack)
        stack.push_async_callback(client.close)
        background.start("recorder", stores.recorder.run, stores.recorder.close)
        background.start("alerts", dispatcher.run, dispatcher.close)
        for each in webhooks:
            background.start("webhooks", each.run, each.close)
        background.start("lexicon", core.watch_lexicon)
        background.start("product catalogue", catalogue.copy.run)
        live = await open_live(
            stack, background, client=client, core=core, stores=stores, events=events, evidence=evidence, private=private
        )
        calls = Calls(live.sessions.running)
        counting = Parts(
            calls=calls,
            dispatcher=dispatcher,
            recorder=stores.recorder,
            shedding=live.shedding,
            evidence=evidence,
            webhooks=webhooks[0] if webhooks else None,
            notices=live.supervisor.messages,
            background=background,
        )
        metrics.watch_calls(counting, events, client)
        feed = Feed(live.sessions.all, private.register.accept)
        memory: dict[str, Forget] = {"figures": metrics.meters.forget, "audio in memory": evidence.forget, "listeners": feed.forget}
        forgetting = _forgetting(live, stores, private, dispatchers=[dispatcher, *webhooks], memory=memory)
        for name, run, close in private.workers(forgetting):
            background.start(name, run, close)
        predictor = Predictor(core.scoring.endpoint, core.scoring.local, settings.toxicity_threshold)
        services = _services(
            live,
            stores,
            core,
            delivery=delivery,
            private=private,
            evidence=evidence,
            forgetting=forgetting,
            catalogue=catalogue,
            predictor=predictor,
        )
        told = probes(
            client=client,
            core=core,
            database=stores.database,
            recorder=stores.recorder,
            dispatcher=dispatcher,
            webhooks=webhooks[0] if webhooks else None,
        )
        parts = HttpParts(core, catalogue, predictor, metrics, events, stores.database, live.sessions.all, feed)
        port = await open_http(stack, background, settings, parts, {**told, **warehouse_probes(catalogue, stores.database)})
        log.info("ready to connect", extra=_what_it_runs_with(settings, port, core, stores))
        yield Application(client, services, events, dispatcher, stores.recorder, stores.remembered, core, evidence, forgetting, port)


def _what_it_runs_with(settings: Settings, port: int, core: Core, stores: Stores) -> dict[str, object]:
    """For the first line of the log: where it listens, and with what."""
    return {
        "http": f"http://{settings.api_host}:{port}",
        "model": core.vocabulary.path.name,
        "lexicon": str(core.lexicon.path),
        "terms": len(core.lexicon.lexicon),
        "database": stores.database.where,
        "toxicity": ", ".join(d.name for d in core.scoring.detectors) or "not scored in calls",
    }


async def _webhooks(settings: Settings, stack: AsyncExitStack, stores: Stores) -> list[AlertDispatcher]:
    """The second lane of alerts, where the settings want one."""
    if settings.earshot_webhook_url is None:
        return []
    session = await stack.enter_async_context(aiohttp.ClientSession())
    delivery = WebhookDelivery(settings.earshot_webhook_url, _reveal(settings.earshot_webhook_secret), session)
    dispatcher = AlertDispatcher(delivery, NoAudio(), stores.remembered.settings, stores.recorder, lane=Lane.WEBHOOK)
    dispatcher.resume(await stores.webhooks.pending(MAX_PENDING))
    return [dispatcher]


async def _dispatcher(delivery: AlertDelivery, evidence: EvidenceRing, stores: Stores, client: EarshotClient) -> AlertDispatcher:
    """With what an earlier process left undelivered, which goes out once Discord is there."""
    dispatcher = AlertDispatcher(delivery, evidence, stores.remembered.settings, stores.recorder)
    dispatcher.resume(await stores.outbox.pending(MAX_PENDING))
    client.add_listener(dispatcher.hurry, "on_ready")
    client.add_listener(dispatcher.hurry, "on_resumed")
    return dispatcher


def _forgetting(
    live: Live, stores: Stores, private: Privacy, *, dispatchers: Sequence[AlertDispatcher], memory: Mapping[str, Forget]
) -> Forgetting:
    """Every place that may hold something about a member: what makes rows first, the rows after it."""
    return private.forgetting(
        {
            "running sessions": live.sessions.forget,
            "notices that stand": live.supervisor.forget,
            **memory,
            **{f"alerts under way {n}": each.forget for n, each in enumerate(dispatchers)},
            "rows under way": lambda user_id: stores.recorder.caught_up(CATCH_UP_SECONDS),
            "rows still queued": stores.recorder.forget,
        },
        stores.places(),
        stores.erasures,
    )


def _services(
    live: Live,
    stores: Stores,
    core: Core,
    *,
    delivery: AlertDelivery,
    private: Privacy,
    evidence: EvidenceRing,
    forgetting: Forgetting,
    catalogue: Catalogue,
    predictor: Predictor,
) -> Services:
    def shared() -> Sequence[Term]:
        return load(core.lexicon.path) if core.lexicon.path is not None else ()

    guilds = stores.guilds
    return Services(
        sessions=live.sessions,
        supervisor=live.supervisor,
        watch=live.watch,
        guilds=guilds,
        alerts=stores.alerts,
        delivery=delivery,
        lexicon=LexiconService(guilds, core.lexicon, core.detectors, Hearing(core.vocabulary), shared),
        exchange=TermExchange(guilds, core.lexicon, LEXICON_PRESETS),
        audio=AudioTrial(core.transcriber, core.detectors, guilds, lambda data, name: decode(io.BytesIO(data), name)),
        privacy=private.service(live.sessions, evidence, live.gateway, forgetting),
        catalogue=catalogue,
        predictor=predictor,
        troubles=core.scoring.troubles,
    )


def _cogs(services: Services) -> Sequence[commands.Cog]:
    return (
        Voice(services),
        Alerts(services),
        Lexicon(services),
        PrivacyCog(services.privacy),
        Products(services.catalogue),
        Predict(services.predictor),
    )


def _reveal(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
