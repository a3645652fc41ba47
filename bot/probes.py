"""How the things the bot depends on fare, for `/ready`. Databricks is off in this version."""

from collections.abc import Mapping

from bot.api.health import Probe, ProbeResult, Status
from bot.client import EarshotClient
from bot.core import Core
from bot.storage.database import Database


def probes(*, client: EarshotClient, core: Core, database: Database) -> Mapping[str, Probe]:
    """Dependency → its probe."""

    async def discord() -> ProbeResult:
        if not client.is_ready():
            return ProbeResult(Status.DOWN, "not connected to Discord yet; the log says why, if it stays so")
        return ProbeResult(Status.OK, f"in {len(client.guilds)} servers, gateway latency {client.latency * 1000:.0f} ms")

    async def vosk() -> ProbeResult:
        stats = core.transcriber.stats()
        return ProbeResult(Status.OK, f"{stats.open} recognisers open, {stats.queued} jobs queued")

    async def lexicon() -> ProbeResult:
        terms = f"{len(core.lexicon.lexicon)} terms"
        if not core.lexicon.parse_ok:
            return ProbeResult(
                Status.DEGRADED, f"the changed lexicon file cannot be used, the one before it is in force ({terms}); see the log"
            )
        return ProbeResult(Status.OK, terms)

    async def storage() -> ProbeResult:
        await database.ping()
        return ProbeResult(Status.OK, "PostgreSQL" if database.is_postgres else "SQLite")

    return {"discord": discord, "vosk": vosk, "lexicon": lexicon, "database": storage}
