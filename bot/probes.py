"""How the things the bot depends on fare, for `/ready`."""

from collections.abc import Iterable, Mapping

from bot.alerts import AlertDispatcher
from bot.api.health import Probe, ProbeResult, Status
from bot.client import EarshotClient
from bot.core import Core
from bot.recorder import Recorder
from bot.shards import ShardedBot
from bot.storage.database import Database
from moderation.errors import StorageError


def probes(
    *,
    client: EarshotClient,
    core: Core,
    database: Database,
    recorder: Recorder,
    dispatcher: AlertDispatcher,
    webhooks: AlertDispatcher | None,
) -> Mapping[str, Probe]:
    """Dependency → its probe."""

    async def discord() -> ProbeResult:
        return gateway(client)

    async def storage() -> ProbeResult:
        rows = backlog(recorder)
        try:
            await database.ping()
        except StorageError as error:
            return ProbeResult(Status.DOWN, f"{error} {rows}".rstrip())
        name = database_name(database)
        return ProbeResult(Status.DEGRADED, f"{name}: {rows}") if rows else ProbeResult(Status.OK, name)

    async def alerts() -> ProbeResult:
        return outbox(dispatcher, "Discord")

    async def webhook() -> ProbeResult:
        return outbox(webhooks, "the webhook's receiver") if webhooks is not None else ProbeResult(Status.OFF, "not in use")

    return {"discord": discord, "database": storage, "alerts": alerts, "webhooks": webhook, **core_probes(core)}


def core_probes(core: Core) -> Mapping[str, Probe]:
    """Speech, lexicon and scores."""

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

    serving = {"databricks_serving": core.scoring.health.probe} if core.scoring.health is not None else {}
    return {"vosk": vosk, "lexicon": lexicon, **serving}


def database_name(database: Database) -> str:
    """For people."""
    return "PostgreSQL" if database.is_postgres else "SQLite"


def gateway(client: ShardedBot) -> ProbeResult:
    """The connections to Discord, one a shard."""
    shards, served = client.connected(), client.served
    missing = [shard for shard, up in shards.items() if not up or shard not in served]
    if not shards or len(missing) == len(shards):
        lost = "lost, it is tried again by itself" if served else "not there yet"
        return ProbeResult(Status.DOWN, f"the connection to Discord is {lost}; the log says why, if it stays so")
    count = client.shard_count
    if missing:
        which = f"shard{'s' * (len(missing) > 1)} {_listed(missing)} of {count}"
        return ProbeResult(Status.DEGRADED, f"{which} not connected: their servers wait; they come back by themselves")
    told = f"in {len(client.guilds)} server{'s' * (len(client.guilds) != 1)}, gateway latency {client.latency * 1000:.0f} ms"
    return ProbeResult(Status.OK, told if count == 1 else f"{told}, shards {_listed(shards)} of {count}")


def _listed(shards: Iterable[int]) -> str:
    return ", ".join(map(str, shards))


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


def outbox(dispatcher: AlertDispatcher, whom: str) -> ProbeResult:
    """How alerts get through to whom."""
    stats, (count, seconds) = dispatcher.stats, dispatcher.delayed()
    told = f"{stats.posted} posted, {stats.retried} attempts in vain, {stats.undeliverable} undeliverable since the start"
    if count:
        text = f"{count} alerts wait for {whom}, the oldest for {seconds:.0f} s; they are tried again by themselves, the log says why"
        return ProbeResult(Status.DEGRADED, f"{text} ({told})")
    return ProbeResult(Status.OK, told)
