"""Everything that scores, made from settings.

DATABRICKS_ENDPOINT ─▶ DatabricksScorer ──┐
the scorer that comes along (lazy) ───────┴─▶ detectors for calls, and whoever answers /predict
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from bot.databricks.access import credentials, workspace_of
from bot.scoring.databricks import CONCURRENCY, DatabricksScorer
from bot.scoring.health import ServingHealth
from bot.scoring.local import LocalScorer
from bot.scoring.serving import ServingEndpoint, address
from config.kinds import EmbeddedUse, FlaggingProvider
from config.output_specs import OutputSpec
from config.settings import Settings
from moderation.detectors.toxicity import ToxicityDetector
from moderation.errors import SettingsError
from moderation.ports import Scorer


@dataclass(frozen=True, slots=True)
class Scoring:
    """What scores texts in this process."""

    endpoint: DatabricksScorer | None
    """None where no serving endpoint is set."""
    health: ServingHealth | None
    local: Scorer
    """Comes along."""
    detectors: tuple[ToxicityDetector, ...]
    """For calls, as FLAGGING_PROVIDER and EARSHOT_EMBEDDED_SCORER say."""

    def troubles(self) -> tuple[str, ...]:
        """What moderators should know now, a sentence each."""
        return self.health.troubles() if self.health is not None and self.detectors else ()


@asynccontextmanager
async def open_scoring(settings: Settings, load: Callable[[], Scorer] | None = None) -> AsyncIterator[Scoring]:
    """Nothing is asked, and nothing loaded, before the first text.

    `load`: makes the scorer that comes along; None for the real one.
    """
    local = LocalScorer(load or _embedded)
    async with AsyncExitStack() as stack:
        endpoint = None
        if settings.databricks_endpoint is not None:
            endpoint = await stack.enter_async_context(open_endpoint(settings))
        health = _health(settings, endpoint) if endpoint is not None else None
        yield Scoring(endpoint, health, local, _detectors(settings, endpoint, local))


@asynccontextmanager
async def open_endpoint(settings: Settings) -> AsyncIterator[DatabricksScorer]:
    """The serving endpoint that the settings name. Raises `SettingsError` where they do not say who asks."""
    connector = aiohttp.TCPConnector(limit=2 * CONCURRENCY + 2)  # two queues, and room for a token and a look at the state
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None))
    async with session:
        who = credentials(settings, session)
        if who is None:
            raise SettingsError(["DATABRICKS_TOKEN: it is not set; set it, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"])
        asker = ServingEndpoint(session, address(workspace_of(settings), settings.databricks_endpoint or ""), who)
        scorer = DatabricksScorer(
            asker,
            column=settings.databricks_input_column,
            spec=output_spec(settings, asker.name),
            threshold=settings.toxicity_threshold,
            deadline=settings.earshot_score_deadline_seconds,
        )
        try:
            async with scorer:
                yield scorer
        finally:
            await who.aclose()


def output_spec(settings: Settings, name: str) -> OutputSpec:
    """How that endpoint's answers are read: what DATABRICKS_ENDPOINT_OUTPUT_SPECS says of it, over the settings for all."""
    for_all = OutputSpec(
        score_type=settings.databricks_score_type,
        score_field=settings.databricks_score_field,
        label_field=settings.databricks_label_field,
        positive_class=settings.databricks_positive_class,
    )
    own = settings.databricks_endpoint_output_specs.get(name)
    return for_all if own is None else for_all.model_copy(update={f: getattr(own, f) for f in own.model_fields_set})


def _detectors(settings: Settings, endpoint: DatabricksScorer | None, local: Scorer) -> tuple[ToxicityDetector, ...]:
    use, threshold = settings.earshot_embedded_scorer, settings.toxicity_threshold
    found = [ToxicityDetector(local, threshold)] if use is EmbeddedUse.ON else []
    if endpoint is not None and settings.flagging_provider.uses_databricks:
        found.append(ToxicityDetector(endpoint, threshold, local if use is EmbeddedUse.STAND_IN else None))
    return tuple(found)


def _health(settings: Settings, endpoint: DatabricksScorer) -> ServingHealth:
    embedded = settings.earshot_embedded_scorer is not EmbeddedUse.OFF
    instead = "The embedded scorer answers instead." if embedded else "Nothing is flagged meanwhile."
    match settings.flagging_provider:
        case FlaggingProvider.LEXICON:
            return ServingHealth(endpoint, meanwhile="Only /predict and POST /api/ml/predict need it.")
        case FlaggingProvider.BOTH:
            return ServingHealth(endpoint, meanwhile=f"The lexicon goes on. {instead if embedded else ''}".rstrip())
        case FlaggingProvider.DATABRICKS:
            return ServingHealth(endpoint, meanwhile=instead, essential=not embedded)


def _embedded() -> Scorer:
    from bot.scoring.embedded import EmbeddedScorer  # noqa: PLC0415 - numpy tables that most processes never need

    return EmbeddedScorer.load()
