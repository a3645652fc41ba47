"""The HTTP side without a bot: `python -m bot api`. No Discord, no calls; speech, lexicon, scores and products as ever."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from bot.api.health import Probe, ProbeResult, Status
from bot.background import Background
from bot.catalogue import open_catalogue, warehouse_probes
from bot.core import Core, open_core
from bot.http import HttpParts, open_http
from bot.metrics.metrics import Metrics
from bot.probes import core_probes, database_name
from bot.storage.database import Database
from bot.storage.migrate import upgrade
from config.settings import Settings
from moderation.broadcast import Broadcast
from moderation.predictor import Predictor

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_http_only(settings: Settings) -> AsyncIterator[int]:
    """Serve while the context lasts; the port. Raises `ModelMissing`, `LexiconInvalid`, `StorageError`, `SettingsError`."""
    async with AsyncExitStack() as stack:
        database = await Database.open(settings.database_url.get_secret_value())
        stack.push_async_callback(database.aclose)
        await upgrade(database)
        core = await stack.enter_async_context(open_core(settings))
        catalogue = await open_catalogue(stack, settings, database)
        metrics = Metrics(lambda: core.categories)
        background = await Background.open(stack)
        background.start("lexicon", core.watch_lexicon)
        background.start("product catalogue", catalogue.copy.run)
        predictor = Predictor(core.scoring.endpoint, core.scoring.local, settings.toxicity_threshold)
        parts = HttpParts(core, catalogue, predictor, metrics, Broadcast(), database)
        port = await open_http(stack, background, settings, parts, {**_probes(core, database), **warehouse_probes(catalogue, database)})
        log.info("ready", extra={"http": f"http://{settings.api_host}:{port}", "model": core.vocabulary.path.name})
        yield port


def _probes(core: Core, database: Database) -> Mapping[str, Probe]:
    async def storage() -> ProbeResult:
        await database.ping()
        return ProbeResult(Status.OK, database_name(database))

    return {**core_probes(core), "database": storage}
