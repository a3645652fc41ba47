"""How the things the bot depends on fare, for `/ready`. Databricks is off in this version."""

from collections.abc import Mapping

from bot.alerts import AlertDispatcher
from bot.api.health import Probe, ProbeResult, Status
from bot.client import EarshotClient
from bot.core import Core
from bot.recorder import Recorder
from bot.storage.database import Database
from moderation.errors import StorageError


def probes(
    *, client: EarshotClient, core: Core, database: Database, recorder: Recorder, dispatcher: AlertDispatcher
) -> Mapping[str, Probe]:
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
        rows = backlog(recorder)
        try:
            await database.ping()
        except StorageError as error:
            return ProbeResult(Status.DOWN, f"{error} {rows}".rstrip())
        name = "PostgreSQL" if database.is_postgres else "SQLite"
        return ProbeResult(Status.DEGRADED, f"{name}: {rows}") if rows else ProbeResult(Status.OK, name)

    async def alerts() -> ProbeResult:
        return outbox(dispatcher)

    return {"discord": discord, "vosk": vosk, "lexicon": lexicon, "database": storage, "alerts": alerts}


def backlog(recorder: Recorder) -> str:
    """What waits for the database, and what was lost; empty when all is well."""
    told = []
    if recorder.away:
        told.append(f"{recorder.waiting} rows wait for it in the journal; they follow by themselves once it takes rows again.")
    if recorder.unsafe:
        told.append(f"{recorder.unsafe} of them are in memory only, because the disk takes no more: make room before stopping the bot.")
    if recorder.dropped:
        told.append(f"{recorder.dropped} rows were lost since the start: neither database nor disk took them.")
    return " ".join(told)


def outbox(dispatcher: AlertDispatcher) -> ProbeResult:
    """How alerts get through."""
    stats, (count, seconds) = dispatcher.stats, dispatcher.delayed()
    told = f"{stats.posted} posted, {stats.retried} attempts in vain, {stats.undeliverable} undeliverable since the start"
    if count:
        text = f"{count} alerts wait for Discord, the oldest for {seconds:.0f} s; they are tried again by themselves, the log says why"
        return ProbeResult(Status.DEGRADED, f"{text} ({told})")
    return ProbeResult(Status.OK, told)
